"use strict";
// Drawing on the timeline's canvases. The colour of text and lines is the canvas's `color` in the style sheet.

/** Make the canvas as fine as the screen; gives its context and size in CSS pixels. */
function prepared(canvas) {
  const ratio = Math.max(window.devicePixelRatio || 1, "printing" in document.documentElement.dataset ? 2 : 1);
  const width = canvas.clientWidth, height = canvas.clientHeight;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const c = canvas.getContext("2d");
  c.setTransform(ratio, 0, 0, ratio, 0, 0);
  c.clearRect(0, 0, width, height);
  const style = getComputedStyle(canvas);
  return { c, width, height, ink: style.color, font: style.fontFamily };
}

/** Round steps of time so that labels stand some 90 pixels apart. */
function tickStep(seconds, width) {
  const least = (seconds * 90) / Math.max(width, 1);
  const steps = [0.04, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400];
  return steps.find((s) => s >= least) || 14400 * Math.ceil(least / 14400);
}

function drawAxis(canvas, [from, to]) {
  const { c, width, height, ink, font } = prepared(canvas);
  const step = tickStep(to - from, width), places = step < 0.1 ? 2 : step < 1 ? 1 : 0;
  c.fillStyle = c.strokeStyle = ink;
  c.font = `11px ${font}`;
  c.textBaseline = "alphabetic";
  for (let i = Math.ceil(from / step); i * step <= to + 1e-9; i++) {
    const x = ((i * step - from) / (to - from)) * width, label = fermedia.clock(i * step, places);
    const w = c.measureText(label).width;
    c.globalAlpha = 0.35;
    c.fillRect(Math.round(x), height - 5, 1, 5);
    c.globalAlpha = 0.75;
    if (x + w / 2 <= width + 8) c.fillText(label, Math.min(Math.max(x - w / 2, 5), width - w), height - 9);
  }
  c.globalAlpha = 1;
}

/** A row per face in the colour of its strongest emotion: presence and mood of the whole video at a glance. */
function drawOverview(canvas, timeline) {
  const faces = timeline.faces.slice(0, Timeline.OVERVIEW_ROWS), { data } = timeline;
  const row = faces.length > 12 ? 3 : faces.length > 5 ? 5 : 9, gap = row > 3 ? 2 : 1;
  canvas.style.height = `${Math.max(22, faces.length * (row + gap) + 8)}px`;
  const { c, width, height, ink } = prepared(canvas);
  const top = (height - faces.length * (row + gap) + gap) / 2, scale = width / (timeline.end - timeline.begin);
  faces.forEach((face, i) => {
    const y = top + i * (row + gap);
    c.fillStyle = ink;
    c.globalAlpha = 0.18;
    c.fillRect(0, Math.floor(y + row / 2), width, 1);
    for (const run of face.runs) {
      const stride = Math.max(1, Math.floor(1 / (data.step * scale)));
      for (let cell = 0; cell < run.count; cell += stride) {
        const best = strongest(run.bytes, 8 * cell, data.undecided);
        c.globalAlpha = best < 0 ? 0.3 : 1;
        c.fillStyle = best < 0 ? ink : data.emotions[best].color;
        const x = (run.begin + cell) * data.step * scale;
        c.fillRect(x, y, Math.max(1, Math.min(stride, run.count - cell) * data.step * scale + 0.4), row);
      }
      if (row > 3) rim(c, ink, run.begin * data.step * scale, y, run.count * data.step * scale, row, 1);
    }
  });
  c.globalAlpha = 1;
}

/** A fine line just inside a shape: light grey and yellow need one on white. */
function rim(c, ink, x, y, width, height, radius) {
  if (width < 2) return;
  c.globalAlpha = 0.28;
  c.strokeStyle = ink;
  c.lineWidth = 1;
  c.beginPath();
  c.roundRect(x + 0.5, y + 0.5, width - 1, height - 1, radius);
  c.stroke();
  c.globalAlpha = 1;
}

/** The number of the most probable emotion of a cell, -1 where it is not classified, or less probable than `least`. */
function strongest(bytes, at, least) {
  if (bytes[at] !== 2) return -1;
  let best = 0;
  for (let i = 1; i < 7; i++) if (bytes[at + 1 + i] > bytes[at + 1 + best]) best = i;
  return bytes[at + 1 + best] < 250 * least ? -1 : best;
}

const RIBBON = 16; // height of the segments' ribbon with the room above it

