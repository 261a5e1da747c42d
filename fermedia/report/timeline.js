"use strict";
// The timeline of a video: a lane per face with its probabilities and segments, on a common time axis that can be zoomed.
// A cell is eight bytes: 0 absent, 1 seen but not classified or 2 classified; then seven probabilities times 250.

class Timeline {
  static LANES = 6; // shown at first, and added each time
  static OVERVIEW_ROWS = 30;

  /** `data` is the page's; `seek(time)` is called where one clicks. */
  constructor(data, seek) {
    this.data = data;
    this.seek = seek;
    this.begin = data.begin;
    this.end = Math.max(data.end, data.begin + data.step);
    /** @type {[number, number]} */
    this.view = [this.begin, this.end];
    /** Set by who can play the video. @type {(() => void) | null} */
    this.onPlay = null;
    this.time = this.begin;
    this.stacked = true;
    this.shown = new Set(data.emotions.map((_, i) => i));
    this.lanes = [];
    this.faces = data.faces.map((face) => this.readFace(face));
    this.measures = data.figures ? new Measures(data, () => this.arrange()) : null;
    this.element = this.build();
    new ResizeObserver(() => this.draw()).observe(this.axis);
    fermedia.onRedraw(() => this.draw());
  }

  readFace(face) {
    const runs = (this.data.curves[face.face_id] || []).map(({ begin, count, cells }) => {
      const text = atob(cells), bytes = new Uint8Array(text.length);
      for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
      return { begin, bytes, count };
    });
    return { ...face, runs, segments: this.data.segments.filter((s) => s[0] === face.face_id) };
  }

  /** What is known of a face at a time: null if it is absent, else {judged, p}. */
  at(face, time) {
    const cell = this.cellAt(time);
    const run = face.runs.find((r) => cell >= r.begin && cell < r.begin + r.count);
    if (!run) return null;
    const at = 8 * (cell - run.begin);
    return { judged: run.bytes[at] === 2, p: Array.from(run.bytes.subarray(at + 1, at + 8), (v) => v / 250) };
  }

  cellAt(time) { return Math.floor((time - this.begin) / this.data.step + 1e-6); }

  // -- elements -----------------------------------------------------------------------------------------------------

  build() {
    const { el, icon } = fermedia;
    this.axis = el("canvas", { class: "axis" });
    this.events = new Events(this.data.events);
    this.overview = el("canvas", { class: "overview", title: "Drag to zoom in" });
    this.readout = el("output", { class: "readout" });
    this.cursor = el("div", { class: "cursor" });
    this.window = el("div", { class: "window" });
    this.tip = el("div", { class: "tip", hidden: true });
    this.list = el("div", { class: "lanes" });
    this.moreButton = el("button", { class: "more", type: "button", on: { click: () => this.addLanes() } });
    const zoom = (label, path, act) =>
      el("button", { class: "ghost", type: "button", title: label, "aria-label": label, on: { click: act } }, icon(path));
    const mode = (name, stacked) => {
      const button = el("button", { type: "button", "aria-pressed": String(stacked === this.stacked), text: name });
      button.addEventListener("click", () => {
        this.stacked = stacked;
        for (const other of button.parentNode.children) other.setAttribute("aria-pressed", String(other === button));
        this.draw();
      });
      return button;
    };
    this.body = el("div", {
      class: "tl-body", role: "slider", tabindex: "0", "aria-label": "Time in the video",
      "aria-valuemin": this.begin.toFixed(2), "aria-valuemax": this.end.toFixed(2), "aria-describedby": "tl-help",
    },
      el("div", { class: "row" }, el("div", { class: "label" }, "Whole video"),
        el("div", { class: "plot" }, this.overview, this.window)),
      el("div", { class: "row" }, el("div", { class: "label" }, this.readout), el("div", { class: "plot" }, this.axis)),
      this.events.row,
      this.list,
      el("div", { class: "over" }, this.cursor),
      this.tip);
    this.addLanes();
    this.listen();
    return el("div", { class: "timeline" },
      el("div", { class: "tools" },
        el("div", { class: "segmented", role: "group", "aria-label": "How probabilities are drawn" }, mode("Stacked", true), mode("Lines", false)),
        this.legend(),
        el("div", { class: "zoom" },
          zoom("Zoom in", "M9 4a5 5 0 1 1 0 10A5 5 0 0 1 9 4Zm4 9 4 4M9 7v4M7 9h4", () => this.zoom(0.5)),
          zoom("Zoom out", "M9 4a5 5 0 1 1 0 10A5 5 0 0 1 9 4Zm4 9 4 4M7 9h4", () => this.zoom(2)),
          zoom("Whole video", "M3 8V4h4M13 4h4v4M17 12v4h-4M7 16H3v-4", () => this.show(this.begin, this.end)))),
      this.measures && this.measures.tools(),
      this.body, this.moreButton,
      el("p", { id: "tl-help", class: "hint", text: "Click to move the video. Arrow keys step, with Shift by five seconds; + and − zoom, 0 shows all, space plays." }));
  }

