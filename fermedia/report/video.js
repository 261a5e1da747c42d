"use strict";
// The page of a video: the annotated video, the emotions at the current moment, the timeline, the faces, the highlights.

(() => {
  const { el, clock, percent, plural, count } = fermedia, data = window.report;
  const parts = data.key.split("/"), all = data.all;
  const names = Object.fromEntries(data.faces.map((face) => [face.face_id, fermedia.called(face)]));
  const nameOf = (id) => names[id] || "#" + id;
  const shareOf = (row) => data.emotions.map((e) => row[e.name + "_share"]);

  fermedia.header(parts.at(-1), {
    up: data.up,
    path: parts.length > 1 ? parts.slice(0, -1).join(" / ") : null,
    notes: [
      fermedia.length(data.end - data.begin), data.media.width && `${data.media.width} × ${data.media.height}`,
      `${plural(data.analysed, "frame")} analysed`, data.smooth ? `averaged over ${data.smooth} s` : "not averaged",
    ],
  });
  const main = el("main");
  document.body.append(main);
  const warning = fermedia.warnings([...data.failures, ...data.notes]);
  if (warning) main.append(warning);

  // -- the video and the moment --------------------------------------------------------------------------------------

  const video = data.video
    ? el("video", { src: data.video, poster: data.poster, controls: true, playsinline: true, preload: "metadata", "aria-label": "The annotated video" })
    : null;
  const still = el("div", { class: "still" },
    data.poster ? el("img", { src: data.poster, alt: "A frame of the video" }) : null,
    el("p", { text: data.options.faces === false
      ? "No images of faces were kept (--no-faces). The timeline works without them."
      : "No annotated video was made (--no-video). The timeline works without it." }));
  const now = el("div", { class: "now", "aria-label": "At this moment" });
  const seek = (time) => {
    const at = Math.min(data.end, Math.max(data.begin, time));
    if (video) video.currentTime = Math.max(0, at - data.start + 1e-4);
    moveTo(at);
  };
  const timeline = all.emotion || data.people ? new Timeline(data, seek) : null;
  const cards = new Map();

  /** A face's seven bars, made once and then only moved. */
  function card(face) {
    if (cards.has(face.face_id)) return cards.get(face.face_id);
    const image = data.moments.find((m) => m.face === face.face_id);
    const title = el("span", { class: "emotion" }), value = el("em");
    const bars = data.emotions.map((e) => {
      const fill = el("i", { color: e.color }), number = el("em");
      return { fill, number, row: el("div", { class: "prob" }, el("span", { text: e.name }), el("div", {}, fill), number) };
    });
    const doing = el("p", { class: "doing" });
    const element = el("article", { class: "card" },
      el("header", {},
        image ? el("img", { class: "avatar", src: image.file, alt: "" }) : el("span", { class: "avatar" }),
        el("b", { text: fermedia.called(face), title: face.person && "#" + face.face_id }), title, value),
      bars.map((b) => b.row), timeline.measures ? doing : null);
    const update = (seen, cell) => {
      if (timeline.measures) doing.textContent = timeline.measures.words(face, cell) || "not measured";
      const best = seen.judged ? seen.p.indexOf(Math.max(...seen.p)) : -1;
      const undecided = best >= 0 && seen.p[best] < data.undecided;
      title.replaceChildren(...(best < 0 ? ["not classified"] : undecided ? ["Undecided"] : [fermedia.dot(data.emotions[best].color), fermedia.capital(data.emotions[best].name)]));
      value.textContent = best < 0 ? "" : percent(seen.p[best]);
      bars.forEach((b, i) => {
        b.fill.style.width = seen.judged ? `${100 * seen.p[i]}%` : "0";
        b.number.textContent = seen.judged ? percent(seen.p[i]) : "";
        b.row.classList.toggle("best", i === best && !undecided);
      });
    };
    cards.set(face.face_id, { element, update });
    return cards.get(face.face_id);
  }

  const SHOWN = 3;
  function moveTo(time, playing = false) {
    if (!timeline) return;
    timeline.setTime(time, playing);
    const seen = timeline.faces.map((face) => [face, timeline.at(face, time)]).filter(([, s]) => s);
    const elements = seen.slice(0, SHOWN).map(([face, s]) => {
      const made = card(face);
      made.update(s, timeline.cellAt(time));
      return made.element;
    });
    if (!seen.length) elements.push(el("p", { class: "dim", text: "Nobody is in view." }));
    if (seen.length > SHOWN) elements.push(el("p", { class: "dim", text: `and ${plural(seen.length - SHOWN, "more face")}` }));
    if (elements.length !== now.childNodes.length || elements.some((e, i) => e !== now.childNodes[i])) now.replaceChildren(...elements);
  }

  function follow() {
    const atFrame = (mediaTime) => moveTo(mediaTime + data.start, !video.paused);
    if (video.requestVideoFrameCallback) {
      const next = (_, frame) => { atFrame(frame.mediaTime); video.requestVideoFrameCallback(next); };
      video.requestVideoFrameCallback(next);
    } else {
      video.addEventListener("timeupdate", () => atFrame(video.currentTime));
    }
    timeline.onPlay = () => (video.paused ? video.play() : video.pause());
    const track = video.addTextTrack("captions", "Segments", "en");
    for (const [face, e, begin, end] of data.segments)
      track.addCue(new VTTCue(Math.max(0, begin - data.start), end - data.start, `${nameOf(face)} ${data.emotions[e].name}`));
  }

  main.append(el("section", { class: "stage" + (timeline ? "" : " alone") + (video || data.poster ? "" : " bare"), "aria-label": "The video" }, video || still, timeline ? now : null));

  const persons = new Set(data.faces.map((face) => face.person).filter(Boolean)).size;
  const figures = fermedia.figures([
    ["Faces", count(data.people), !data.people ? "none was found" : persons ? `${plural(persons, "person", "people")} with a name among them` : "a person counts anew after a cut"],
    ["A face in view", percent(all.coverage), `of ${fermedia.length(data.end - data.begin)}`],
    data.people && ["Classified", percent(all.judged), whyNot(all, "of the time of all faces")],
    data.measures && data.people && ["Speaking", percent(all.speaking_share), `looks at the camera ${percent(all.looks_at_camera_share)}`],
    data.measures && data.people && ["Blinks a minute", all.blinks_per_minute === null ? "–" : all.blinks_per_minute.toFixed(1), `${plural(all.blinks || 0, "blink")} seen`],
    all.emotion && ["Strongest", fermedia.emotionName(all.emotion), `${percent(all[all.emotion + "_mean"])} on average, ${percent(all.coverage)} coverage`],
  ]);

  if (!timeline) {
    main.append(figures);
    main.append(el("section", { class: "empty" },
      el("h2", { text: "No face was found in this video" }),
      el("p", { text: `${plural(data.analysed, "frame")} from ${clock(data.begin)} to ${clock(data.end)} were searched. Small, dark or turned faces may be missed: --detector thorough looks harder, --detection-confidence 0.3 accepts more.` })));
  } else {
    main.append(fermedia.section("Over time", { class: "panel" }, timeline.element));
    if (video) follow();
    main.append(figures, faces());
    const quality = qualityPanel(all, "the time of all faces");
    if (data.measures) main.append(doings());
    if (quality) main.append(quality);
    if (data.moments.length) main.append(moments());
    moveTo(data.begin);
  }

  // -- tables -------------------------------------------------------------------------------------------------------

  function faces() {
    const head = ["Face", "In view", "Coverage", "Classified", "Strongest on average", "Share of the classified time"];
    const row = (face) => {
      const mean = face.emotion && face[face.emotion + "_mean"];
      return el("tr", {},
        el("th", { scope: "row" }, fermedia.faceName(face)),
        el("td", { "data-label": head[1] }, face.first === null ? "–" : `${clock(face.first)} – ${clock(face.last)}`),
        el("td", { "data-label": head[2] }, fermedia.meter(face.coverage, "Coverage"), percent(face.coverage)),
        el("td", { "data-label": head[3] }, percent(face.judged)),
        el("td", { "data-label": head[4] }, fermedia.emotionName(face.emotion), mean ? el("small", { text: percent(mean) }) : null),
        el("td", { "data-label": head[5], class: "wide" }, fermedia.shareBar(shareOf(face), face.level === "item" ? "All faces" : fermedia.called(face))));
    };
    const body = el("tbody", {}, data.people > 1 ? row(all) : null);
    const { list, button } = fermedia.more(data.faces, row, 25, "faces");
    body.append(...list.childNodes);
    button.addEventListener("click", () => body.append(...list.childNodes));
    const hidden = data.people - data.faces.length;
    return fermedia.section("Faces", { class: "panel" },
      fermedia.legend(),
      el("table", { class: "rows" }, el("thead", {}, el("tr", {}, head.map((h) => el("th", { scope: "col", text: h })))), body),
      button,
      hidden > 0 && el("p", { class: "hint", text: `${plural(hidden, "more face")} that were seen for less time stand in faces.csv.` }));
  }

  /** What was measured of each face, and what faces show when nobody speaks. */
  function doings() {
    const head = ["Face", "Measured", "Speaking", "Looks at the camera", "Blinks", "Blinks a minute"];
    const row = (face) => el("tr", {},
      el("th", { scope: "row" }, fermedia.faceName(face)),
      el("td", { "data-label": head[1] }, fermedia.meter(face.measured, "Measured"), percent(face.measured)),
      el("td", { "data-label": head[2] }, percent(face.speaking_share)),
      el("td", { "data-label": head[3] }, percent(face.looks_at_camera_share)),
      el("td", { "data-label": head[4], text: face.blinks === null ? "–" : count(face.blinks) }),
      el("td", { "data-label": head[5], text: face.blinks_per_minute === null ? "–" : face.blinks_per_minute.toFixed(1) }));
    const body = el("tbody", {}, data.people > 1 ? row(all) : null);
    const { list, button } = fermedia.more(data.faces, row, 25, "faces");
    body.append(...list.childNodes);
    button.addEventListener("click", () => body.append(...list.childNodes));
    const silent = data.emotions.map((e) => all[e.name + "_share_silent"]);
    return fermedia.section("What faces did", { class: "panel" },
      el("table", { class: "rows" }, el("thead", {}, el("tr", {}, head.map((h) => el("th", { scope: "col", text: h })))), body),
      button,
      all.emotion && el("div", { class: "with-speech" }, fermedia.overall([
        ["All", shareOf(all), all.coverage, "share of the classified time"],
        ["Silent", silent, all.coverage, "share of it without speech"]])));
  }

  function moments() {
    const byFace = data.faces.map((f) => data.moments.filter((m) => m.face === f.face_id)).filter((m) => m.length);
    const what = (m) => m.kind === "smile"
      ? { name: "widest smile", shown: ["Smile"], value: percent(m.value) }
      : m.kind === "blink"
        ? { name: "longest blink", shown: ["Blink"], value: `${m.value.toFixed(2)}\u202fs` }
        : { name: m.emotion, shown: fermedia.emotionName(m.emotion), value: percent(m.p) };
    const image = (m) =>
      el("button", { type: "button", class: "moment", title: "Show in the video", on: { click: () => show(m.time) } },
        el("img", { src: m.file, alt: `${nameOf(m.face)}, ${what(m).name}`, loading: "lazy", width: 160, height: 160 }),
        el("span", {}, what(m).shown, el("em", { text: what(m).value })),
        el("small", { text: clock(m.time, 2) }));
    const { list, button } = fermedia.more(byFace, (m) =>
      el("div", { class: "person" }, el("h3", {}, fermedia.faceName(data.faces.find((f) => f.face_id === m[0].face))), el("div", { class: "moments" }, m.map(image))), 12, "faces");
    list.classList.add("persons");
    return fermedia.section("Strongest moments", { class: "panel" },
      el("p", { class: "hint" }, "Each face where an emotion was its most probable one, and most so"
        + (data.measures ? ", at its widest smile (mean of the two blendshapes mouthSmile), and in its longest blink. " : ". "),
      byFace.length > 1 && data.faces.some((face) => !face.person) && ["Are some of them the same person? ", el("a", { href: data.up + "#people", text: "Say who is who" }), "."]), list, button);
  }

  function show(time) {
    seek(time);
    document.querySelector(".stage").scrollIntoView({ behavior: "smooth", block: "nearest" });
  }

  main.append(el("section", { class: "panel split" },
    el("div", {}, el("h2", { text: "Files" }), fermedia.downloads(data.files)),
    el("div", {}, el("h2", { text: "How it was made" }),
      fermedia.facts([["source", data.source], ["codec", data.media.codec], ["frames a second", data.media.average_rate], ["audio", data.media.audio || "none"], ...fermedia.optionFacts(data.options)]))));
  fermedia.footer(data.fermedia);
})();
