"use strict";
/* The page: the five steps, the controls, the figures, and the clock that drives them all. */

const STEPS = [
  ["One visitor", { visitors: 1 }, 0,
    "One visitor adds a feed. The request holds a slot until that feed's server answers."],
  ["Forty", { visitors: 40 }, 0, 
    "Forty visitors share eight slots. Feeds answer soon: only those whose own feed takes longer wait over 500 ms."],
  ["One feed hangs", { visitors: 40 }, 1,
    "One feed never answers. Its request keeps a slot until the deadline; the others share the remaining seven."],
  ["Eight hang", { visitors: 40 }, 8,
    "Eight feeds hang, and hold all eight slots. Now everybody waits, even those who only browse."],
  ["The queue", { visitors: 40, queued: true, workers: 12 }, 8,
    "The same eight hang in twelve worker threads. A request leaves a job in the table, and its slot is free at once."],
];
const START = { queued: false, visitors: 40, hanging: 0, deadline: 30, slots: 8, workers: 32 };
const SLIDERS = {
  visitors: { written: String },
  hanging: { written: (percent) => `${percent} %`, unit: 0.01 },
  deadline: { written: (seconds) => `${seconds} s` },
  slots: { written: String },
  workers: { written: String },
};
const PICTURE = 1 / 30, STILL = 0.5; // seconds from one picture to the next, and with reduced motion
const EARLY = 0.01; // seconds: to be in time for that picture
const CHART = 0.2, FIGURES = 0.25; // seconds
const LONGEST = 0.25; // seconds: after a longer break the model goes on where it was
const SETTLED = 3, QUIET = 10; // seconds: what is seen is said when it has lasted, and not more often than that

const find = (id) => document.getElementById(id);
const still = matchMedia("(prefers-reduced-motion: reduce)");
const dark = matchMedia("(prefers-color-scheme: dark)");
const colours = {};
const record = new Record(), scene = new Scene(...find("scene").children, colours), chart = new Chart(find("chart"), colours);
const model = new Model(START, {
  seed: Date.now(),
  tell: (what, whom) => [record, scene].forEach((each) => each.hear(what, whom)),
});
let paused = false, seen = true;
let hanging = 0; // feeds that hang as long as the step is shown
const drawn = { scene: 0, chart: 0, figures: 0 }; // when each was, in seconds
const speech = { state: "", since: 0, said: "", at: -Infinity };

// ---- controls

function take(step) {
  const [, settings, hang, story] = STEPS[step];
  change({ ...START, ...settings });
  if (model.hanging > hang) model.restart();
  model.hang(hang - model.hanging);
  hanging = hang;
  pause(false);
  find("story").textContent = story;
  document.querySelectorAll("[name=step]").forEach((each, n) => (each.checked = n === step));
}

/* Apply settings, and show them on the controls. */
function change(settings) {
  model.change(settings);
  const { queued } = model.settings;
  document.body.classList.toggle("queued", queued);
  document.querySelectorAll("[name=reader]").forEach((each) => (each.checked = (each.value === "queued") === queued));
  for (const [name, { written, unit = 1 }] of Object.entries(SLIDERS)) {
    const value = Math.round(model.settings[name] / unit);
    find(name).value = value;
    find(name).setAttribute("aria-valuetext", written(value));
    find(`${name}-is`).textContent = written(value);
  }
  find("workers").disabled = !queued;
  show();
}

function pause(now) {
  paused = now;
  find("pause").textContent = paused ? "Resume" : "Pause";
}

/* What a visitor changes is no step of the story. */
function own(settings) {
  hanging = 0;
  document.querySelectorAll("[name=step]").forEach((each) => (each.checked = false));
  find("story").textContent = "";
  change(settings);
}

function connect() {
  STEPS.forEach(([name], step) => {
    const label = document.createElement("label");
    label.innerHTML = `<input type="radio" name="step"><span>${step + 1}. ${name}</span>`;
    label.firstChild.addEventListener("click", () => take(step)); // again, too
    find("steps").append(label);
  });
  for (const each of document.querySelectorAll("[name=reader]")) {
    each.addEventListener("change", () => own({ queued: each.value === "queued" }));
  }
  for (const [name, { unit = 1 }] of Object.entries(SLIDERS)) {
    find(name).addEventListener("input", ({ target }) => own({ [name]: Number(target.value) * unit }));
  }
  find("hang").addEventListener("click", () => model.hang(1));
  find("pause").addEventListener("click", () => pause(!paused));
  dark.addEventListener("change", paint);
  addEventListener("resize", paint);
  new IntersectionObserver(([entry]) => (seen = entry.isIntersecting)).observe(document.querySelector("main"));
}

/* Take colours and letters from the style sheet: others when it is dark, or on a larger screen. */
function paint() {
  const style = getComputedStyle(document.documentElement);
  for (const name of ["text", "soft", "page", "card", "line", "edge", "sync", "queued", "browse", "bad"]) {
    colours[name] = style.getPropertyValue(`--${name}`).trim();
  }
  Object.assign(colours, { font: style.fontFamily, em: parseFloat(style.fontSize) });
}

// ---- what is shown

function show() {
  const figures = record.figures(model);
  for (const kind of JUDGED) {
    const { over, of } = figures[kind];
    find(`${kind}-over`).classList.toggle("over", over > 0.01 * of); // the rule allows 1 %
    find(`${kind}-over`).lastChild.textContent = percent(figures[kind]);
  }
  find("backlog-is").lastChild.textContent = figures.backlog;
  say(figures);
}

/* Tell a screen reader when something else is to be seen, but not of every request. */
function say(figures) {
  const words = inWords(figures), { now } = model;
  find("scene").setAttribute("aria-label", words);
  const { queued, busy, slots, line, hanging, browse, backlog } = figures;
  const state = [
    queued, busy >= slots, line > 5, hanging > 0, hanging >= slots, 2 * browse.over > browse.of, backlog > 20,
  ].join();
  if (state !== speech.state) Object.assign(speech, { state, since: now });
  if (state === speech.said || now - speech.since < SETTLED || now - speech.at < QUIET) return;
  Object.assign(speech, { said: state, at: now });
  find("said").textContent = words;
}

// ---- the clock

/* Let the model go on by some seconds, and draw what is due. */
function tick(seconds) {
  if (!model.hanging) model.hang(hanging); // once more, after the deadline
  model.advance(model.now + seconds);
  record.look(model);
  const { now } = model, calm = still.matches;
  if (now - drawn.scene >= (calm ? STILL : 0)) {
    scene.draw(model, record.figures(model), calm ? Infinity : now - drawn.scene);
    drawn.scene = now;
  }
  if (now - drawn.chart >= (calm ? STILL : CHART)) {
    chart.draw(model, record);
    drawn.chart = now;
  }
  if (now - drawn.figures >= FIGURES) {
    show();
    drawn.figures = now;
  }
}

/* A screen shows 60 pictures a second; half of them do, at half the work. A hidden page is asked for none. */
function run() {
  let last = performance.now();
  const moves = () => seen && !paused;
  const frame = (at) => {
    if (moves()) tick(Math.min((at - last) / 1000, LONGEST));
    last = at;
    setTimeout(() => requestAnimationFrame(frame), 1000 * (moves() ? PICTURE - EARLY : LONGEST));
  };
  requestAnimationFrame(frame);
}

paint();
connect();
take(0);
run();
