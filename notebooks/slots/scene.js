"use strict";
/* The picture: each visitor is a dot that goes where the model says it is, each job a square. */

const SWIFT = 13; // how fast dots go: they cover all but 1/e of their way in 1/13 s
const GLOW = 0.3; // seconds for which a slot or thread shows that it was used
const FURNISH = 0.1; // seconds from one picture of the rooms to the next
const MOST_DOT = 9; // pixels

class Scene {
  /* Two canvases, one on the other: the rooms are drawn less often than the dots in them. */
  constructor(below, above, colours) {
    Object.assign(this, { below, above, colours, furnished: -Infinity });
    this.dots = new Map(); // from visitors and jobs to {x, y, via}
    this.glows = { slots: new Map(), threads: new Map() }; // from places to when they were last used
  }

  /* Requests may begin and end between two pictures: remember the places that their dots have to pass. */
  hear(what, whom) {
    if (what === "restart") {
      this.dots.forEach((dot) => (dot.via = []));
      Object.values(this.glows).forEach((glow) => glow.clear());
    } else if (what === "began") this.pass(whom.visitor, "slots", whom.place);
    else if (what === "enqueued") this.pass(whom, "slots", whom.visitor.request.place);
    else if (what === "performed") {
      if (whom.begun > whom.at) this.dots.delete(whom); // it comes from the table, where it waited
      this.pass(whom, "table", 0);
    }
    else if (what === "answered") this.glows.slots.set(whom.place, whom.at + whom.took);
    else if (what === "finished") this.dots.delete(whom);
  }

  pass(whom, room, place) {
    const dot = this.dots.get(whom) ?? { via: [] };
    dot.via = [...dot.via, { room, place }].slice(-3);
    this.dots.set(whom, dot);
  }

  /* Draw the model. `seconds` since the last picture; with Infinity the dots are at once where they belong. */
  draw(model, figures, seconds) {
    const { clientWidth: width, clientHeight: height } = this.above;
    this.narrow = width < NARROW;
    this.accent = this.colours[model.settings.queued ? "queued" : "sync"];
    this.arrange(model, rooms(width, height, model.settings.queued, this.colours.em));
    if (seconds === Infinity || model.now - this.furnished >= FURNISH) {
      this.furnish(model, figures);
      this.furnished = model.now;
    }
    this.pen = cleared(this.above);
    this.move(model, 1 - Math.exp(-seconds * SWIFT));
  }

  furnish(model, figures) {
    this.pen = cleared(this.below);
    this.fetches(model);
    this.heads(figures, model.settings);
    this.boxes.table.forEach((row, place) => { // the first job to be taken is at the top
      this.pen.fillStyle = place < model.table.length ? this.accent : this.colours.card;
      this.pen.fillRect(row.x + 1, row.y + 1, row.w - 2, row.h - 2);
    });
    this.places(model, "slots", model.slots);
    if (model.settings.queued) this.places(model, "threads", model.threads);
  }

  /* The boxes of all rooms. */
  arrange(model, found) {
    const { slots, workers, queued } = model.settings, { narrow } = this;
    const threads = Math.max(workers, model.threads.length), held = Math.max(slots, model.slots.length);
    const slot = narrow ? [2, 44] : [6.5, 64]; // its shape, and most height
    this.rooms = found;
    this.boxes = {
      visitors: boxes(found.visitors, Math.max(model.visitors.length, 40), narrow ? 1.4 : 1, 34),
      slots: boxes(found.slots, held, ...slot),
      table: queued ? boxes(found.table, Math.max(model.table.length, narrow ? 24 : 20), narrow ? 5 : 12, 15) : [],
      threads: queued ? boxes(found.threads, threads, 1.5, 46) : [],
    };
    const fetching = queued ? "threads" : "slots";
    this.boxes.feeds = copied(this.boxes[fetching], found[fetching], found.feeds);
    this.radius = Math.min(MOST_DOT, 0.34 * this.boxes.visitors[0].w, 0.3 * this.boxes.slots[0].h);
    this.boxes.line = queuePlaces(found.line, model.line.length, narrow ? "y" : "x", 2.7 * this.radius);
  }