function drawLane(canvas, face, timeline) {
  const { c, width, height, ink, font } = prepared(canvas);
  if (!width) return;
  const { data, view: [from, to] } = timeline, floor = height - RIBBON;
  const x = (time) => ((time - from) / (to - from)) * width;
  const y = (p) => floor - p * (floor - 2);
  c.fillStyle = ink;
  c.globalAlpha = 0.05;
  for (const run of face.runs) {
    const left = x(timeline.begin + run.begin * data.step), right = x(timeline.begin + (run.begin + run.count) * data.step);
    if (right > 0 && left < width) c.fillRect(left, 2, right - left, floor - 2);
  }
  for (const stretch of stretches(face, timeline, x)) {
    if (stretch.judged) {
      (timeline.stacked ? drawStack : drawLines)(c, stretch, y, timeline);
      if (timeline.stacked) rim(c, ink, stretch.left, 2, stretch.right - stretch.left, floor - 2, 0);
    } else {
      c.globalAlpha = 0.35;
      c.fillStyle = ink;
      for (let at = stretch.left; at < stretch.right; at += 6) c.fillRect(at, floor - 3, Math.min(3, stretch.right - at), 2);
    }
  }
  c.globalAlpha = 0.16;
  c.fillStyle = ink;
  if (!timeline.stacked) for (const p of [0.25, 0.5, 0.75]) c.fillRect(0, Math.round(y(p)), width, 0.5);
  c.fillRect(0, floor, width, 1);
  drawRibbon(c, face, x, [floor + 4, height - 1, width], data.emotions, { ink, font });
}

/** The parts of a face's curve that are in view: points at the middle of cells, or of as many as share a pixel. */
function* stretches(face, timeline, x) {
  const { data, begin, view: [from, to] } = timeline;
  const pixels = x(from + data.step) - x(from), stride = Math.max(1, Math.floor(1 / pixels));
  for (const { begin: first, bytes, count } of face.runs) {
    const low = Math.max(0, Math.floor((from - begin) / data.step) - first - stride);
    const high = Math.min(count, Math.ceil((to - begin) / data.step) - first + stride);
    let part = null;
    for (let i = low - (low % stride); i < high; i += stride) {
      const sums = new Float32Array(7), last = Math.min(i + stride, count);
      let read = 0;
      for (let j = i; j < last; j++) {
        if (bytes[8 * j] !== 2) continue;
        read++;
        for (let e = 0; e < 7; e++) sums[e] += bytes[8 * j + 1 + e];
      }
      const left = x(begin + (first + i) * data.step), right = x(begin + (first + last) * data.step);
      if (!part || part.judged !== read > 0) {
        if (part) yield part;
        part = { judged: read > 0, left, right, xs: [], values: [] };
      }
      part.right = right;
      part.xs.push((left + right) / 2);
      part.values.push(sums.map((s) => s / 250 / Math.max(read, 1)));
    }
    if (part) yield part;
  }
}

function drawStack(c, { left, right, xs, values }, y, timeline) {
  const below = new Float32Array(xs.length);
  timeline.data.emotions.forEach((emotion, e) => {
    if (!timeline.shown.has(e)) return;
    const above = below.map((b, i) => b + values[i][e]);
    c.beginPath();
    c.moveTo(left, y(above[0]));
    xs.forEach((at, i) => c.lineTo(at, y(above[i])));
    c.lineTo(right, y(above[above.length - 1]));
    c.lineTo(right, y(below[below.length - 1]));
    for (let i = xs.length - 1; i >= 0; i--) c.lineTo(xs[i], y(below[i]));
    c.lineTo(left, y(below[0]));
    c.closePath();
    c.globalAlpha = 0.92;
    c.fillStyle = emotion.color;
    c.fill();
    below.set(above);
  });
}

function drawLines(c, { left, right, xs, values }, y, timeline) {
  c.lineJoin = "round";
  for (const casing of [true, false]) // a dark rim first, so that yellow and grey stand out on white
    timeline.data.emotions.forEach((emotion, e) => {
      if (!timeline.shown.has(e)) return;
      c.beginPath();
      c.moveTo(left, y(values[0][e]));
      xs.forEach((at, i) => c.lineTo(at, y(values[i][e])));
      c.lineTo(right, y(values[values.length - 1][e]));
      c.globalAlpha = casing ? 0.3 : 1;
      c.lineWidth = casing ? 3 : 1.75;
      c.strokeStyle = casing ? "#000" : emotion.color;
      c.stroke();
    });
}

function drawRibbon(c, face, x, [top, bottom, width], emotions, { ink, font }) {
  c.font = `600 9.5px ${font}`;
  c.textBaseline = "middle";
  for (const [, e, begin, end] of face.segments) {
    const left = x(begin), right = x(end);
    if (right < 0 || left > width) continue;
    c.globalAlpha = 1;
    c.fillStyle = emotions[e].color;
    c.beginPath();
    c.roundRect(left + 0.5, top, Math.max(1.5, right - left - 1), bottom - top, 3);
    c.fill();
    rim(c, ink, left + 0.5, top, right - left - 1, bottom - top, 3);
    const name = emotions[e].name, from = Math.max(left, 0) + 6;
    if (Math.min(right, width) - from > c.measureText(name).width + 6) {
      c.fillStyle = isLight(emotions[e].color) ? "#14161a" : "#fff";
      c.fillText(name, from, (top + bottom) / 2 + 0.5);
    }
  }
  c.globalAlpha = 1;
}

function isLight(color) {
  const [r, g, b] = [1, 3, 5].map((i) => (parseInt(color.slice(i, i + 2), 16) / 255) ** 2.2);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.18;
}