  legend() {
    return fermedia.el("div", { class: "chips", role: "group", "aria-label": "Emotions that are drawn" },
      this.data.emotions.map((emotion, i) => {
        const chip = fermedia.el("button", { type: "button", class: "chip", "aria-pressed": "true" }, fermedia.dot(emotion.color), emotion.name);
        chip.addEventListener("click", () => {
          if (!this.shown.delete(i)) this.shown.add(i);
          chip.setAttribute("aria-pressed", String(this.shown.has(i)));
          this.draw();
        });
        return chip;
      }));
  }

  addLanes() {
    const { el, percent, count } = fermedia;
    for (const face of this.faces.slice(this.lanes.length, this.lanes.length + Timeline.LANES)) {
      const canvas = el("canvas", { class: "lane", role: "img", "aria-label": `Probabilities of ${fermedia.called(face)} over time` });
      const image = this.data.moments.find((m) => m.face === face.face_id);
      const more = el("div");
      this.list.append(el("div", { class: "face-rows" }, el("div", { class: "row" },
        el("div", { class: "label" },
          image ? el("img", { class: "avatar", src: image.file, alt: "", loading: "lazy" }) : el("span", { class: "avatar" }),
          el("span", {}, el("b", { text: fermedia.called(face) }), el("small", { text: `${face.person ? `#${face.face_id}, ` : ""}${percent(face.coverage)} in view` }))),
        el("div", { class: "plot" }, canvas)), more));
      const lane = { face, canvas, more, rows: [] };
      this.lanes.push(lane);
      this.arrangeLane(lane);
    }
    const left = this.faces.length - this.lanes.length;
    this.moreButton.hidden = left <= 0;
    this.moreButton.textContent = `Show ${Math.min(left, Timeline.LANES)} more of ${count(this.faces.length)} faces`;
    this.draw();
  }

  /** Show the lanes of measures that are chosen, of every face. */
  arrange() {
    this.lanes.forEach((lane) => this.arrangeLane(lane));
    this.draw();
  }

  arrangeLane(lane) {
    if (!this.measures) return;
    lane.rows = this.measures.rows(lane.face);
    lane.more.replaceChildren(...lane.rows.map((r) => r.row));
    lane.rows.forEach((r) => r.set(this.cellAt(this.time)));
  }

  // -- acting -------------------------------------------------------------------------------------------------------

  listen() {
    let pressed = false;
    const onPlot = (event) => event.target.closest("canvas") && event.target !== this.overview;
    this.body.addEventListener("pointerdown", (event) => {
      if (event.button || !onPlot(event)) return;
      pressed = true;
      this.body.setPointerCapture(event.pointerId);
      this.seek(this.timeAt(event.clientX));
    });
    this.body.addEventListener("pointermove", (event) => {
      if (pressed) this.seek(this.timeAt(event.clientX));
      this.hover(event);
    });
    for (const name of ["pointerup", "pointercancel"]) this.body.addEventListener(name, () => { pressed = false; });
    this.body.addEventListener("pointerleave", () => { this.tip.hidden = true; });
    this.body.addEventListener("wheel", (event) => {
      if (!event.ctrlKey) return;
      event.preventDefault();
      this.zoom(event.deltaY > 0 ? 1.25 : 0.8, this.timeAt(event.clientX));
    }, { passive: false });
    this.body.addEventListener("keydown", (event) => this.key(event));
    this.listenOverview();
  }

  listenOverview() {
    let from = null, moved = false;
    const timeOf = (event) => {
      const box = this.overview.getBoundingClientRect();
      const share = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
      return this.begin + share * (this.end - this.begin);
    };
    this.overview.addEventListener("pointerdown", (event) => {
      from = timeOf(event);
      moved = false;
      this.overview.setPointerCapture(event.pointerId);
    });
    this.overview.addEventListener("pointermove", (event) => {
      if (from === null) return;
      const to = timeOf(event);
      moved = moved || Math.abs(to - from) > (this.end - this.begin) / 100;
      if (moved) this.show(Math.min(from, to), Math.max(from, to));
    });
    this.overview.addEventListener("pointerup", (event) => {
      if (from !== null && !moved) this.seek(timeOf(event));
      from = null;
    });
    this.overview.addEventListener("dblclick", () => this.show(this.begin, this.end));
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const step = event.shiftKey ? 5 : this.data.step;
    const acts = {
      ArrowRight: () => this.seek(this.time + step), ArrowLeft: () => this.seek(this.time - step),
      ArrowUp: () => this.seek(this.time + step), ArrowDown: () => this.seek(this.time - step),
      PageUp: () => this.seek(this.time + 10), PageDown: () => this.seek(this.time - 10),
      Home: () => this.seek(this.begin), End: () => this.seek(this.end),
      "+": () => this.zoom(0.5), "=": () => this.zoom(0.5), "-": () => this.zoom(2), 0: () => this.show(this.begin, this.end),
      " ": () => this.onPlay && this.onPlay(),
    };
    if (!acts[event.key]) return;
    event.preventDefault();
    acts[event.key]();
  }

  hover(event) {
    const lane = this.lanes.find((l) => l.canvas === event.target || l.rows.some((r) => r.canvas === event.target));
    const time = this.timeAt(event.clientX), measured = lane && lane.rows.find((r) => r.canvas === event.target);
    const seen = lane && this.at(lane.face, time);
    const happens = event.target === this.events.canvas ? this.events.at(event, this) : [];
    this.tip.hidden = !lane && !happens.length;
    if (this.tip.hidden) return;
    const { el, clock, percent } = fermedia;
    const rows = seen && seen.judged
      ? this.data.emotions.map((e, i) => [e, seen.p[i]]).sort((a, b) => b[1] - a[1]).slice(0, 3)
      : [];
    const said = measured ? this.measures.said(lane.face, measured.lane, this.cellAt(time)) : [];
    if (!lane) this.tip.replaceChildren(...happens.flatMap((e) => this.events.words(e)));
    else if (measured) this.tip.replaceChildren(el("b", { text: clock(time, 2) }),
      ...said.map(([name, word, color, value]) => el("span", {}, fermedia.dot(color), word, el("em", { text: measureText(name, value) }))));
    else this.tip.replaceChildren(
      el("b", { text: clock(time, 2) }),
      ...rows.map(([e, p]) => el("span", {}, fermedia.dot(e.color), e.name, el("em", { text: percent(p) }))),
      ...(rows.length ? [] : [el("span", { text: seen ? "not classified" : "not in view" })]));
    const box = this.body.getBoundingClientRect(), width = this.tip.offsetWidth;
    const x = Math.min(Math.max(event.clientX - box.left + 14, 0), box.width - width);
    this.tip.style.transform = `translate(${x}px, ${event.clientY - box.top + 16}px)`;
  }

  setTime(time, playing = false) {
    this.time = time;
    const [from, to] = this.view, length = to - from;
    if (playing && (time > to || time < from) && length < this.end - this.begin) this.show(time, time + length);
    this.body.setAttribute("aria-valuenow", time.toFixed(2));
    this.body.setAttribute("aria-valuetext", fermedia.clock(time, 2));
    this.readout.textContent = fermedia.clock(time, 2);
    for (const lane of this.lanes) lane.rows.forEach((r) => r.set(this.cellAt(time)));
    this.placeCursor();
  }

  /** Make the view from..to, moved into the video and not shorter than some cells. */
  show(from, to) {
    const whole = this.end - this.begin;
    const length = Math.min(whole, Math.max(to - from, 8 * this.data.step));
    const start = Math.min(Math.max(from, this.begin), this.end - length);
    this.view = [start, start + length];
    this.draw();
  }

  zoom(factor, about = this.time) {
    const [from, to] = this.view, fixed = Math.min(Math.max(about, from), to);
    this.show(fixed - (fixed - from) * factor, fixed + (to - fixed) * factor);
  }

  timeAt(clientX) {
    const box = this.axis.getBoundingClientRect(), [from, to] = this.view;
    return Math.min(this.end, Math.max(this.begin, from + ((clientX - box.left) / box.width) * (to - from)));
  }

  // -- drawing ------------------------------------------------------------------------------------------------------

  draw() {
    if (this.waiting || !this.axis) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      drawAxis(this.axis, this.view);
      drawOverview(this.overview, this);
      if (this.events.row) this.events.draw(this);
      for (const lane of this.lanes) {
        drawLane(lane.canvas, lane.face, this);
        lane.rows.forEach((r) => this.measures.draw(r.canvas, lane.face, r.lane, this));
      }
      const whole = this.end - this.begin, [from, to] = this.view;
      this.window.hidden = to - from > 0.999 * whole;
      this.window.style.left = `${(100 * (from - this.begin)) / whole}%`;
      this.window.style.width = `${(100 * (to - from)) / whole}%`;
      this.placeCursor();
    });
  }

  placeCursor() {
    const [from, to] = this.view, share = (this.time - from) / (to - from);
    this.cursor.hidden = share < 0 || share > 1;
    this.cursor.style.left = `${100 * share}%`;
  }
}
