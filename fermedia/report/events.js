"use strict";
// The events of a video as a lane of its timeline: bars, in as many rows as overlap, and marks for moments.
// For the page of a run: the mean courses around the begin of events, and what faces showed in their windows.

const EVENT_COLORS = ["#5a5d9f", "#75653a", "#66707b", "#8a5379", "#3f7369", "#8f563e"]; // none that an emotion has

class Events {
  static HEIGHT = 22; // of a row
  static ROWS = 6; // more that overlap share the last one

  /** `events` are those of the page's data: [begin, end or null, label, trial, condition]. */
  constructor(events) {
    const { el, plural, count } = fermedia;
    this.labels = [...new Set(events.map((e) => e[2]))];
    const ends = [];
    this.list = events.map(([begin, end, label, trial, condition]) => {
      let level = ends.findIndex((last) => last <= begin);
      if (level < 0) level = Math.min(ends.length, Events.ROWS - 1);
      ends[level] = Math.max(ends[level] || 0, end === null ? begin + 0.001 : end);
      return { begin, end, label, trial, condition, level, color: EVENT_COLORS[this.labels.indexOf(label) % EVENT_COLORS.length] };
    });
    this.canvas = el("canvas", { class: "event-lane", role: "img", "aria-label": `Events over time: ${this.labels.join(", ")}` });
    this.canvas.style.height = `${Events.HEIGHT * Math.max(1, ends.length) + 4}px`;
    const kinds = this.labels.length > 1 ? `${count(this.labels.length)} labels` : this.labels[0];
    this.row = events.length ? el("div", { class: "row event-row" },
      el("div", { class: "label" }, el("span", {}, el("b", { text: plural(events.length, "event") }), el("small", { text: kinds }))),
      el("div", { class: "plot" }, this.canvas)) : null;
  }

  /** The events under the pointer. */
  at(event, timeline) {
    const box = this.canvas.getBoundingClientRect(), [from, to] = timeline.view;
    const level = Math.floor((event.clientY - box.top - 2) / Events.HEIGHT), x = event.clientX - box.left;
    const place = (time) => ((time - from) / (to - from)) * box.width;
    return this.list.filter((e) => e.level === level && x >= place(e.begin) - 4 && x <= Math.max(place(e.end ?? e.begin), place(e.begin)) + 4);
  }

  /** What is said of an event: its label, its time, and what else is known. */
  words({ begin, end, label, trial, condition, color }) {
    const { el, clock, dot } = fermedia;
    return [
      el("b", {}, label),
      el("span", {}, dot(color), end === null ? clock(begin, 2) : `${clock(begin, 2)} to ${clock(end, 2)}`),
      ...[trial && `trial ${trial}`, condition].filter(Boolean).map((text) => el("span", { text })),
    ];
  }

  draw(timeline) {
    const { c, width, ink, font } = prepared(this.canvas), [from, to] = timeline.view;
    const x = (time) => ((time - from) / (to - from)) * width;
    c.font = `600 10.5px ${font}`;
    c.textBaseline = "middle";
    for (const e of this.list) {
      const left = x(e.begin), right = x(e.end ?? e.begin), top = 3 + e.level * Events.HEIGHT, height = Events.HEIGHT - 4;
      if (right < 0 || left > width) continue;
      c.globalAlpha = 1;
      c.fillStyle = e.color;
      c.beginPath();
      if (e.end === null) c.roundRect(left - 1.5, top, 3, height, 1.5);
      else c.roundRect(left, top, Math.max(2, right - left), height, 4);
      c.fill();
      if (e.end !== null) rim(c, ink, left, top, right - left, height, 4);
      this.write(c, e, { from: Math.max(left, 0) + (e.end === null ? 5 : 7), room: this.room(e, x, Math.min(right, width)), ink, y: top + height / 2 + 0.5 });
    }
    c.globalAlpha = 1;
  }

  /** Up to where an event's label may stand: its own end, or for a moment the next event of its row. */
  room(event, x, right) {
    if (event.end !== null) return right - 4;
    const next = this.list.find((e) => e.level === event.level && e.begin > event.begin);
    return next ? x(next.begin) - 4 : Infinity;
  }

