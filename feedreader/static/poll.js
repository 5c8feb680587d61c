// Asks for the feed's status when the server said to, as long as it says when to ask again; then reloads the page.
// See feedreader/waiting.py for when that is.
"use strict";

const { poll, askAgainIn } = document.querySelector("[data-poll]").dataset;

async function nextPause(last) {
  try {
    const answer = await fetch(poll);
    if (answer.ok) return (await answer.json()).ask_again_in;
    return answer.status >= 500 ? last : undefined;
  } catch {
    return last; // the network or the server is briefly unavailable: ask again after the same pause
  }
}

function askAfter(seconds) {
  setTimeout(async () => {
    const pause = await nextPause(seconds);
    if (pause) {
      askAfter(pause);
    } else {
      location.reload();
    }
  }, 1000 * seconds);
}

askAfter(askAgainIn);
