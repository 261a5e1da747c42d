"use strict";
// The batch's page: what was analysed and how, its coverage, a table of the items that sorts and filters, the failures.

(() => {
  const { el, percent, plural, count } = fermedia, data = window.report, run = data.run;
  const totals = run.totals || {}, items = data.items;
  const sum = (key) => items.reduce((total, item) => total + (item[key] || 0), 0);
  const begun = run.begun ? new Date(run.begun).toLocaleString("en-GB", { dateStyle: "long", timeStyle: "short" }) : null;
  const states = { interrupted: "interrupted: the same command goes on", stopped: "stopped: the same command goes on", running: "still running" };

  fermedia.header("Results", { notes: [begun, states[run.state], (run.inputs || []).join(", ")] });
  const main = el("main");
  document.body.append(main);

  // What all items show, each counted by its judged time (films) or faces (pictures) within its own kind.
  const films = items.filter((i) => i.kind !== "photos"), pictures = items.filter((i) => i.kind === "photos");
  const weight = (i) => (i.length === null ? i.frames : i.length) * i.coverage;
  const known = (list) => list.filter((i) => i.emotion && weight(i) > 0);
  const mean = (list, of) => {
    const total = list.reduce((s, i) => s + weight(i), 0);
    return total ? data.emotions.map((_, e) => list.reduce((s, i) => s + weight(i) * i[of][e], 0) / total) : null;
  };
  const covered = (list) => {
    const size = (i) => (i.length === null ? i.frames : i.length), total = list.reduce((s, i) => s + size(i), 0);
    return total ? list.reduce((s, i) => s + size(i) * i.coverage, 0) / total : null;
  };
  const length = films.reduce((s, i) => s + (i.length || 0), 0);
  main.append(fermedia.figures([
    ["Items", count(items.length), [films.length && plural(films.length, "film"), pictures.length && plural(pictures.length, "folder of pictures", "folders of pictures"), totals.left && `${count(totals.left)} left to do`].filter(Boolean).join(", ")],
    films.length && ["Film", fermedia.length(length), `${percent(covered(films))} with a face in view`],
    pictures.length && ["Pictures", count(pictures.reduce((s, i) => s + i.frames, 0)), `${percent(covered(pictures))} with a face`],
    ["Frames analysed", count(sum("frames")), `${count(sum("seen"))} with a face`],
    ["Failures", count(data.failed), data.failed ? "see below" : "everything could be read"],
  ]));
  const overall = [["Films", films, "share of judged time"], ["Pictures", pictures, "share of judged faces"]]
    .map(([name, list, what]) => [name, mean(known(list), "shares"), covered(list), what]).filter((row) => row[1]);
  if (overall.length) main.append(fermedia.section("All together", { class: "panel" }, fermedia.overall(overall)));

  // -- the table ----------------------------------------------------------------------------------------------------

  const PAGE = 100;
  const columns = [
    { name: "Item", value: (i) => i.key, text: true },
    { name: "Length", value: (i) => (i.length === null ? -i.frames : i.length), show: (i) => (i.length === null ? plural(i.frames, "picture") : fermedia.length(i.length)) },
    { name: "Faces", value: (i) => i.people ?? -1, show: (i) => (i.people === null ? "–" : count(i.people)) },
    { name: "Coverage", value: (i) => i.coverage, show: (i) => [fermedia.meter(i.coverage, "Coverage"), percent(i.coverage)] },
    { name: "Strongest", value: (i) => i.emotion || "~", text: true, show: (i) => [fermedia.emotionName(i.emotion), i.emotion && el("small", { text: percent(Math.max(...i.means)) })] },
    { name: "Share of the judged time", value: null, show: (i) => fermedia.shareBar(i.shares, i.key), wide: true },
  ];
  let order = { column: columns[0], up: true }, chosen = new Set(), words = "", shown = [], made = 0;
  const body = el("tbody"), status = el("p", { class: "hint", role: "status" });
  const button = el("button", { class: "more", type: "button", on: { click: () => add() } });

  function row(item) {
    const parts = item.key.split("/");
    return el("tr", {},
      el("th", { scope: "row", class: "item" },
        el("a", { href: item.href },
          item.thumb ? el("img", { src: item.thumb, alt: "", loading: "lazy" }) : el("span", { class: "thumb" }),
          el("span", {}, el("b", { text: item.kind === "photos" && parts.length > 1 ? parts.at(-2) : parts.at(-1) }),
            el("small", { text: item.kind === "photos" || parts.length > 1 ? item.key : item.kind }),
            item.failures ? el("small", { class: "bad", text: plural(item.failures, "failure") }) : null))),
      columns.slice(1).map((c) => el("td", { "data-label": c.name, class: c.wide && "wide" }, c.show(item))));
  }

  const collator = new Intl.Collator("en", { numeric: true });
  function filter() {
    const { column, up } = order, sign = up ? 1 : -1;
    shown = items
      .filter((i) => (!chosen.size || chosen.has(i.emotion || "no face")) && i.key.toLowerCase().includes(words))
      .sort((a, b) => sign * (column.text ? collator.compare(column.value(a), column.value(b)) : column.value(a) - column.value(b)) || collator.compare(a.key, b.key));
    made = 0;
    body.replaceChildren();
    status.textContent = shown.length === items.length ? "" : `${count(shown.length)} of ${plural(items.length, "item")}`;
    add();
  }

  function add() {
    body.append(...shown.slice(made, made + PAGE).map(row));
    made = Math.min(shown.length, made + PAGE);
    button.hidden = made >= shown.length;
    button.textContent = `Show ${count(Math.min(PAGE, shown.length - made))} more of ${plural(shown.length, "item")}`;
  }

  const heads = columns.map((column) => {
    const head = el("th", { scope: "col" });
    if (!column.value) head.textContent = column.name;
    else head.append(el("button", { type: "button", class: "sort", on: { click: () => {
      order = { column, up: order.column === column ? !order.up : Boolean(column.text) };
      mark();
      filter();
    } } }, column.name));
    return head;
  });
  const mark = () => columns.forEach((c, i) => c.value && heads[i].setAttribute("aria-sort", c !== order.column ? "none" : order.up ? "ascending" : "descending"));

  if (items.length) {
    const number = (e) => items.filter((i) => (i.emotion || "no face") === e).length;
    const options = [...data.emotions.map((e) => ({ value: e.name, text: e.name, color: e.color, number: number(e.name) })), { value: "no face", text: "none", number: number("no face") }].filter((o) => o.number);
    const search = el("input", { type: "search", placeholder: "Name", "aria-label": "Part of a name", on: { input: () => { words = search.value.toLowerCase(); filter(); } } });
    main.append(fermedia.section("Items", { class: "panel" },
      el("div", { class: "tools" }, search, fermedia.chips(options, (pressed) => { chosen = pressed; filter(); }, "Items whose strongest emotion is")),
      status, el("table", { class: "rows items" }, el("thead", {}, el("tr", {}, heads)), body), button));
    mark();
    filter();
  } else {
    main.append(el("section", { class: "empty" }, el("h2", { text: "Nothing is finished yet" })));
  }

  // -- the rest -----------------------------------------------------------------------------------------------------

  function table(headings, rows) {
    const { list, button: further } = fermedia.more(rows, (r) => el("tr", {}, r.map((v, i) => el("td", { "data-label": headings[i] }, v))), PAGE, "rows");
    const content = el("tbody", {}, ...list.childNodes);
    further.addEventListener("click", () => content.append(...list.childNodes));
    return [el("div", { class: "scroll" }, el("table", { class: "rows plain" }, el("thead", {}, el("tr", {}, headings.map((h) => el("th", { scope: "col", text: h })))), content)), further];
  }
  const recordsOf = ({ columns: names, rows }) => rows.map((r) => Object.fromEntries(names.map((name, i) => [name, r[i]])));
  const signed = (share) => (share < -0.005 ? "−" + percent(-share) : percent(Math.max(0, share)));

  /** Conditions side by side: a row per emotion, each value with its interval. */
  function conditions(group) {
    const records = recordsOf(group);
    const distinct = (key) => [...new Set(records.map((r) => r[key]))];
    const number = (condition) => records.find((r) => r.condition === condition).participants;
    const headings = ["Emotion", ...distinct("condition").map((c) => `${c} (${number(c)})`)];
    const value = (r) => (r ? [percent(r.value), r.low !== "" && el("small", { text: `${signed(r.low)} to ${signed(r.high)}` })] : "–");
    const cells = (emotion, measure) => distinct("condition").map((c, i) =>
      el("td", { "data-label": headings[i + 1] }, value(records.find((r) => r.condition === c && r.emotion === emotion && r.measure === measure))));
    return distinct("measure").map((measure) => [
      el("h3", { class: "measure", text: measure === "mean" ? "Mean probability" : "Share of the judged time" }),
      el("div", { class: "scroll" }, el("table", { class: "rows" },
        el("thead", {}, el("tr", {}, headings.map((h) => el("th", { scope: "col", text: h })))),
        el("tbody", {}, data.emotions.map((e) => el("tr", {}, el("th", { scope: "row" }, fermedia.emotionName(e.name)), cells(e.name, measure)))))),
    ]).concat(el("p", { class: "hint", text: "Means over participants, whose number stands in brackets, with 95 % intervals." }));
  }
  function participants(group) {
    const bar = (r, what) => fermedia.shareBar(data.emotions.map((e) => r[`${e.name}_${what}`]), `${r.participant}, ${r.condition}`);
    const rows = recordsOf(group).map((r) =>
      [r.participant, r.condition, count(r.items), r.seconds === "" ? "–" : fermedia.length(r.seconds), bar(r, "mean"), bar(r, "share")]);
    return [fermedia.legend(), table(["Participant", "Condition", "Items", "Judged time", "Mean probability", "Share of the judged time"], rows)];
  }
  for (const group of data.groups)
    main.append(group.name === "conditions.csv"
      ? fermedia.section("Conditions", { class: "panel" }, conditions(group))
      : fermedia.section("Participants", { class: "panel" }, participants(group)));
  if (data.failed)
    main.append(fermedia.section("Failures", { class: "panel", id: "failures" }, table(["Item", "Stage", "Error"], data.failures.map((f) => [f.item, f.stage, f.error])),
      data.failed > data.failures.length && el("p", { class: "hint", text: `${count(data.failed)} in all: see failures.csv.` })));
  const model = run.model || {};
  main.append(el("section", { class: "panel split" },
    el("div", {}, el("h2", { text: "Files" }), fermedia.downloads(data.files)),
    el("div", {}, el("h2", { text: "How it was made" }),
      fermedia.facts([
        ["fermedia", run.fermedia], ["network", (model.name || "").split(/[\\/]/).slice(-2).join("/")], ["labels", model.labels], ["sha256", model.sha256 && model.sha256.slice(0, 16)],
        ...fermedia.optionFacts(run.options || {}).filter(([name]) => name !== "model"),
        ["time taken", totals.seconds && fermedia.length(totals.seconds)],
        ...Object.entries(run.versions || {}),
      ]))));
  fermedia.footer(run.fermedia);
})();
