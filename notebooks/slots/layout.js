"use strict";
/* Where everything stands: from left to right on a wide page, from top to bottom on a narrow one. */

const NARROW = 640; // pixels

/* The rooms that a request passes through, and their shares of the length. The queue adds two of them. */
const ROOMS = {
  synchronous: { visitors: 18, line: 33, slots: 29, feeds: 20 },
  queued: { visitors: 15, line: 19, slots: 15, table: 15, threads: 18, feeds: 18 },
};
const NARROW_ROOMS = {
  synchronous: { visitors: 20, line: 29, slots: 27, feeds: 24 },
  queued: { visitors: 18, line: 16, slots: 17, table: 15, threads: 18, feeds: 16 },
};
const GAP = 14; // pixels between two rooms

/* {name: {x, y, w, h}} for a picture of this size: a room, without the words above it, of which `em` is the size. */
function rooms(width, height, queued, em) {
  const narrow = width < NARROW, shares = (narrow ? NARROW_ROOMS : ROOMS)[queued ? "queued" : "synchronous"];
  const length = (narrow ? height : width) - GAP * (Object.keys(shares).length - 1);
  const found = {};
  let from = 0;
  for (const [name, share] of Object.entries(shares)) {
    const long = (length * share) / 100, head = (narrow ? 1.25 : 2.5) * em;
    found[name] = narrow
      ? { x: 0, y: from + head, w: width, h: long - head }
      : { x: from, y: head, w: long, h: height - head };
    from += long + GAP;
  }
  return found;
}

/* Boxes for `count` equal things in a room, in the grid that makes them largest; `shape` is width by height. */
function boxes(room, count, shape = 1, most = Infinity) {
  let best = { size: 0, columns: 1 };
  for (let columns = 1; columns <= count; columns++) {
    const lines = Math.ceil(count / columns);
    const size = Math.min(room.w / columns / shape, room.h / lines, most);
    if (size > best.size) best = { size, columns };
  }
  const { size, columns } = best, lines = Math.ceil(count / columns), w = size * shape;
  return Array.from({ length: count }, (_, n) => {
    const column = Math.floor(n / lines), line = n % lines;
    return { x: room.x + column * w, y: room.y + line * size, w, h: size };
  });
}

/* The boxes of one room, in another: where both are as high (or as wide), each box is beside its copy. */
function copied(boxes, from, to) {
  const across = to.w / from.w, down = to.h / from.h;
  return boxes.map(({ x, y, w, h }) => ({
    x: to.x + (x - from.x) * across, y: to.y + (y - from.y) * down, w: w * across, h: h * down,
  }));
}

/* Places in a line whose head is at the room's far end: it fills up backwards, and is packed closer if it is long. */
function queuePlaces(room, count, along, most) {
  const long = along === "x" ? room.w : room.h, wide = along === "x" ? room.h : room.w;
  const step = Math.max(4, Math.min(most, Math.sqrt((long * wide) / Math.max(count, 1)) * 0.92));
  const rows = Math.max(1, Math.floor(wide / step));
  return Array.from({ length: count }, (_, n) => {
    const back = (Math.floor(n / rows) + 0.5) * step, aside = ((n % rows) + 0.5) * step;
    return along === "x"
      ? { x: room.x + room.w - back, y: room.y + aside }
      : { x: room.x + aside, y: room.y + room.h - back };
  });
}

function centre({ x, y, w, h }) {
  return { x: x + w / 2, y: y + h / 2 };
}

/* Clear a canvas, after fitting its pixels to the screen's; returns the pen to draw on it. */
function cleared(canvas) {
  const pen = canvas.getContext("2d"), scale = Math.min(window.devicePixelRatio, 2);
  const { clientWidth: width, clientHeight: height } = canvas;
  const [across, down] = [Math.round(width * scale), Math.round(height * scale)];
  if (canvas.width !== across || canvas.height !== down) Object.assign(canvas, { width: across, height: down });
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  pen.clearRect(0, 0, width, height);
  return pen;
}
