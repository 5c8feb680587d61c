// Keeps the overview up to date, and tells how fast jobs are done.
//
// The sums of what was done are in the database, and each answer may come from another web process. So a rate is
// the difference between two answers, divided by the time between them, and the server says both.
"use strict";

const EVERY_MS = 2000;
const LOOK_SHARE = 10; // at most a tenth of the time is spent on looking, however long a backlog makes it
const WINDOW_S = 20; // long enough that it matters little that workers write down their sums once a second
const address = location.origin + location.pathname; // not location.href, which may hold a password
const rate = document.getElementById("rate");
let looks = [];

function remember({ dataset }) {
  const look = { at: +dataset.at, succeeded: +dataset.succeeded, failed: +dataset.failed };
  const last = looks.at(-1);
  if (last && (look.at < last.at || look.succeeded < last.succeeded || look.failed < last.failed)) {
    looks = []; // the clocks of two servers differ, or somebody has emptied the tables
  }
  looks = [...looks.filter((each) => each === last || each.at >= look.at - WINDOW_S), look];
}

function tellRate() {
  const [first, last] = [looks[0], looks.at(-1)];
  const seconds = last.at - first.at;
  const aSecond = (field) => ((last[field] - first[field]) / seconds).toFixed(1);
  rate.textContent = seconds
    ? `${aSecond("succeeded")} succeeded and ${aSecond("failed")} failed a second, in the last ${seconds.toFixed(0)} s.`
    : "";
}

async function fetchPage() {
  try {
    const answer = await fetch(address);
    return answer.ok ? new DOMParser().parseFromString(await answer.text(), "text/html") : null;
  } catch {
    return null; // the network or the server is away
  }
}

async function look() {
  const page = await fetchPage();
  const sums = page?.getElementById("done");
  if (!sums) {
    rate.textContent = "The server does not answer: what stands here is out of date.";
    return;
  }
  remember(sums);
  tellRate();
  for (const part of document.querySelectorAll("[data-live]")) {
    if (!part.contains(document.activeElement)) { // nobody's keyboard loses its place
      part.replaceWith(page.getElementById(part.id));
    }
  }
}

function lookAfter(ms) {
  setTimeout(async () => {
    const begun = performance.now();
    if (!document.hidden) {
      await look();
    }
    lookAfter(Math.max(EVERY_MS, LOOK_SHARE * (performance.now() - begun)));
  }, ms);
}

remember(document.getElementById("done"));
tellRate();
lookAfter(EVERY_MS);
