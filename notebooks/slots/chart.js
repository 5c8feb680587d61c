"use strict";
/* The last minute: every judged request by when it was sent and how long its answer took, and the backlog below. */

const LEAST = 0.0005, MOST = 60; // seconds, of the logarithmic axis
const TICKS = [[0.001, "1 ms"], [0.01, "10 ms"], [0.1, "100 ms"], [1, ""], [10, "10 s"]]; // at 1 s is no room for words
const BACKLOG = 0.24; // its share of the height
const RIGHT = 8; // pixels

class Chart {
  constructor(canvas, colours) {
    Object.assign(this, { canvas, colours });
  }

  draw(model, record) {
    const { clientWidth: width, clientHeight: height } = this.canvas, { em } = this.colours;
    const bottom = height - 1.3 * em, high = bottom - 3.4 * em;
    Object.assign(this, { width, height, now: model.now, left: 3.9 * em, pen: cleared(this.canvas) });
    this.latencies = { top: 1.5 * em, bottom: 1.5 * em + high * (1 - BACKLOG) };
    this.jobs = { top: bottom - high * BACKLOG, bottom };
    this.axes();
    this.rule();
    record.ended.forEach((each) => this.point(each, each.took, each.lost));
    const waiting = inFlight(model).filter((each) => JUDGED.includes(each.kind));
    waiting.forEach((each) => this.point(each, this.now - each.at, true));
    this.backlog(record.backlogs);
  }

  x(at) {
    return this.left + (1 - (this.now - at) / MINUTE) * (this.width - this.left - RIGHT);
  }

  y(seconds) {
    const { top, bottom } = this.latencies;
    const share = Math.log(Math.min(Math.max(seconds, LEAST), MOST) / LEAST) / Math.log(MOST / LEAST);
    return bottom - share * (bottom - top);
  }

  axes() {
    const { colours, latencies, jobs } = this, right = this.width - RIGHT;
    this.text("Latency of each request", this.left, latencies.top - 9, colours.text, "left", 600);
    for (const [seconds, words] of TICKS) {
      this.across(this.y(seconds), colours.line, 1);
      this.text(words, this.left - 8, this.y(seconds) + 4, colours.soft, "right");
    }
    this.across(latencies.bottom, colours.edge, 1);
    this.across(jobs.bottom, colours.edge, 1);
    this.text("Backlog, jobs", this.left, jobs.top - 8, colours.text, "left", 600);
    this.text("a minute ago", this.left, this.height - 6, colours.soft, "left");
    this.text("now", right, this.height - 6, colours.soft, "right");
  }

  rule() {
    const { colours, pen } = this, y = this.y(RULE);
    Object.assign(pen, { fillStyle: colours.bad, globalAlpha: 0.07 });
    pen.fillRect(this.left, this.latencies.top, this.width - this.left - RIGHT, y - this.latencies.top);
    pen.globalAlpha = 1;
    this.across(y, colours.text, 1.6);
    this.text("500 ms", this.left - 8, y + 4, colours.text, "right", 600);
  }

  /* What was not answered is hollow; while it waits, it rises. */
  point({ at, kind, queued }, seconds, hollow = false) {
    const { pen, colours } = this, x = this.x(at), y = this.y(seconds);
    if (x < this.left) return;
    const r = kind === BROWSE ? 3.6 : 2.6;
    pen.fillStyle = pen.strokeStyle = kind === BROWSE ? colours.browse : colours[queued ? "queued" : "sync"];
    pen.beginPath();
    if (kind === BROWSE) {
      pen.moveTo(x - r, y);
      pen.lineTo(x, y - r);
      pen.lineTo(x + r, y);
      pen.lineTo(x, y + r);
      pen.closePath();
    } else pen.rect(x - r, y - r, 2 * r, 2 * r);
    if (hollow) pen.stroke();
    else pen.fill();
  }

  backlog(looks) {
    const { pen, colours, jobs } = this, most = Math.max(10, ...looks.map((look) => look.jobs));
    const high = (count) => jobs.bottom - (count / most) * (jobs.bottom - jobs.top);
    this.text(`${most}`, this.left - 8, jobs.top + 8, colours.soft, "right");
    this.text("0", this.left - 8, jobs.bottom + 2, colours.soft, "right");
    pen.fillStyle = colours.queued;
    looks.forEach((look, n) => {
      const from = Math.max(this.left, this.x(look.at)), until = this.x(looks[n + 1]?.at ?? this.now);
      pen.fillRect(from, high(look.jobs), Math.max(0, until - from + 0.5), jobs.bottom - high(look.jobs));
    });
  }

  across(y, colour, thick) {
    this.pen.fillStyle = colour;
    this.pen.fillRect(this.left, Math.round(y) - thick / 2, this.width - this.left - RIGHT, thick);
  }

  text(words, x, y, colour, align, weight = 400) {
    Object.assign(this.pen, { textAlign: align, textBaseline: "alphabetic", fillStyle: colour });
    this.pen.font = `${weight} ${0.8 * this.colours.em}px ${this.colours.font}`;
    this.pen.fillText(words, x, y);
  }
}