  heads(figures, settings) {
    const { busy, slots, line, longest, backlog, performing, hanging } = figures;
    this.head("visitors", "Visitors", `${settings.visitors}`);
    this.head("line", "In line", line ? `${line}, up to ${longest.toFixed(1)} s` : "nobody", longest > RULE);
    this.head("slots", "Slots", `${busy} of ${slots} held`, busy >= slots);
    this.head("table", "Table of jobs", `backlog ${backlog}`);
    this.head("threads", "Worker threads", `${performing} of ${settings.workers} busy`, performing >= settings.workers);
    this.head("feeds", "Feeds", hanging ? count(hanging, "hangs", "hang") : "all answer", hanging > 0);
  }

  head(name, title, note, alarming = false) {
    const { pen, colours, narrow } = this, { em } = colours, room = this.rooms[name];
    if (!room) return;
    const right = name === "line" && !narrow, x = right ? room.x + room.w : room.x; // where the line's head is
    Object.assign(pen, { textBaseline: "alphabetic", textAlign: right ? "right" : "left" });
    this.text(title, x, room.y - (narrow ? 0.45 : 1.5) * em, colours.text, 600);
    const after = narrow ? pen.measureText(title).width + 0.6 * em : 0;
    this.text(note, x + after, room.y - 0.45 * em, alarming ? colours.bad : colours.soft, alarming ? 600 : 400);
  }

  text(words, x, y, colour, weight) {
    this.pen.font = `${weight} ${0.875 * this.colours.em}px ${this.colours.font}`;
    this.pen.fillStyle = colour;
    this.pen.fillText(words, x, y);
  }

  /* A line from each fetch to its feed; a feed that hangs is filled. */
  fetches(model) {
    const { pen, colours, boxes } = this, name = model.settings.queued ? "threads" : "slots", holders = model[name];
    const radius = Math.max(3, Math.min(13, 0.3 * boxes.feeds[0].h));
    const state = (place) => {
      const feed = holders[place]?.feed, fetching = feed !== undefined, hangs = feed === Infinity;
      return { fetching, hangs, colour: hangs ? colours.bad : fetching ? this.accent : colours.edge };
    };
    boxes.feeds.forEach((box, place) => {
      const { fetching, hangs, colour } = state(place);
      if (!fetching) return;
      Object.assign(pen, { strokeStyle: colour, lineWidth: 1.5 });
      pen.setLineDash(hangs ? [3, 5] : []);
      this.path([centre(boxes[name][place]), centre(box)]);
      pen.stroke();
    });
    if (this.narrow) pen.clearRect(0, this.rooms.feeds.y - 1.2 * colours.em, 8 * colours.em, colours.em); // for words
    pen.setLineDash([]);
    boxes.feeds.forEach((box, place) => {
      const { fetching, hangs, colour } = state(place), feed = centre(box);
      pen.beginPath();
      pen.arc(feed.x, feed.y, radius, 0, 2 * Math.PI);
      Object.assign(pen, { strokeStyle: colour, lineWidth: fetching ? 2 : 1 });
      pen.fillStyle = hangs ? colour : colours.page;
      pen.fill();
      pen.stroke();
      pen.fillStyle = colours.page;
      const points = hangs && radius > 6 ? [-1, 0, 1] : []; // silence
      points.forEach((n) => this.disc(feed.x + (n * radius) / 2.2, feed.y, radius / 7));
    });
  }

  /* Slots or threads. One that fetches fills up until the deadline; one that was just used glows. */
  places(model, name, holders) {
    const { pen, colours } = this, { now, settings } = model;
    const open = name === "slots" ? settings.slots : settings.workers;
    this.boxes[name].forEach((box, place) => {
      const holder = holders[place], x = box.x + 2, y = box.y + 2, w = box.w - 4, h = box.h - 4;
      const glow = Math.max(0, 1 - (now - (this.glows[name].get(place) ?? -1)) / GLOW);
      pen.beginPath();
      pen.roundRect(x, y, w, h, Math.min(6, h / 4));
      pen.fillStyle = colours.card;
      pen.fill();
      pen.save();
      pen.clip();
      pen.fillStyle = this.accent;
      pen.globalAlpha = holder ? 0.22 : 0.3 * glow;
      pen.fillRect(x, y, w, h);
      if (holder?.feed !== undefined) {
        pen.fillStyle = holder.feed === Infinity ? colours.bad : this.accent;
        pen.globalAlpha = 0.5;
        pen.fillRect(x, y, (w * (now - holder.begun)) / settings.deadline, h);
      }
      pen.restore();
      pen.strokeStyle = holder ? this.accent : colours.edge;
      pen.lineWidth = holder ? 2 : 1.2;
      pen.setLineDash(place < open ? [] : [3, 3]); // closes when it is done
      pen.stroke();
      pen.setLineDash([]);
      const held = holder ? now - holder.begun : 0;
      if (held >= 1 && w > 4.1 * colours.em) {
        Object.assign(pen, { textAlign: "right", textBaseline: "middle" });
        this.text(`${Math.floor(held)} s`, x + w - 6, y + h / 2 + 0.5, colours.text, 600);
      }
    });
  }

