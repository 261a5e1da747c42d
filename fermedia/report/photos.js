"use strict";
// The page of a photo folder: thumbnails that can be filtered by emotion, and a large view of each photo.

(() => {
  const { el, percent, plural, count } = fermedia, data = window.report;
  const parts = data.key.split("/"), all = data.all;
  const place = parts.length > 1 ? parts.slice(0, -1) : parts;
  const strongest = (face) => {
    if (face.length <= 4) return "not classified";
    const best = indexOfMax(face.slice(4));
    return face[4 + best] < 1000 * data.undecided ? "undecided" : data.emotions[best].name;
  };
  function indexOfMax(values) { return values.indexOf(Math.max(...values)); }
  const kinds = data.pictures.map((p) => (p.faces.length ? [...new Set(p.faces.map(strongest))] : ["no face"]));
  const faces = data.pictures.reduce((sum, p) => sum + p.faces.length, 0);
  const withFace = data.pictures.filter((p) => p.faces.length).length;

  fermedia.header(place.at(-1), {
    up: data.up,
    path: place.length > 1 ? place.slice(0, -1).join(" / ") : null,
    notes: [plural(data.pictures.length, "photo"), plural(faces, "face"), data.source],
  });
  const main = el("main");
  document.body.append(main);
  const warning = fermedia.warnings([...data.failures, ...data.notes]);
  if (warning) main.append(warning);
  main.append(fermedia.figures([
    ["Photos", count(data.pictures.length), `${plural(faces, "face")} found`],
    ["With a face", percent(all.coverage), `${count(withFace)} of ${count(data.pictures.length)} photos`],
    faces && ["Classified", percent(all.judged), whyNot(all, "of the faces")],
    all.emotion && ["Strongest", fermedia.emotionName(all.emotion), `${percent(all[all.emotion + "_mean"])} on average, ${percent(all.coverage)} coverage`],
  ]));
  if (all.emotion)
    main.append(el("section", { class: "panel" }, fermedia.overall([
      ["All faces", data.emotions.map((e) => all[e.name + "_share"]), all.coverage, "share of classified faces"]])));

  const trust = qualityPanel(all, "the faces");

  // -- the sheet ----------------------------------------------------------------------------------------------------

  const PAGE = 60;
  let chosen = new Set(), words = "", shown = [], made = 0;
  const sheet = el("div", { class: "sheet" }), status = el("p", { class: "hint", role: "status" });
  const button = el("button", { class: "more", type: "button", on: { click: () => add() } });

  const fits = (i) =>
    (!chosen.size || kinds[i].some((k) => chosen.has(k))) && data.pictures[i].name.toLowerCase().includes(words);

  function filter() {
    shown = data.pictures.map((_, i) => i).filter(fits);
    made = 0;
    sheet.replaceChildren();
    status.textContent = shown.length === data.pictures.length ? "" : `${count(shown.length)} of ${plural(data.pictures.length, "photo")}`;
    add();
  }

  function add() {
    sheet.append(...shown.slice(made, made + PAGE).map(cell));
    made = Math.min(shown.length, made + PAGE);
    button.hidden = made >= shown.length;
    button.textContent = `Show ${count(Math.min(PAGE, shown.length - made))} more of ${plural(shown.length, "photo")}`;
  }

  function boxes(image) {
    const [width, height] = image.size, line = Math.max(width, height) / 160;
    return el("svg", { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", "aria-hidden": "true" },
      image.faces.map((f) => {
        const kind = strongest(f), dim = chosen.size && !chosen.has(kind);
        return el("rect", { x: f[0], y: f[1], width: f[2], height: f[3], rx: line * 2, fill: "none", stroke: fermedia.colorOf(kind) || "#80848c", "stroke-width": line, opacity: dim ? 0.25 : 1 });
      }));
  }

  function cell(i) {
    const image = data.pictures[i], [width, height] = image.size || [4, 3];
    const src = image.thumb || image.annotated;
    const said = kinds[i].join(", ");
    const figure = el("button", { type: "button", class: "photo", "aria-label": `${image.name}: ${said}`, on: { click: () => open(i) } },
      el("span", { class: "frame" },
        src ? el("img", { src, alt: "", loading: "lazy" }) : el("span", { class: "missing" }),
        image.thumb ? boxes(image) : null),
      el("span", { class: "caption" }, el("span", { class: "name", text: image.name }),
        el("span", { class: "dots" }, kinds[i].map((k) => (fermedia.colorOf(k) ? fermedia.dot(fermedia.colorOf(k)) : el("small", { text: k }))))));
    const ratio = Math.min(3, Math.max(0.5, width / height));
    figure.style.setProperty("--ratio", ratio.toFixed(4));
    return figure;
  }

  // -- one image --------------------------------------------------------------------------------------------------

  const view = el("dialog", { class: "view", "aria-label": "One photo" });
  let open_ = -1;
  function open(i) {
    open_ = i;
    const image = data.pictures[i], src = image.annotated || image.thumb;
    const step = (by, label, path) =>
      el("button", { type: "button", class: "ghost", "aria-label": label, title: label, on: { click: () => go(by) } }, fermedia.icon(path));
    view.replaceChildren(
      el("header", {}, el("h2", { text: image.name }),
        step(-1, "The photo before", "M12.5 4 6.5 10l6 6"), step(1, "The next photo", "M7.5 4l6 6-6 6"),
        el("button", { type: "button", class: "ghost", "aria-label": "Close", title: "Close", on: { click: () => view.close() } }, fermedia.icon("M5 5l10 10M15 5 5 15"))),
      el("div", { class: "large" },
        src ? el("img", { src, alt: image.name }) : el("p", { class: "dim", text: data.options.faces === false ? "No images of faces were kept (--no-faces)." : "No image of it is here." }),
        el("div", { class: "now" }, image.faces.length ? image.faces.slice(0, 30).map((face, n) => card(face, n, image.about[n] || [])) : el("p", { class: "dim", text: "No face was found." }),
          image.faces.length > 30 ? el("p", { class: "dim", text: `and ${plural(image.faces.length - 30, "more face")}` }) : null)));
    if (!view.open) view.showModal();
  }

  /** "good quality; yaw 3°, pitch −8°, roll 1°", as far as it is known. */
  function about([quality, ...pose]) {
    const angles = pose.length ? ["yaw", "pitch", "roll"].map((name, n) => `${name} ${measureText(name, pose[n])}`).join(", ") : null;
    const words = [quality && (quality === "good" ? "good quality" : quality.replaceAll(" ", ", ")), angles].filter(Boolean);
    return words.length ? el("p", { class: "doing", text: words.join(" · ") }) : null;
  }

  function card(face, i, said) {
    const p = face.slice(4).map((v) => v / 1000), kind = strongest(face), best = kind === "undecided" ? -1 : indexOfMax(p);
    return el("article", { class: "card" },
      el("header", {}, el("b", { text: "#" + i }), p.length ? (best < 0 ? "Undecided" : fermedia.emotionName(kind)) : "not classified", p.length ? el("em", { text: percent(Math.max(...p)) }) : null),
      p.map((value, e) => {
        const fill = el("i", { color: data.emotions[e].color });
        fill.style.width = `${100 * value}%`;
        return el("div", { class: e === best ? "prob best" : "prob" }, el("span", { text: data.emotions[e].name }), el("div", {}, fill), el("em", { text: percent(value) }));
      }), about(said));
  }

  function go(by) {
    const at = shown.indexOf(open_);
    if (at >= 0 && shown[at + by] !== undefined) open(shown[at + by]);
  }
  view.addEventListener("keydown", (event) => {
    if (event.key === "ArrowRight") go(1);
    if (event.key === "ArrowLeft") go(-1);
  });
  view.addEventListener("click", (event) => event.target === view && view.close());

  const number = (kind) => kinds.filter((k) => k.includes(kind)).length;
  const options = [
    ...data.emotions.map((e) => ({ value: e.name, text: e.name, color: e.color, number: number(e.name) })),
    ...["undecided", "not classified", "no face"].filter(number).map((k) => ({ value: k, text: k, number: number(k) })),
  ];
  const search = el("input", { type: "search", placeholder: "Name", "aria-label": "Part of a name", on: { input: () => { words = search.value.toLowerCase(); filter(); } } });
  main.append(
    fermedia.section("Contact sheet", { class: "panel" },
      el("div", { class: "tools" }, search, fermedia.chips(options, (pressed) => { chosen = pressed; filter(); }, "Show photos with")),
      status, sheet, button, view));
  if (trust) main.append(trust);
  main.append(
    el("section", { class: "panel split" },
      el("div", {}, el("h2", { text: "Files" }), fermedia.downloads(data.files)),
      el("div", {}, el("h2", { text: "How it was made" }), fermedia.facts([["source", data.source], ...fermedia.optionFacts(data.options)]))));
  filter();
  fermedia.footer(data.fermedia);
})();
