"use strict";
// The measures of faces: their lanes below those of the emotions, and the quality of the classified faces.
// A measure's bytes: 0 is unknown, 1 to 255 divide its range evenly; each byte stands for `stride` cells of the timeline.

/** A lane: its lines and what lies as a ribbon under them, each a column of measures.csv and what it is called. */
const MEASURE_LANES = [
  { name: "head", title: "Head", lines: [["yaw", "yaw"], ["pitch", "pitch"], ["roll", "roll"]], around: 30 },
  { name: "eyes", title: "Eyes", lines: [["right_eye", "right"], ["left_eye", "left"]], least: 0.4, blinks: true },
  { name: "mouth", title: "Mouth", lines: [["mouth_opening", "opening"]], least: 0.3, ribbon: ["speaking", "speaking"] },
  { name: "gaze", title: "Gaze", lines: [["gaze_x", "sideways"], ["gaze_y", "down"]], around: 30, most: 45, ribbon: ["looks_at_camera", "at the camera"] },
];
const LINE_COLORS = ["#3f8fdc", "#e08a2e", "#2aa187"], RIBBON_COLOR = "#8d6fd1", BLINK_COLOR = "#d0527c";
const ANGLES = ["yaw", "pitch", "roll", "gaze_x", "gaze_y", "head_gaze_x", "head_gaze_y"];
const LENGTHS = ["right_eye", "left_eye", "mouth_opening", "mouth_width", "right_corner", "left_corner"];

/** A measure's value as people read it. */
function measureText(name, value) {
  if (value === null) return "–";
  const text = ANGLES.includes(name) ? Math.round(value) + "°" : LENGTHS.includes(name) ? value.toFixed(2) : fermedia.percent(Math.max(0, value));
  return text.replace(/^-0°$/, "0°").replace("-", "−");
}

class Measures {
  static MANY = 3; // with more faces no lanes are shown until they are asked for

  /** `data` is the page's; `changed()` is called when other lanes are to be shown. */
  constructor(data, changed) {
    this.data = data;
    this.changed = changed;
    this.lanes = data.faces.length > Measures.MANY ? [] : [...MEASURE_LANES];
    this.decoded = new Map();
  }

  /** The bytes of a face's measure, run by run: {begin, count, stride, bytes, low, high}. */
  parts(face, name) {
    const key = `${face.face_id} ${name}`;
    if (this.decoded.has(key)) return this.decoded.get(key);
    const group = this.data.figures.find((g) => g.names.includes(name)), index = group.names.indexOf(name);
    const { stride } = group, [low, high] = group.ranges[index], text = atob(group.cells[face.face_id] || "");
    const sizes = face.runs.map((run) => Math.ceil(run.count / stride));
    let at = index * sizes.reduce((sum, size) => sum + size, 0);
    const parts = face.runs.map(({ begin, count }, i) => {
      const bytes = Uint8Array.from(text.slice(at, (at += sizes[i])), (c) => c.charCodeAt(0));
      return { begin, count, stride, bytes, low, high };
    });
    this.decoded.set(key, parts);
    return parts;
  }

  /** A face's measure in a cell, null where it is not known. */
  at(face, name, cell) {
    const part = this.parts(face, name).find((p) => cell >= p.begin && cell < p.begin + p.count);
    const byte = part ? part.bytes[Math.floor((cell - part.begin) / part.stride)] : 0;
    return part && byte ? part.low + ((byte - 1) / 254) * (part.high - part.low) : null;
  }

  /** What a lane's lines lie between. */
  range(lane) {
    const ranges = lane.lines.map(([name]) => {
      const group = this.data.figures.find((g) => g.names.includes(name));
      return group.ranges[group.names.indexOf(name)];
    });
    const low = Math.min(...ranges.map((r) => r[0])), high = Math.max(...ranges.map((r) => r[1]));
    if (lane.around) {
      const most = Math.min(lane.most || 180, Math.max(lane.around, 15 * Math.ceil(Math.max(-low, high) / 15)));
      return [-most, most];
    }
    return [Math.min(0, low), Math.max(lane.least || 0.1, high)];
  }

  /** What is said at a moment: all that a lane shows, as [name, word, colour, value]. */
  said(face, lane, cell) {
    const lines = lane.lines.map(([name, word], i) => [name, word, LINE_COLORS[i], this.at(face, name, cell)]);
    return lane.ribbon ? [...lines, [...lane.ribbon, RIBBON_COLOR, this.at(face, lane.ribbon[0], cell)]] : lines;
  }

