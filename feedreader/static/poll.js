// Asks for the feed's status while it is being fetched, and shows the page anew when that is over.
// First after 300 ms, then at intervals half as long again each time, up to 5 s: quick when the feed is quick, and
// little work for the server when it is slow. For a slow feed a visitor waits at most little more than half as long again
// as without polling, for a quick one at most some tenths of a second longer.
"use strict";

const FIRST_MS = 300;
const LONGEST_MS = 5000;
const GROWTH = 1.5;
const address = document.querySelector("[data-poll]").dataset.poll;

async function isPending() {
  try {
    const answer = await fetch(address);
    return answer.ok ? (await answer.json()).status === "pending" : answer.status >= 500;
  } catch {
    return true; // the network or the server is away for a moment: ask again
  }
}

function askAfter(ms) {
  setTimeout(async () => {
    if (await isPending()) {
      askAfter(Math.min(ms * GROWTH, LONGEST_MS));
    } else {
      location.reload();
    }
  }, ms);
}

askAfter(FIRST_MS);
