// Polls the feed's status while it is being fetched, then reloads the page.
// The first poll comes after half a second, and each interval is twice the last, up to 5 s: prompt when the feed is
// quick, little work for the server when it is slow. Polling makes a visitor wait at most slightly more than twice as
// long for a slow feed, and at most half a second longer for a quick one.
"use strict";

const FIRST_MS = 500;
const LONGEST_MS = 5000;
const GROWTH = 2;
const address = document.querySelector("[data-poll]").dataset.poll;

async function isPending() {
  try {
    const answer = await fetch(address);
    return answer.ok ? (await answer.json()).status === "pending" : answer.status >= 500;
  } catch {
    return true; // the network or the server is briefly unavailable: ask again
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
