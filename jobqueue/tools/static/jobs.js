// Keeps the overview up to date, and shows how fast jobs are done.
//
// The totals are in the database, and each response may come from another web process. So a rate is the difference
// between the totals of two responses, divided by the time between them; the server sends both.
"use strict";

const EVERY_MS = 2000;
const LOOK_SHARE = 10; // requests take at most a tenth of the time, however slow a backlog makes them
const WINDOW_S = 20; // much longer than the second between two times that a worker writes its totals
const address = location.origin + location.pathname; // not location.href, which may hold a password
const rate = document.getElementById("rate");
let looks = [];

function remember({ dataset }) {
  const look = { at: +dataset.at, succeeded: +dataset.succeeded, failed: +dataset.failed };
  const last = looks.at(-1);
  if (last && (look.at < last.at || look.succeeded < last.succeeded || look.failed < last.failed)) {
    looks = []; // the clocks of two servers differ, or the tables were emptied
  }
  looks = [...looks.filter((each) => each === last || each.at >= look.at - WINDOW_S), look];
}

function tellRate() {
  const [first, last] = [looks[0], looks.at(-1)];
  const seconds = last.at - first.at;
  const aSecond = (field) => ((last[field] - first[field]) / seconds).toFixed(1);
  rate.textContent = seconds
    ? `${aSecond("succeeded")} succeeded and ${aSecond("failed")} failed per second (last ${seconds.toFixed(0)} s).`
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
    rate.textContent = "The server does not answer: this page is out of date.";
    return;
  }
  remember(sums);
  tellRate();
  for (const part of document.querySelectorAll("[data-live]")) {
    if (!part.contains(document.activeElement)) { // so that keyboard focus is not lost
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