  /* Where a visitor or job is. */
  place(room, place) {
    const box = this.boxes[room]?.[place];
    if (!box) return undefined;
    if (room === "line") return box;
    if (room !== "slots" && room !== "threads") return centre(box);
    return { x: box.x + 2 + Math.min(box.h, box.w) / 2, y: box.y + box.h / 2 }; // beside the seconds
  }

  move(model, part) {
    const line = new Map(model.line.map((request, place) => [request.visitor, place]));
    model.visitors.forEach((visitor, home) => {
      const { doing, request } = visitor, room = doing === WAITING ? "line" : doing === SERVED ? "slots" : "visitors";
      const place = doing === WAITING ? line.get(visitor) : doing === SERVED ? request.place : home;
      const dot = this.step(visitor, room, place, part);
      const away = doing === WAITING || doing === SERVED || dot.far;
      this.mark(dot, visitor.asks, away ? request?.kind ?? visitor.asks : undefined);
    });
    model.threads.forEach((job) => job && this.square(this.step(job, "threads", job.place, part)));
    const here = new Set([...model.visitors, ...model.threads, ...model.table]);
    for (const whom of this.dots.keys()) if (!here.has(whom)) this.dots.delete(whom);
  }

  /* Let a dot go on towards the next place it has to pass, and at last to where it belongs. */
  step(whom, room, place, part) {
    const dot = this.dots.get(whom) ?? { via: [] }, last = this.place(room, place);
    this.dots.set(whom, dot);
    if (part === 1) dot.via = [];
    const next = (dot.via.length && this.place(dot.via[0].room, dot.via[0].place)) || last;
    if (dot.x === undefined) Object.assign(dot, next);
    dot.x += (next.x - dot.x) * part;
    dot.y += (next.y - dot.y) * part;
    if (Math.hypot(next.x - dot.x, next.y - dot.y) < 6) dot.via.shift();
    dot.far = Math.hypot(last.x - dot.x, last.y - dot.y) > 6;
    return dot;
  }

  /* A diamond browses, a full dot adds a feed, a ring asks for that feed's page; who thinks is pale. */
  mark({ x, y }, asks, kind) {
    const { pen, colours, radius } = this;
    pen.globalAlpha = kind ? 1 : 0.4;
    pen.fillStyle = pen.strokeStyle = asks === BROWSE ? colours.browse : this.accent;
    pen.lineWidth = 2;
    if (asks === BROWSE) {
      const r = 1.25 * radius;
      this.path([{ x: x - r, y }, { x, y: y - r }, { x: x + r, y }, { x, y: y + r }]);
      pen.fill();
    } else if (kind === PAGE || kind === POLL) {
      pen.beginPath();
      pen.arc(x, y, radius - 1, 0, 2 * Math.PI);
      pen.stroke();
    } else this.disc(x, y, radius);
    pen.globalAlpha = 1;
  }

  square({ x, y }) {
    const r = 0.8 * this.radius;
    this.pen.fillStyle = this.accent;
    this.pen.fillRect(x - r, y - r, 2 * r, 2 * r);
  }

  disc(x, y, radius) {
    this.pen.beginPath();
    this.pen.arc(x, y, radius, 0, 2 * Math.PI);
    this.pen.fill();
  }

  path([first, ...others]) {
    this.pen.beginPath();
    this.pen.moveTo(first.x, first.y);
    for (const { x, y } of others) this.pen.lineTo(x, y);
  }
}