  write(c, event, { from, room, ink, y }) {
    let text = event.label;
    while (text && from + c.measureText(text).width > room) text = text.length > 4 ? text.slice(0, -2).trimEnd() + "…" : "";
    if (!text) return;
    c.fillStyle = event.end === null ? ink : "#fff";
    c.fillText(text, from, y);
  }
}

const COURSE = { width: 360, tall: 150, low: 74, left: 44, bottom: 18, gap: 10 };

/** A round step at most a fifth of a length. */
function courseStep(length) {
  return [0.01, 0.02, 0.05, 0.1, 0.2, 0.25, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600].find((s) => length / s <= 6) || length;
}

/** A plot of lines with their intervals, from..to seconds around an event and low..high; `lines` are {color, means, lows, highs}. */
function coursePlot(lines, course, [from, to], [low, high], height, title, unit) {
  const { el } = fermedia, { width, left, bottom, gap } = COURSE;
  const x = (time) => left + ((time - from) / (to - from)) * (width - left - gap);
  const y = (value) => 6 + ((high - Math.min(high, Math.max(low, value))) / (high - low)) * (height - bottom - 6);
  const middles = course.begins.map((begin, i) => x((begin + course.ends[i]) / 2));
  const runs = (values) => {
    const found = [[]];
    values.forEach((value, i) => (value === null ? found.push([]) : found.at(-1).push(i)));
    return found.filter((run) => run.length);
  };
  const grid = [], step = courseStep(high - low), seconds = courseStep(to - from);
  for (let v = Math.ceil(low / step - 1e-6) * step; v <= high + 1e-6; v += step)
    grid.push(el("line", { class: Math.abs(v) < 1e-6 ? "zero" : "grid", x1: left, x2: width - gap, y1: y(v), y2: y(v) }), chartText(left - 5, y(v) + 3.5, unit(v), "end"));
  for (let t = Math.ceil(from / seconds - 1e-6) * seconds; t <= to + 1e-6; t += seconds)
    grid.push(chartText(x(t), height - 4, (Math.round(t * 100) / 100 + "").replace("-", "−"), "middle"));
  const bands = lines.flatMap((line) => runs(line.lows).filter((run) => run.length > 1).map((run) =>
    el("path", { class: "band", fill: line.color, d: `M${[...run.map((i) => `${middles[i]} ${y(line.highs[i])}`), ...[...run].reverse().map((i) => `${middles[i]} ${y(line.lows[i])}`)].join("L")}Z` })));
  const paths = lines.flatMap((line) => runs(line.means).map((run) => ({
    color: line.color,
    d: run.length > 1 ? `M${run.map((i) => `${middles[i]} ${y(line.means[i])}`).join("L")}` : `M${middles[run[0]] - 2} ${y(line.means[run[0]])}h4`,
  })));
  const strokes = [true, false].flatMap((casing) => // a rim first, so that yellow and grey stand out on white
    paths.map(({ color, d }) => el("path", { class: casing ? "course casing" : "course", stroke: casing ? "currentColor" : color, d })));
  return el("svg", { class: "course-plot", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": title },
    grid, bands, strokes, el("line", { class: "onset", x1: x(0), x2: x(0), y1: 4, y2: height - bottom }));
}

function chartText(x, y, text, anchor) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", "text");
  for (const [name, value] of Object.entries({ x, y, "text-anchor": anchor })) node.setAttribute(name, String(value));
  node.textContent = text;
  return node;
}

