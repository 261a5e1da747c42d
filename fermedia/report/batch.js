"use strict";
// The page of a run: what was analysed and how, the coverage, a table of items to sort and filter, the failures.

(() => {
  const { el, percent, plural, count } = fermedia, data = window.report, run = data.run;
  const totals = run.totals || {}, items = data.items;
  const sum = (key) => items.reduce((total, item) => total + (item[key] || 0), 0);
  const begun = run.begun ? new Date(run.begun).toLocaleString("en-GB", { dateStyle: "long", timeStyle: "short" }) : null;
  const states = { interrupted: "interrupted: the same command goes on", stopped: "stopped: the same command goes on", running: "still running" };

  fermedia.header("Results", { notes: [begun, states[run.state], (run.inputs || []).join(", ")] });
  const main = el("main");
  document.body.append(main);

  // What all items show, each counted by its classified time (videos) or faces (photos) within its own kind.
  const videos = items.filter((i) => i.kind !== "photos"), photos = items.filter((i) => i.kind === "photos");
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
  const length = videos.reduce((s, i) => s + (i.length || 0), 0);
  main.append(fermedia.figures([
    ["Items", count(items.length), [videos.length && plural(videos.length, "video"), photos.length && plural(photos.length, "photo folder", "photo folders"), totals.left && `${count(totals.left)} left to do`].filter(Boolean).join(", ")],
    videos.length && ["Video", fermedia.length(length), `${percent(covered(videos))} with a face in view`],
    photos.length && ["Photos", count(photos.reduce((s, i) => s + i.frames, 0)), `${percent(covered(photos))} with a face`],
    ["Frames analysed", count(sum("frames")), `${count(sum("seen"))} with a face`],
    ["Failures", count(data.failed), data.failed ? "see below" : "everything could be read"],
  ]));
  const overall = [["Videos", videos, "share of classified time"], ["Photos", photos, "share of classified faces"]]
    .map(([name, list, what]) => [name, mean(known(list), "shares"), covered(list), what]).filter((row) => row[1]);
  if (overall.length) main.append(fermedia.section("All together", { class: "panel" }, fermedia.overall(overall)));

  // -- the table ----------------------------------------------------------------------------------------------------

  const PAGE = 100;
  /** The first names of a list, and how many more there are. */
  const some = (names) => names.slice(0, 3).join(", ") + (names.length > 3 ? ` and ${count(names.length - 3)} more` : "");
  const columns = [
    { name: "Item", value: (i) => i.key, text: true },
    { name: "Length", value: (i) => (i.length === null ? -i.frames : i.length), show: (i) => (i.length === null ? plural(i.frames, "photo") : fermedia.length(i.length)) },
    { name: "Faces", value: (i) => i.people ?? -1, show: (i) => (i.people === null ? "–" : count(i.people)) },
    { name: "Coverage", value: (i) => i.coverage, show: (i) => [fermedia.meter(i.coverage, "Coverage"), percent(i.coverage)] },
    { name: "Strongest", value: (i) => i.emotion || "~", text: true, show: (i) => [fermedia.emotionName(i.emotion), i.emotion && el("small", { text: percent(Math.max(...i.means)) })] },
    { name: "Share of the classified time", value: null, show: (i) => fermedia.shareBar(i.shares, i.key), wide: true },
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
            item.persons.length ? el("small", { text: some(item.persons), title: item.persons.join(", ") }) : null,
            item.failures ? el("small", { class: "bad", text: plural(item.failures, "failure") }) : null))),
      columns.slice(1).map((c) => el("td", { "data-label": c.name, class: c.wide && "wide" }, c.show(item))));
  }

  const collator = new Intl.Collator("en", { numeric: true });
  function filter() {
    const { column, up } = order, sign = up ? 1 : -1;
    shown = items
      .filter((i) => (!chosen.size || chosen.has(i.emotion || "no face")) && [i.key, ...i.persons].some((name) => name.toLowerCase().includes(words)))
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

  // -- who is who ---------------------------------------------------------------------------------------------------

  /** Name the faces of all videos, and save that as a table for --people. */
  function people() {
    const faces = videos.flatMap((item) => item.faces.map((face) => ({ item, face, id: `${item.key}#${face.id} ${face.first}` })));
    const of = (f, number) => faces.find((other) => other.item === f.item && other.face.id === number);
    // What was typed here, with the name that the results had then: if they have another now, that is the later one.
    const place = "fermedia names " + location.pathname;
    const stored = () => { try { return JSON.parse(localStorage.getItem(place) || "{}"); } catch { return {}; } };
    const typed = stored(), fields = new Map(), suggestions = [], known = el("datalist", { id: "known-names" });
    const nameOf = (f) => { const [name, before] = typed[f.id] || []; return before === f.face.person ? name : f.face.person; };
    const said = el("p", { class: "hint", role: "status" });
    const save = el("button", { class: "more", type: "button", on: { click: download } }, "Save people.csv");
    const named = () => faces.filter(nameOf);
    const persons = () => [...new Set(named().map(nameOf))];
    const update = () => {
      const number = named().length, names = persons();
      known.replaceChildren(...names.map((name) => el("option", { value: name })));
      save.disabled = !number;
      said.textContent = number ? `${plural(number, "face")} named, of ${plural(names.length, "person", "people")}` : "";
      for (const show of suggestions) show();
      try { localStorage.setItem(place, JSON.stringify(typed)); } catch { /* the browser keeps nothing for pages from the disk */ }
    };
    const give = (f, name) => {
      typed[f.id] = [name, f.face.person];
      const field = fields.get(f);
      if (field && field.value.trim() !== name) field.value = name;
    };
    const input = (f) => {
      const field = el("input", { type: "text", class: "name", list: known.id, "aria-label": `Person of face ${f.face.id} in ${f.item.key}` });
      field.value = nameOf(f);
      field.addEventListener("input", () => { give(f, field.value.trim()); update(); });
      fields.set(f, field);
      return field;
    };
    const picture = (f) => (f.face.image
      ? el("img", { class: "avatar", src: f.face.image, alt: "", loading: "lazy" }) : el("span", { class: "avatar" }));

    /** The name that both get if a suggestion is right. */
    function common(f, earlier) {
      const names = persons();
      let number = 1;
      while (names.includes(`Person ${number}`)) number += 1;
      return nameOf(earlier) || nameOf(f) || `Person ${number}`;
    }
    function suggestion(f) {
      const earlier = of(f, f.face.like);
      if (!earlier) return null;
      const button = el("button", { type: "button", class: "chip", "aria-label": `Face ${f.face.id} in ${f.item.key} is the same person as face ${earlier.face.id}` }, "Same person");
      button.addEventListener("click", () => {
        const name = common(f, earlier);
        for (const one of [earlier, f]) give(one, name);
        update();
        fields.get(f).focus();
      });
      const whole = el("span", { class: "like" }, picture(earlier), el("span", { text: `may be the same as #${earlier.face.id}` }), button);
      suggestions.push(() => { whole.hidden = Boolean(nameOf(f) && nameOf(earlier)); }); // who named both has decided
      suggestions.at(-1)();
      return whole;
    }
    const head = ["Face", "In view", "Person", ...(faces.some((f) => f.face.like) ? ["Suggestion"] : [])];
    const row = (f) => el("tr", {},
      el("th", { scope: "row", class: "face" }, el("span", {}, picture(f),
        el("b", { text: "#" + f.face.id }), el("small", { text: f.item.key }))),
      el("td", { "data-label": head[1], text: fermedia.length(f.face.seconds) }),
      el("td", { "data-label": head[2] }, input(f)),
      head[3] && el("td", { class: "wide" }, suggestion(f)));
    function download() {
      const cells = (values) => values.map((v) => `"${String(v ?? "").replaceAll('"', '""')}"`).join(",");
      const lines = [["item", "face_id", "person", "first", "last"],
        ...named().map((f) => [f.item.cell, f.face.id, nameOf(f), f.face.first, f.face.last])];
      const href = URL.createObjectURL(new Blob([lines.map(cells).join("\n") + "\n"], { type: "text/csv" }));
      el("a", { href, download: "people.csv" }).click();
      setTimeout(() => URL.revokeObjectURL(href), 1000);
    }
    const body = el("tbody", {});
    const { list, button: further } = fermedia.more(faces, row, 25, "faces");
    body.append(...list.childNodes);
    further.addEventListener("click", () => body.append(...list.childNodes));
    update();
    return fermedia.section("Who is who", { class: "panel people", id: "people" },
      el("p", { class: "hint" }, "Give the faces of one person the same name, also across cuts and videos. This page cannot write into the results: save the names, and give them to the same command with ", el("span", { class: "whole", text: "--people people.csv" }), "."),
      head[3] && el("p", { class: "hint", text: "Suggestions compare the pictures of two faces of a video. They may be wrong, and many are missing: look at both pictures before you agree." }),
      el("table", { class: "rows" }, el("thead", {}, el("tr", {}, head.map((h) => el("th", { scope: "col", text: h })))), body),
      further, known, el("div", { class: "tools" }, save, said));
  }
  if (videos.some((item) => item.faces.length)) main.append(people());

  // -- the rest -----------------------------------------------------------------------------------------------------

  function table(headings, rows) {
    const { list, button: further } = fermedia.more(rows, (r) => el("tr", {}, r.map((v, i) => el("td", { "data-label": headings[i] }, v))), PAGE, "rows");
    const content = el("tbody", {}, ...list.childNodes);
    further.addEventListener("click", () => content.append(...list.childNodes));
    return [el("div", { class: "scroll" }, el("table", { class: "rows plain" }, el("thead", {}, el("tr", {}, headings.map((h) => el("th", { scope: "col", text: h })))), content)), further];
  }
  const recordsOf = ({ columns: names, rows }) => rows.map((r) => Object.fromEntries(names.map((name, i) => [name, r[i]])));
  const signed = (share) => (share < -0.005 ? "−" + percent(-share) : percent(Math.max(0, share)));

  /** Conditions, or their differences, side by side: a row per emotion, each value with its interval. */
  function conditions(group, format, hint) {
    const records = recordsOf(group);
    const distinct = (key) => [...new Set(records.map((r) => r[key]))];
    const number = (condition) => records.find((r) => r.condition === condition).participants;
    const headings = ["Emotion", ...distinct("condition").map((c) => `${c} (${number(c)})`)];
    const decimal = (x) => (x < 0 ? "−" : "") + Math.abs(x).toFixed(1);
    const value = (r, form, bound) => (r ? [form(r.value), r.low !== "" && el("small", { text: `${bound(r.low)} to ${bound(r.high)}` })] : "–");
    const cells = (emotion, measure, form = format, bound = signed) => distinct("condition").map((c, i) =>
      el("td", { "data-label": headings[i + 1] }, value(records.find((r) => r.condition === c && r.emotion === emotion && r.measure === measure), form, bound)));
    const side = (title, first, rows) => [
      el("h3", { class: "measure", text: title }),
      el("div", { class: "scroll" }, el("table", { class: "rows" },
        el("thead", {}, el("tr", {}, [first, ...headings.slice(1)].map((h) => el("th", { scope: "col", text: h })))), el("tbody", {}, rows))),
    ];
    const emotions = (measure) => data.emotions.map((e) => el("tr", {}, el("th", { scope: "row" }, fermedia.emotionName(e.name)), cells(e.name, measure)));
    const row = (name, measure, form = format, bound = signed) => records.some((r) => r.measure === measure)
      && el("tr", {}, el("th", { scope: "row", text: name }), cells("", measure, form, bound));
    const done = [
      row("Looks at the camera", "looks_at_camera_share"), row("Speaking", "speaking_share"),
      row("Blinks a minute", "blinks_per_minute", decimal, decimal),
    ].filter(Boolean);
    return [
      side("Mean probability", "Emotion", emotions("mean")), side("Share of the classified time", "Emotion", emotions("share")),
      done.length > 0 && side("What faces did", "Measure", done),
    ].concat(el("p", { class: "hint", text: hint }));
  }
  function participants(group) {
    const bar = (r, what) => fermedia.shareBar(data.emotions.map((e) => r[`${e.name}_${what}`]), `${r.participant}, ${r.condition}`);
    const rows = recordsOf(group).map((r) =>
      [r.participant, r.condition, count(r.items), r.seconds === "" ? "–" : fermedia.length(r.seconds), bar(r, "mean"), bar(r, "share")]);
    return [fermedia.legend(), table(["Participant", "Condition", "Items", "Classified time", "Mean probability", "Share of the classified time"], rows)];
  }
  if (data.run_events) main.append(eventsSection(data));
  const sections = {
    "conditions.csv": ["Conditions", (g) => conditions(g, percent, "Means over participants, whose number stands in brackets, with 95 % intervals.")],
    "comparisons.csv": ["Differences within participants", (g) => conditions(g, signed, "Means of the differences of those participants who have both, whose number stands in brackets, with 95 % intervals.")],
    "participants.csv": ["Participants", participants],
  };
  for (const group of data.groups) {
    const [title, content] = sections[group.name];
    main.append(fermedia.section(title, { class: "panel" }, content(group)));
  }
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
        ["last run took", totals.seconds && fermedia.length(totals.seconds)],
        ...Object.entries(run.versions || {}),
      ]))));
  fermedia.footer(run.fermedia);
})();
