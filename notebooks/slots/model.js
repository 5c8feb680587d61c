"use strict";
/* The two readers, simulated event by event, by the rules of loadtests/predicting/simulation.py: a test compares them.

   Visitors think, then visit. Each slot serves one request at a time, in order of arrival. A submitter's visit is
   POST /feeds, the feed's page, and, while the feed is not there yet, polls with a pause before each, then the page
   once more. A browser's visit is one request. POST /feeds of the synchronous reader holds its slot for as long as the
   feed takes; that of the queued reader leaves a job in the table, which the next free worker thread performs.

   Nothing is drawn here, and no clock is read: advance(time) says how late it is. All times are in seconds. */

const THINKING = "thinking", WAITING = "waiting", SERVED = "served", READING = "reading"; // what a visitor may be doing

/* The requests that were sent and not answered. */
function inFlight({ line, slots }) {
  return [...line, ...slots.filter(Boolean)];
}

class Model {
  /* `settings`: {queued, visitors, hanging (share of feeds), deadline, slots, workers (threads)}. `tell(what, whom)`
     hears of everything that happens; `feed(random, hanging)` draws how long a feed takes. */
  constructor(settings, { tell = () => {}, work = WORK, feed = feedTime, seed = 1 } = {}) {
    Object.assign(this, { tell, work, feed, random: randomNumbers(seed) });
    this.now = 0;
    this.visitors = [];
    this.line = this.slots = []; // restart() makes those that are used
    this.numbers = 0; // visitors so far
    this.toHang = 0; // feeds that hang() still has to choose
    this.settings = { queued: false, visitors: 0, hanging: 0, deadline: 10, slots: 8, workers: 32, ...settings };
    this.restart();
    this.people();
  }

  /* All that happens until then. */
  advance(until) {
    while (this.events.length && this.events.at(-1).at <= until) {
      const event = this.events.pop();
      this.now = event.at;
      event.act();
    }
    this.now = until;
  }

  /* Change some settings now. Another reader starts empty: requests and jobs are gone, and all visitors think. */
  change(settings) {
    const before = this.settings;
    this.settings = { ...before, ...settings };
    if (this.settings.queued !== before.queued) this.restart();
    if (this.settings.deadline !== before.deadline) this.fetches().forEach((fetch) => this.schedule(fetch));
    this.people();
    this.fillSlots();
    this.fillThreads();
  }

  /* The next `count` feeds that are fetched never answer. */
  hang(count) {
    this.toHang += count;
  }

  /* How many feeds hang, or will as soon as they are fetched. */
  get hanging() {
    return [...this.fetches(), ...this.table].filter((each) => each.feed === Infinity).length + this.toHang;
  }

  restart() {
    for (const request of inFlight(this)) {
      Object.assign(request, { took: this.now - request.at, lost: true });
      this.tell("lost", request);
    }
    this.events = []; // those to come, the next one last
    this.line = []; // requests that wait for a slot
    this.slots = []; // the request in each, or undefined
    this.table = []; // jobs that wait for a thread
    this.threads = []; // the job of each, or undefined
    this.toHang = 0;
    this.tell("restart");
    for (const visitor of this.visitors) this.think(visitor);
  }

  /* Requests and jobs that now wait for a feed. */
  fetches() {
    return [...this.slots, ...this.threads].filter((each) => each?.feed !== undefined);
  }

  // ---- visitors

  /* Let visitors come or leave until there are as many of each sort as there should be. */
  people() {
    const submitters = submittersAmong(this.settings.visitors, this.work.submitters);
    for (const [asks, wanted] of [[SUBMIT, submitters], [BROWSE, this.settings.visitors - submitters]]) {
      const here = this.visitors.filter((each) => each.asks === asks && !each.leaving);
      for (let missing = wanted - here.length; missing > 0; missing--) {
        const visitor = { number: this.numbers++, asks, doing: THINKING, leaving: false };
        this.visitors.push(visitor);
        this.think(visitor);
      }
      for (const visitor of here.slice(wanted)) visitor.leaving = true; // after the visit
    }
    for (const visitor of this.visitors) if (visitor.doing === THINKING && visitor.leaving) this.leave(visitor);
  }