  /** A line of words for a face's card. */
  words(face, cell) {
    const [yaw, pitch, roll, speaking, looks] = ["yaw", "pitch", "roll", "speaking", "looks_at_camera"].map((n) => this.at(face, n, cell));
    if (yaw === null) return "";
    const pose = `yaw ${measureText("yaw", yaw)}, pitch ${measureText("pitch", pitch)}, roll ${measureText("roll", roll)}`;
    return [pose, speaking >= 0.5 && "speaks", looks >= 0.5 && "looks at the camera"].filter(Boolean).join(" · ");
  }

  /** Buttons for the lanes, and a list of further measures, each of which gets a button once it is picked. */
  tools() {
    const { el } = fermedia;
    const chips = el("div", { class: "chips", role: "group", "aria-label": "Measures that are drawn" });
    const add = (lane, pressed) => {
      const chip = el("button", { type: "button", class: "chip", "aria-pressed": String(pressed), text: lane.title });
      chip.addEventListener("click", () => {
        const on = !this.lanes.includes(lane);
        this.lanes = on ? [...this.lanes, lane] : this.lanes.filter((other) => other !== lane);
        chip.setAttribute("aria-pressed", String(on));
        this.changed();
      });
      chips.append(chip);
    };
    for (const lane of MEASURE_LANES) add(lane, this.lanes.includes(lane));
    const picked = this.data.figures[1], option = (name) => el("option", { value: name, text: name.replaceAll(/(?<=.)_/g, " ") });
    const isShape = (name) => !ANGLES.includes(name) && !LENGTHS.includes(name) && name !== "presence";
    const select = /** @type {HTMLSelectElement} */ (el("select", { "aria-label": "Add a measure" },
      el("option", { value: "", text: "Add a measure …" }),
      el("optgroup", { label: "Measures" }, picked.names.filter((n) => !isShape(n)).map(option)),
      el("optgroup", { label: "Blendshapes" }, picked.names.filter(isShape).map(option))));
    select.addEventListener("change", () => {
      const chosen = select.selectedOptions[0], name = select.value;
      select.value = "";
      if (!name) return;
      const lane = { name, title: chosen.text, lines: [[name, "value"]], around: ANGLES.includes(name) ? 30 : 0 };
      chosen.remove();
      this.lanes = [...this.lanes, lane];
      add(lane, true);
      this.changed();
    });
    const seconds = picked.stride * this.data.step;
    if (picked.stride > 1) select.title = `Means over ${seconds.toFixed(1)} seconds each; measures.csv has all`;
    return el("div", { class: "tools measures-tools" }, chips, select);
  }

  /** A face's rows, one for each lane that is shown: {lane, canvas, row, set(cell)}. */
  rows(face) {
    const { el } = fermedia;
    return this.lanes.map((lane) => {
      const canvas = el("canvas", { class: "measure-lane", role: "img", "aria-label": `${lane.title} of ${fermedia.called(face)} over time` });
      const shown = this.said(face, lane, -1).map(([name, word, color]) => {
        const value = el("em");
        return { name, value, element: el("span", { class: "key" }, fermedia.dot(color), word, value) };
      });
      const key = lane.blinks ? el("span", { class: "key" }, fermedia.dot(BLINK_COLOR), "blinks", el("em", { text: this.blinks(face).length })) : null;
      const row = el("div", { class: "row measure-row" },
        el("div", { class: "label" }, el("span", {}, el("b", { text: lane.title }), shown.map((s) => s.element), key)),
        el("div", { class: "plot" }, canvas));
      const set = (cell) => this.said(face, lane, cell).forEach(([name, , , value], i) => { shown[i].value.textContent = measureText(name, value); });
      return { lane, canvas, row, set };
    });
  }

  blinks(face) { return this.data.blinks.filter((blink) => blink[0] === face.face_id); }

