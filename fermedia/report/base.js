"use strict";
// Shared by all pages: elements, number formats, the theme, bars, tables. Names are inserted as text, never as HTML.

const fermedia = (() => {
  const THIN = "\u202f"; // between a number and its unit, which stay on one line

  /** An element. Properties: `class`, `text`, `on` (events), `data`; all others are attributes, left out if null or false. */
  function el(tag, properties = {}, ...children) {
    const svg = ["svg", "rect", "path", "circle", "g", "title", "line"].includes(tag) && properties.svg !== false;
    const node = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
    for (const [name, value] of Object.entries(properties)) {
      if (value === null || value === undefined || value === false || name === "svg") continue;
      if (name === "text") node.textContent = value;
      else if (name === "on") for (const [event, act] of Object.entries(value)) node.addEventListener(event, act);
      else if (name === "color") node.style.setProperty("--c", value);
      else node.setAttribute(name, value === true ? "" : value);
    }
    node.append(...children.flat(3).filter((child) => child !== null && child !== undefined && child !== false));
    return node;
  }

  const icon = (path, properties = {}) =>
    el("svg", { viewBox: "0 0 20 20", class: "icon", "aria-hidden": "true", ...properties }, el("path", { d: path }));

  // -- numbers ------------------------------------------------------------------------------------------------------

  /** A share as "42 %", or as "0.4 %" where it is small. */
  function percent(share) {
    if (share === null || share === undefined) return "–";
    const value = 100 * share;
    const places = value > 0 && value < 0.95 ? 1 : value > 99 && value < 100 ? 1 : 0;
    return (value > 0 && value < 0.05 ? "< 0.1" : value.toFixed(places)) + THIN + "%";
  }

  /** A time as "1:04.2", with hours where there are some. */
  function clock(seconds, places = 1) {
    if (seconds === null || seconds === undefined) return "–";
    const unit = 10 ** places, ticks = Math.round(Math.abs(seconds) * unit);
    const whole = Math.floor(ticks / unit), h = Math.floor(whole / 3600), m = Math.floor(whole / 60) % 60;
    const fraction = places ? "." + String(ticks % unit).padStart(places, "0") : "";
    const rest = String(whole % 60).padStart(2, "0") + fraction;
    return (seconds < 0 ? "−" : "") + (h ? `${h}:${String(m).padStart(2, "0")}` : m) + ":" + rest;
  }

  /** A length of time as "11.0 s", "3 min 20 s", "2 h 5 min". */
  function length(seconds) {
    if (seconds === null || seconds === undefined) return "–";
    if (seconds < 59.95) return seconds.toFixed(1) + THIN + "s";
    const s = Math.round(seconds), m = Math.floor(s / 60);
    if (m < 60) return `${m}${THIN}min ${s % 60}${THIN}s`;
    return `${Math.floor(m / 60)}${THIN}h ${m % 60}${THIN}min`;
  }

  const count = (n) => Number(n).toLocaleString("en").replaceAll(",", "\u202f");
  const plural = (n, one, many = one + "s") => `${count(n)} ${n === 1 ? one : many}`;
  const capital = (word) => (word ? word[0].toUpperCase() + word.slice(1) : "–");

  /** What a face is called: its person's name, or else its number. */
  const called = (face) => face.person || "#" + face.face_id;

  /** That with the number beside a name; "All" for the row of all faces. */
  const faceName = (face) => (face.level === "item" ? "All" : [called(face), face.person && [" ", el("small", { text: "#" + face.face_id })]]);

  // -- the theme ----------------------------------------------------------------------------------------------------

  const root = document.documentElement;
  const remembered = { // not every browser lets a page from the disk remember anything
    get: () => { try { return localStorage.getItem("fermedia-theme"); } catch { return null; } },
    set: (theme) => { try { localStorage.setItem("fermedia-theme", theme); } catch { /* then not */ } },
  };
  const wish = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : wish.matches);
  const redraws = [];
  const redraw = () => redraws.forEach((act) => act());
  if (["dark", "light"].includes(remembered.get())) root.dataset.theme = remembered.get();
  wish.addEventListener("change", redraw);
  window.addEventListener("beforeprint", () => { root.dataset.printing = ""; redraw(); });
  window.addEventListener("afterprint", () => { delete root.dataset.printing; redraw(); });

  function themeButton() {
    const button = el("button", { class: "ghost", type: "button", title: "Light or dark", "aria-label": "Light or dark" },
      icon("M10 3a7 7 0 1 0 0 14V3Z M10 2a8 8 0 1 1 0 16 8 8 0 0 1 0-16Z", { "fill-rule": "evenodd" }));
    button.addEventListener("click", () => {
      root.dataset.theme = isDark() ? "light" : "dark";
      remembered.set(root.dataset.theme);
      redraw();
    });
    return button;
  }

  // -- parts of pages -----------------------------------------------------------------------------------------------

  /** The page's head: where one is, what it is, and below it `notes`, a line of facts. */
  function header(title, { up = null, path = null, notes = [] } = {}) {
    const home = up ? el("a", { class: "up", href: up }, icon("M12.5 4 6.5 10l6 6"), "All results") : el("span");
    document.body.append(
      el("header", { class: "top" },
        el("nav", { class: "bar" }, up ? home : el("span", { class: "mark" }, mark(), "fermedia"), themeButton()),
        path && el("p", { class: "path", text: path }),
        el("h1", { text: title }),
        el("p", { class: "notes" }, notes.filter(Boolean).map((note) => el("span", { text: note })))));
  }

  function mark() {
    const colors = window.report.emotions.map((e) => e.color);
    return el("svg", { viewBox: "0 0 22 14", class: "logo", "aria-hidden": "true" },
      [[0, 8, 4], [6, 4, 3], [12, 0, 5], [18, 6, 0]].map(([x, y, c]) =>
        el("rect", { x, y, width: 4, height: 14 - y, rx: 1.5, fill: colors[c] })));
  }

  const section = (title, properties, ...children) =>
    el("section", properties, el("h2", { text: title }), ...children);

  /** Large figures, each with what it is a share of: [name, value, of what]. */
  const figures = (rows) =>
    el("dl", { class: "figures" }, rows.filter(Boolean).map(([name, value, note]) =>
      el("div", {}, el("dt", { text: name }), el("dd", {}, el("b", {}, value), note && el("small", { text: note })))));

  const dot = (color) => el("i", { class: "dot", color, "aria-hidden": "true" });
  const colorOf = (emotion) => (window.report.emotions.find((e) => e.name === emotion) || {}).color || null;
  const emotionName = (emotion) =>
    emotion ? el("span", { class: "emotion" }, dot(colorOf(emotion)), capital(emotion)) : el("span", { class: "dim", text: "–" });

  /** Shares that sum to 1 as one bar; `shares` in the order of the emotions. */
  function shareBar(shares, what) {
    if (!shares || shares[0] === null) return el("span", { class: "dim", text: "–" });
    const parts = window.report.emotions.map((e, i) => ({ ...e, share: shares[i] })).filter((e) => e.share > 0);
    const words = [...parts].sort((a, b) => b.share - a.share).map((e) => `${e.name} ${percent(e.share)}`).join(", ");
    let x = 0;
    const bar = el("svg", { class: "shares", viewBox: "0 0 100 10", preserveAspectRatio: "none", role: "img", "aria-label": `${what}: ${words}` },
      el("title", { text: words }),
      parts.map((e) => {
        const width = 100 * e.share, part = el("rect", { x: x.toFixed(3), y: 0, width: width.toFixed(3), height: 10, fill: e.color });
        x += width;
        return part;
      }));
    return bar;
  }

  const meter = (share, label) =>
    el("svg", { class: "meter", viewBox: "0 0 100 10", preserveAspectRatio: "none", role: "img", "aria-label": `${label} ${percent(share)}` },
      el("rect", { class: "track", x: 0, y: 0, width: 100, height: 10 }),
      el("rect", { class: "fill", x: 0, y: 0, width: (100 * (share || 0)).toFixed(2), height: 10 }));

  const legend = () =>
    el("ul", { class: "legend", "aria-label": "Colours" },
      window.report.emotions.map((e) => el("li", {}, dot(e.color), e.name)));

  /** Bars of shares below each other, with what they are shares of: [name, shares, coverage, of what]. */
  const overall = (rows) => [legend(), rows.map(([name, shares, coverage, what]) =>
    el("div", { class: "overall" }, el("b", { text: name }), shareBar(shares, name),
      el("small", { text: `${what}, ${percent(coverage)} coverage` })))];

  /** Buttons of which any may be pressed; `act` gets the set of pressed values. */
  function chips(options, act, label) {
    const pressed = new Set();
    const group = el("div", { class: "chips", role: "group", "aria-label": label });
    for (const { value, text, color, number } of options) {
      const chip = el("button", { type: "button", class: "chip", "aria-pressed": "false", "data-value": value, disabled: number === 0 },
        color ? dot(color) : null, text, number === undefined ? null : el("small", { text: count(number) }));
      chip.addEventListener("click", () => {
        if (!pressed.delete(value)) pressed.add(value);
        chip.setAttribute("aria-pressed", String(pressed.has(value)));
        act(pressed);
      });
      group.append(chip);
    }
    return group;
  }

  /** `make(thing)` for the first `first` things, and a button for as many more each time. */
  function more(things, make, first, what) {
    const list = el("div", { class: "more-list" });
    const button = el("button", { type: "button", class: "more" });
    let done = 0;
    const add = () => {
      list.append(...things.slice(done, done + first).map(make));
      done = Math.min(things.length, done + first);
      button.hidden = done >= things.length;
      button.textContent = `Show ${count(Math.min(first, things.length - done))} more of ${count(things.length)} ${what}`;
    };
    button.addEventListener("click", add);
    add();
    return { list, button };
  }

  const facts = (rows) =>
    el("dl", { class: "facts" }, rows.filter((row) => row[1] !== null && row[1] !== undefined && row[1] !== "").map(([name, value]) =>
      el("div", {}, el("dt", { text: name }), el("dd", {}, value instanceof Node ? value : String(value)))));

  const downloads = (files) =>
    el("ul", { class: "files" }, files.map((f) => el("li", {}, el("a", { href: f.href, text: f.name }))));

  const warnings = (lines) =>
    lines.length ? el("div", { class: "warning", role: "note" }, lines.map((line) => el("p", { text: line }))) : null;

  const optionFacts = (options) =>
    Object.entries(options).filter(([, value]) => value !== null)
      .map(([name, value]) => [name.replaceAll("_", " "), value === true ? "yes" : value === false ? "no" : value === "" || value.length === 0 ? "none" : value]);

  const footer = (version) =>
    document.body.append(el("footer", {},
      el("p", { text: "A network that reads faces says what a face looks like, not what a person feels." }),
      el("p", { text: `Made with fermedia ${version || ""}` })));

  return {
    el, icon, percent, clock, length, count, plural, capital, called, faceName, header, section, figures, dot, colorOf, emotionName,
    shareBar, meter, legend, overall, chips, more, facts, downloads, warnings, optionFacts, footer,
    onRedraw: (act) => redraws.push(act),
  };
})();
