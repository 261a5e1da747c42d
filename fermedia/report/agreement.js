"use strict";
// The page of fermedia agree: coders compared with each other and with the machine.

(() => {
  const { el, count, plural, section } = fermedia;
  const data = window.report;
  const rows = data.agreement;
  const key = (row) => `${row.coder_1}\n${row.coder_2 ?? ""}`;
  const pairs = [...new Map(rows.map((row) => [key(row), row])).values()];
  const isMachine = (row) => row.coder_2 === data.machine;
  const title = (row) => (row.coder_2 === null ? "All coders" : `${row.coder_1} and ${isMachine(row) ? "fermedia" : row.coder_2}`);
  const find = (pair, label, statistic) => rows.find((r) => key(r) === key(pair) && r.label === label && r.statistic === statistic);
  const nominal = (pair) => rows.filter((r) => key(r) === key(pair) && r.statistic === "agreement").map((r) => r.label);
  const isNumeric = (row) => row.statistic.startsWith("icc") || row.statistic === "r";

  const figure = (value) => (value === null || value === undefined ? "–" : value.toFixed(2).replace(/^-(?=0\.00$)/, "").replace("-", "−"));
  const between = (row) => (row && row.low !== null ? `${figure(row.low)} to ${figure(row.high)}` : null);
  const amount = (row) => (row.seconds === null ? plural(row.frames, "frame") : fermedia.length(row.seconds));

  const number = (row, name) => el("td", { class: "number", "data-label": name }, row ? figure(row.value) : "–", between(row) && el("small", { text: between(row) }));

  /** A value with its interval on a line from 0 (or below) to 1. */
  function interval(row) {
    if (!row || row.value === null) return el("td", { class: "wide" });
    const lowest = Math.min(0, ...rows.filter((r) => r.statistic === row.statistic && r.value !== null).flatMap((r) => [r.value, r.low ?? 0]));
    const low = Math.max(-1, lowest), x = (value) => (100 * (Math.max(low, value) - low)) / (1 - low);
    const line = (a, b, y, name) => el("line", { x1: x(a), x2: x(b), y1: y, y2: y, class: name });
    return el("td", { class: "wide" },
      el("svg", { class: "interval", viewBox: "0 0 100 10", preserveAspectRatio: "none", role: "img", "aria-label": `${figure(row.value)}${between(row) ? `, ${between(row)}` : ""}` },
        line(low, 1, 5, "axis-line"),
        el("line", { x1: x(0), x2: x(0), y1: 1, y2: 9, class: "axis-line" }), el("line", { x1: 100, x2: 100, y1: 1, y2: 9, class: "axis-line" }),
        row.low === null ? null : line(row.low, row.high, 5, "whisker"),
        el("rect", { class: "point", x: x(row.value) - 0.9, y: 1.5, width: 1.8, height: 7 })));
  }

  const table = (head, body) =>
    el("div", { class: "scroll" }, el("table", { class: "rows" },
      el("thead", {}, el("tr", {}, head.map((text) => el("th", { scope: "col", class: text ? "number" : null, text })))), el("tbody", {}, body)));

  function overall() {
    const body = pairs.filter((pair) => nominal(pair).includes(data.all)).map((pair) => {
      const kappa = find(pair, data.all, "kappa") || find(pair, data.all, "fleiss_kappa"), agreed = find(pair, data.all, "agreement");
      return el("tr", {},
        el("th", { scope: "row" }, title(pair)),
        number(kappa, "kappa"), interval(kappa), number(find(pair, data.all, "ac1"), "AC1"), number(find(pair, data.all, "f1"), "F1"), number(agreed, "agreement"),
        el("td", { class: "number", "data-label": "compared" }, amount(agreed), el("small", { text: plural(agreed.items, "item") })));
    });
    if (!body.length) return null;
    return section("All labels together", { class: "panel", id: "overall" },
      table(["", "kappa", "", "AC1", "F1", "agreement", "compared"], body),
      el("p", { class: "hint", text: "kappa: Cohen's of two, Fleiss' of all coders. Below each value its 95 % interval. With fermedia, only what has one of its labels is compared." }));
  }

  function labels(pair) {
    const own = nominal(pair).filter((label) => label !== data.all);
    if (!own.length) return null;
    const body = own.map((label) => {
      const kappa = find(pair, label, "kappa") || find(pair, label, "fleiss_kappa"), agreed = find(pair, label, "agreement");
      return el("tr", {},
        el("th", { scope: "row" }, fermedia.colorOf(label) ? fermedia.emotionName(label) : label),
        number(kappa, "kappa"), interval(kappa), number(find(pair, label, "ac1"), "AC1"), number(find(pair, label, "f1"), "F1"), number(find(pair, label, "overlap"), "overlap"), number(agreed, "agreement"));
    });
    return table(["", "kappa", "", "AC1", "F1", "overlap", "agreement"], body);
  }

  function matrix(pair) {
    const cells = data.confusion.filter((c) => key(c) === key(pair));
    if (!cells.length) return null;
    const first = [...new Set(cells.map((c) => c.label_1))], other = [...new Set(cells.map((c) => c.label_2))];
    const shown = first.filter((a) => cells.some((c) => c.label_1 === a && c.frames));
    const cell = (a, b) => {
      const found = cells.find((c) => c.label_1 === a && c.label_2 === b), share = (found && found.share) || 0;
      const td = el("td", { class: `${share > 0.62 ? "strong " : ""}${a === b ? "same" : ""}`, title: found ? amount(found) : null, text: share ? fermedia.percent(share) : "" });
      td.style.setProperty("--share", share.toFixed(3));
      return td;
    };
    const to = isMachine(pair) ? "fermedia" : pair.coder_2;
    return [el("h3", { class: "measure", text: `What ${to} says (columns) where ${pair.coder_1} says (rows)` }),
      el("div", { class: "scroll" }, el("table", { class: "matrix" },
        el("thead", {}, el("tr", {}, el("td", { hidden: true }), el("th"), other.map((text) => el("th", { scope: "col", text })), el("th", { text: "compared" }))),
        el("tbody", {}, shown.map((a) => {
          const own = cells.filter((c) => c.label_1 === a), sum = (name) => own.reduce((s, c) => s + (c[name] || 0), 0);
          return el("tr", {}, el("th", { scope: "row", text: a }), other.map((b) => cell(a, b)),
            el("th", { text: own[0].seconds === null ? count(sum("frames")) : fermedia.length(sum("seconds")) }));
        }))))];
  }

  function chosen() {
    const able = pairs.filter((pair) => nominal(pair).length);
    if (!able.length) return null;
    const place = el("div");
    const buttons = able.map((pair) => el("button", { type: "button", "aria-pressed": "false", on: { click: () => show(pair) } }, title(pair)));
    function show(pair) {
      buttons.forEach((button, n) => button.setAttribute("aria-pressed", String(able[n] === pair)));
      place.replaceChildren(...[labels(pair), matrix(pair)].flat().filter(Boolean));
    }
    show(able.find(isMachine) || able[0]);
    return section("Label by label", { class: "panel", id: "labels" },
      el("div", { class: "tools" }, el("div", { class: "segmented", role: "group", "aria-label": "Who is compared" }, buttons)), place);
  }

  function numbers() {
    const ordered = rows.filter(isNumeric).sort((a, b) => a.label.localeCompare(b.label)); // stable: pairs stay in order
    const found = new Map(ordered.map((row) => [`${row.label}\n${key(row)}`, row]));
    if (!found.size) return null;
    const several = rows.some((row) => row.statistic === "icc2k");
    const body = [...found.values()].map((row) => {
      const get = (statistic) => find(row, row.label, statistic);
      return el("tr", {}, el("th", { scope: "row", text: row.label.replaceAll("_", " ") }), el("td", { "data-label": "compared", text: title(row) }),
        number(get("r"), "r"), number(get("icc1"), "ICC(1,1)"), number(get("icc2"), "ICC(2,1)"), number(get("icc3"), "ICC(3,1)"), several && number(get("icc2k"), "ICC(2,k)"),
        el("td", { class: "number", "data-label": "frames" }, plural(row.frames, "frame")));
    });
    return section("Valence and measures", { class: "panel", id: "numbers" },
      table(["", "", "r", "ICC(1,1)", "ICC(2,1)", "ICC(3,1)", ...(several ? ["ICC(2,k)"] : []), "compared"], body),
      el("p", { class: "hint", text: "ICC(2,1): absolute agreement, which needs the same scale; ICC(3,1): consistency; r: correlation, whatever the scales." }));
  }

  function method() {
    const text = el("p", { class: "prose", text: data.method });
    return section("For the method section", { class: "panel", id: "method" }, text,
      el("p", { class: "hint", text: "The same text is in method.txt, the figures are in agreement.csv and confusion.csv beside this page." }));
  }

  const clusters = Math.max(...rows.map((row) => row.clusters));
  fermedia.header("Agreement", {
    notes: [plural(data.coders.length, "coder"), data.coders.join(", "), plural(data.items, "item"),
      clusters > 1 ? `intervals over ${clusters} ${data.clusters}` : `one ${data.clusters === "people" ? "person" : "item"}: no intervals`],
  });
  document.body.append(el("main", {}, [fermedia.warnings(data.notes), overall(), chosen(), numbers(), method()].filter(Boolean)));
  fermedia.footer(data.fermedia);
})();