  draw(canvas, face, lane, timeline) {
    const { c, width, height, ink, font } = prepared(canvas);
    if (!width) return;
    const { begin, data: { step }, view: [from, to] } = timeline, [low, high] = this.range(lane);
    const x = (time) => ((time - from) / (to - from)) * width, floor = height - (lane.ribbon ? 13 : 4), top = 4;
    const y = (value) => floor - ((Math.min(high, Math.max(low, value)) - low) / (high - low)) * (floor - top);
    const left = (cell) => x(begin + cell * step);
    c.fillStyle = ink;
    c.globalAlpha = 0.05;
    for (const run of face.runs) c.fillRect(left(run.begin), 0, left(run.begin + run.count) - left(run.begin), height);
    c.globalAlpha = 0.14;
    for (const value of [low, (low + high) / 2, high]) c.fillRect(0, Math.round(y(value)), width, low < 0 && value === 0 ? 1 : 0.5);
    if (lane.blinks) {
      c.fillStyle = BLINK_COLOR;
      for (const [, first, last] of this.blinks(face)) {
        if (x(last) < 0 || x(first) > width) continue;
        const wide = Math.max(2, x(last) - x(first));
        c.globalAlpha = 0.2;
        c.fillRect(x(first), top, wide, floor - top);
        c.globalAlpha = 1;
        c.fillRect(x(first), 0, wide, 3);
      }
    }
    c.lineJoin = "round";
    lane.lines.forEach(([name], i) => {
      c.strokeStyle = LINE_COLORS[i];
      c.globalAlpha = 1;
      c.lineWidth = 1.5;
      for (const line of lines(this.parts(face, name), left, width)) {
        c.beginPath();
        line.forEach(([at, value]) => c.lineTo(at, y(value)));
        if (line.length === 1) c.lineTo(line[0][0] + 1.5, y(line[0][1]));
        c.stroke();
      }
    });
    if (lane.ribbon) {
      c.fillStyle = RIBBON_COLOR;
      for (const line of lines(this.parts(face, lane.ribbon[0]), left, width))
        for (const [at, value, wide] of line) {
          if (value < 0.5) continue;
          c.globalAlpha = Math.min(1, value);
          c.fillRect(at - wide / 2, height - 8, wide + 0.5, 6);
        }
    }
    c.globalAlpha = 0.6;
    c.fillStyle = ink;
    c.font = `10px ${font}`;
    c.textBaseline = "top";
    const name = lane.lines[0][0];
    c.fillText(measureText(name, high), 5, top + 2);
    c.textBaseline = "bottom";
    c.fillText(measureText(name, low), 5, floor - 1);
    c.globalAlpha = 1;
  }
}

/** What of a measure is in view, as lines of [x, value, width], parted where it is not known. Bytes that share a pixel are averaged. */
function* lines(parts, left, width) {
  for (const { begin, count, stride, bytes, low, high } of parts) {
    const pixels = left(stride) - left(0), many = Math.max(1, Math.floor(1 / pixels));
    let line = [];
    const first = Math.max(0, Math.floor((0 - left(begin)) / pixels) - many), last = Math.min(bytes.length, Math.ceil((width - left(begin)) / pixels) + many);
    for (let i = first - (first % many); i < last; i += many) {
      let sum = 0, known = 0;
      for (let j = i; j < Math.min(i + many, bytes.length); j++) if (bytes[j]) { sum += bytes[j] - 1; known++; }
      const end = Math.min(count, (i + many) * stride), x0 = left(begin + i * stride), x1 = left(begin + end);
      if (known) line.push([(x0 + x1) / 2, low + (sum / known / 254) * (high - low), x1 - x0]);
      else if (line.length) { yield line; line = []; }
    }
    if (line.length) yield line;
  }
}

/** Reasons against a reading with their shares, most frequent first: [reason, share]. */
function reasonsOf(row) {
  return window.report.reasons.slice(1).map((reason) => [reason, row[reason + "_share"]])
    .filter(([, share]) => share > 0).sort((a, b) => b[1] - a[1]);
}

/** Whether a reason is one for which a face is not read. */
const isUnread = (reason) => ["small", "turned", "bent"].includes(reason);

/** "turned 12 %, small 3 %": why the rest of the time was not read; `else_` where nothing is known of it. */
function whyNot(row, else_) {
  const reasons = reasonsOf(row).filter(([reason]) => isUnread(reason));
  return reasons.length ? reasons.map(([reason, share]) => `${reason} ${fermedia.percent(share)}`).join(", ") : else_;
}

/** A panel with the share of each quality, null where none is known. `of` is what they are shares of. */
function qualityPanel(row, of) {
  const { el, percent } = fermedia;
  if (typeof row.good_share !== "number") return null;
  const rows = [["good", row.good_share, "nothing speaks against the reading"],
    ...reasonsOf(row).map(([reason, share]) => [reason, share, isUnread(reason) ? "not read" : "read all the same"])];
  return fermedia.section("Can the readings be trusted?", { class: "panel" },
    el("dl", { class: "quality" }, rows.map(([name, share, note]) =>
      el("div", {}, el("dt", { text: name }), el("dd", {}, fermedia.meter(share, name), el("b", { text: percent(share) }), el("small", { text: note }))))),
    el("p", { class: "hint", text: `Shares of ${of}. A face may be several of these at once.` }));
}
