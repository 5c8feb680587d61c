"use strict";
/* What the last minute was like. Judged are POST /feeds and the browsing visitors' requests, as by `make bench`. */

const RULE = 0.5, MINUTE = 60, LATELY = 10; // seconds
const JUDGED = [SUBMIT, BROWSE];

class Record {
  constructor() {
    this.ended = []; // judged requests that were answered, or lost with the server
    this.backlogs = []; // {at, jobs, queued}, twice a second
  }

  hear(what, request) {
    if ((what === "answered" || what === "lost") && JUDGED.includes(request.kind)) this.ended.push(request);
  }

  /* Note the backlog, and forget what was more than a minute ago. */
  look({ now, table, settings }) {
    if (now - (this.backlogs.at(-1)?.at ?? -1) < 0.5) return;
    this.backlogs.push({ at: now, jobs: table.length, queued: settings.queued });
    while (this.backlogs[0].at < now - MINUTE) this.backlogs.shift();
    this.ended = this.ended.filter((each) => each.at > now - MINUTE);
  }

  /* The figures shown. The shares are of the requests that were answered lately, and of those that wait for over 500 ms
     still. Those of the other reader say nothing about this one. */
  figures(model) {
    const { now, settings, slots, threads, line, table } = model;
    const lately = ({ at, took, queued, lost }) => at + took > now - LATELY && queued === settings.queued && !lost;
    const answered = this.ended.filter(lately), waiting = inFlight(model).filter(({ at }) => now - at > RULE);
    const share = (wanted) => {
      const [some, others] = [answered, waiting].map((all) => all.filter(({ kind }) => kind === wanted));
      return { over: some.filter(({ took }) => took > RULE).length + others.length, of: some.length + others.length };
    };
    return {
      submit: share(SUBMIT), browse: share(BROWSE), slots: settings.slots, line: line.length, backlog: table.length,
      busy: slots.filter(Boolean).length, performing: threads.filter(Boolean).length, queued: settings.queued,
      longest: line.length ? now - line[0].at : 0, // the wait of the first in line
      hanging: model.fetches().filter((each) => each.feed === Infinity).length,
    };
  }
}

/* What is seen, in a sentence or two, for those who do not see it. */
function inWords({ submit, browse, slots, line, backlog, busy, performing, queued, hanging }) {
  const held = `${busy} of ${slots} slots are held, ${count(line, "request waits", "requests wait")} in line.`;
  const work = ` ${count(performing, "worker thread")} busy, backlog ${count(backlog, "job")}.`;
  const hang = hanging ? ` ${count(hanging, "feed hangs", "feeds hang")}.` : "";
  const over = ` Over 500 ms: ${percent(submit)} of those who add a feed, ${percent(browse)} of those who browse.`;
  return held + (queued ? work : "") + hang + over;
}

function count(number, one, many = `${one}s`) {
  return `${number} ${number === 1 ? one : many}`;
}

function percent({ over, of }) {
  return of ? `${Math.round((100 * over) / of)} %` : "–";
}