/** The section of a run's page about events. `data` is that of the page. */
function eventsSection(data) {
  const { el, percent, plural, count } = fermedia, events = data.run_events;
  const signed = (value, digits = 2) => (value === null ? "–" : (value > 0 ? "+" : "") + value.toFixed(digits)).replace("-", "−");
  const of = (row) => [row.label, row.condition].filter(Boolean).join(", ");
  const changes = events.windows.some((row) => row.change_valence !== null);
  const head = ["Label", "Windows", "Classified", "Valence", ...(changes ? ["Change of valence"] : []), "Mean probability"];
  const table = el("table", { class: "rows" },
    el("thead", {}, el("tr", {}, head.map((h) => el("th", { scope: "col", text: h })))),
    el("tbody", {}, events.windows.map((row) => {
      const cells = [
        [count(row.windows), el("small", { text: `${events.over === "items" ? "in" : "of"} ${plural(row.units, events.over === "items" ? "item" : "participant")}` })],
        [row.share === null ? "–" : percent(row.share)],
        [row.valence === null ? "–" : row.valence.toFixed(2).replace("-", "−")],
        ...(changes ? [[signed(row.change_valence)]] : []),
        [fermedia.shareBar(row.means, of(row))],
      ];
      return el("tr", {}, el("th", { scope: "row", text: of(row) || "Whole video" }),
        cells.map((cell, i) => el("td", { "data-label": head[i + 1], class: i === cells.length - 1 && "wide" }, cell)));
    })));
  const plots = el("div", { class: "courses" });
  const draw = (change) => {
    const part = (c, names, color) => names.map((name) => ({
      color: color(name), means: c[change ? "change" : "value"][name], lows: c[change ? "change_low" : "low"][name], highs: c[change ? "change_high" : "high"][name],
    }));
    const emotions = data.emotions.map((e) => e.name), colorOf = (name) => fermedia.colorOf(name);
    const extent = (names, least) => {
      const all = events.courses.flatMap((c) => part(c, names, colorOf).flatMap((l) => [...l.means, ...l.lows, ...l.highs])).filter((v) => v !== null);
      const most = Math.min(change && names[0] === "valence" ? 2 : 1, Math.max(least, ...all.map(Math.abs)) * 1.04);
      return /** @type {[number, number]} */ ([change || names[0] === "valence" ? -most : 0, most]);
    };
    /** @type {[number, number]} */
    const span = [Math.min(...events.courses.map((c) => c.begins[0])), Math.max(...events.courses.map((c) => c.ends.at(-1)))];
    const ranges = [extent(emotions, 0.1), extent(["valence"], 0.1)];
    plots.replaceChildren(...events.courses.map((c) => el("figure", {},
      el("figcaption", {}, el("b", { text: of(c) }), el("small", { text: `${plural(c.events, "event")} ${events.over === "items" ? "in" : "of"} ${plural(c.count, c.over === "items" ? "item" : "participant")}` })),
      coursePlot(part(c, emotions, colorOf), c, span, ranges[0], COURSE.tall, `${of(c)}: ${change ? "change of the " : ""}mean probabilities around the begin`, (v) => `${Math.round(100 * v)} %`.replace("-", "−")),
      el("small", { class: "what", text: change ? "Change of valence" : "Valence" }),
      coursePlot(part(c, ["valence"], () => "currentColor"), c, span, ranges[1], COURSE.low, `${of(c)}: ${change ? "change of the " : ""}mean valence around the begin`, (v) => (Math.round(v * 100) / 100 + "").replace("-", "−")))));
  };
  if (events.courses.length) draw(false);
  const mode = (name, change) => {
    const button = el("button", { type: "button", "aria-pressed": String(!change), text: name });
    button.addEventListener("click", () => {
      for (const other of button.parentNode.children) other.setAttribute("aria-pressed", String(other === button));
      draw(change);
    });
    return button;
  };
  const one = events.over === "items" ? "an item" : "a participant", each = events.over === "items" ? "items" : "participants";
  return fermedia.section(events.whole ? "Compared with the baseline" : "Events", { class: "panel" },
    fermedia.legend(),
    el("div", { class: "scroll" }, table),
    events.more > 0 && el("p", { class: "hint", text: `${plural(events.more, "more label")}: see windows.csv and courses.csv.` }),
    events.courses.length ? [
      el("div", { class: "tools courses-tools" }, el("h3", { text: "Around the begin, in seconds" }),
        changes && el("div", { class: "segmented", role: "group", "aria-label": "What is drawn" }, mode("Values", false), mode("Change from the baseline", true))),
      plots] : null,
    el("p", { class: "hint", text: `Means over ${each}, each counting once: ${one}'s value is the mean of its windows.${events.courses.length ? " Bands are 95 % intervals (Student’s t)." : ""}` }));
}