  leave(visitor) {
    this.cancel(visitor.event);
    this.visitors = this.visitors.filter((each) => each !== visitor);
  }

  think(visitor) {
    visitor.doing = THINKING;
    visitor.event = this.after(this.exponential(this.work.think), () => this.ask(visitor, visitor.asks));
    if (visitor.leaving) this.leave(visitor);
  }

  ask(visitor, kind, job) {
    visitor.doing = WAITING;
    this.line.push({ visitor, kind, job, at: this.now, queued: this.settings.queued });
    visitor.request = this.line.at(-1);
    this.tell("asked", visitor.request);
    this.fillSlots();
  }

  // ---- slots

  fillSlots() {
    this.fill(this.slots, this.settings.slots, this.line, (request) => this.begin(request));
  }

  begin(request) {
    request.visitor.doing = SERVED;
    if (request.kind === SUBMIT) {
      const feed = this.nextFeed();
      if (this.settings.queued) request.job = { visitor: request.visitor, feed, done: false };
      else request.feed = feed;
    }
    request.takes = this.exponential(this.work[request.kind]);
    request.end = () => this.answer(request);
    this.schedule(request);
    this.tell("began", request);
  }

  answer(request) {
    this.slots[request.place] = undefined;
    request.took = this.now - request.at;
    this.tell("answered", request);
    if (request.kind === SUBMIT && request.job) this.enqueue(request.job);
    this.goOn(request);
    this.fillSlots();
  }

  /* The visitor's next request after an answer. */
  goOn({ visitor, kind, job }) {
    if (kind === SUBMIT) this.ask(visitor, PAGE, job);
    else if (job && !job.done) {
      const { firstPause, longestPause } = this.work;
      visitor.doing = READING;
      this.after(Math.min(firstPause + this.now - job.at, longestPause), () => this.ask(visitor, POLL, job));
    } else if (kind === POLL) this.ask(visitor, PAGE, job);
    else this.think(visitor);
  }

  // ---- worker threads

  enqueue(job) {
    job.at = this.now;
    this.table.push(job);
    this.tell("enqueued", job);
    this.fillThreads();
  }

  fillThreads() {
    this.fill(this.threads, this.settings.workers, this.table, (job) => this.perform(job));
  }

  perform(job) {
    job.end = () => this.finish(job);
    this.schedule(job);
    this.tell("performed", job);
  }

  finish(job) {
    this.threads[job.place] = undefined;
    job.done = true; // with its content, or given up: the page says so
    this.tell("finished", job);
    this.fillThreads();
  }

  // ---- what slots and threads have in common

  /* Give those that wait the free places, in order. Places beyond `count` end what they have, and get nothing new. */
  fill(places, count, waiting, begin) {
    places.length = Math.max(count, places.findLastIndex(Boolean) + 1);
    for (let place = 0; place < count && waiting.length; place++) {
      if (places[place]) continue;
      places[place] = waiting.shift();
      Object.assign(places[place], { place, begun: this.now });
      begin(places[place]);
    }
  }

  nextFeed() {
    if (this.toHang === 0) return this.feed(this.random, this.settings.hanging);
    this.toHang--;
    return Infinity;
  }

  /* (Re)schedule the end of a request or job: a fetch is given up at the deadline, even if that has just changed. */
  schedule(holder) {
    const takes = holder.feed === undefined ? holder.takes : Math.min(holder.feed, this.settings.deadline);
    this.cancel(holder.event);
    holder.event = this.after(Math.max(0, holder.begun + takes - this.now), holder.end);
  }

  after(seconds, act) {
    const event = { at: this.now + seconds, act };
    let low = 0;
    for (let high = this.events.length; low < high; ) {
      const middle = (low + high) >> 1;
      if (this.events[middle].at > event.at) low = middle + 1;
      else high = middle;
    }
    this.events.splice(low, 0, event);
    return event;
  }

  cancel(event) {
    const place = this.events.indexOf(event);
    if (place >= 0) this.events.splice(place, 1);
  }

  exponential(mean) {
    return -mean * Math.log(1 - this.random());
  }
}
