"use strict";
// The page of a sample: a coder labels faces by keyboard, without the machine's answer, which the page does not have.

(() => {
  const { el, icon, dot, plural } = fermedia;
  const { sample, images, labels } = window.report;
  const NONE = { name: "none", text: "None of these", key: "0" }, UNCLEAR = { name: "unclear", text: "Cannot be judged", key: "x" };
  const choices = [...labels.map((name, i) => ({ name, text: fermedia.capital(name), key: String(i + 1), color: fermedia.colorOf(name) })), NONE, UNCLEAR];
  const place = `fermedia-sample-${sample}`;
  let coder = "", given = {}, at = 0, saved = true;

  // -- what survives a reload ---------------------------------------------------------------------------------------

  const store = {
    get: (key) => { try { return JSON.parse(localStorage.getItem(key)); } catch { return null; } },
    set: (key, value) => { try { localStorage.setItem(key, JSON.stringify(value)); return true; } catch { return false; } },
  };
  const remembers = store.set(`${place}-try`, 1);

  function remember() {
    store.set(`${place}:${coder}`, { given, at });
    store.set(place, coder);
  }

  window.addEventListener("beforeunload", (event) => { if (!remembers && !saved) event.preventDefault(); });

  // -- the parts ----------------------------------------------------------------------------------------------------

  const main = el("main");
  const done = () => Object.keys(given).length;
  const left = () => images.map((_, i) => i).filter((i) => !given[i + 1]);

  function begin() {
    const name = el("input", { type: "text", id: "coder", class: "field", autocomplete: "off", spellcheck: "false", maxlength: 40, placeholder: "for example anna" });
    const form = el("div", { class: "panel coder" },
      el("h2", { text: "Who codes?" }),
      el("p", { class: "hint", text: `You will see ${plural(images.length, "face")}, one after another, in random order. Say what each face shows, from this image alone. Other faces in the image do not count: it is the one in the middle.` }),
      el("label", { class: "ask", for: "coder" }, "Your name or code", name),
      el("button", { type: "button", class: "main", on: { click: () => start(name.value) } }, "Begin"),
      el("p", { class: "hint", text: remembers ? "What you code is kept in this browser, on this computer, until you save it as a file at the end. Nothing is sent anywhere." : "This browser keeps nothing of a page from the disk: save the file before you close or reload the page." }));
    name.addEventListener("keydown", (event) => {
      event.stopPropagation(); // a name's letters are not answers, nor does its Enter lead to the next face
      if (event.key === "Enter") start(name.value);
    });
    main.replaceChildren(form);
    name.focus();
  }

  function start(name) {
    // Names stand in a table's cells: letters, digits, spaces, dots and dashes only.
    coder = name.normalize("NFC").replace(/[^\p{L}\p{M}\p{N} ._-]/gu, "").replace(/^[ ._-]+|[ .]+$/g, "");
    if (!coder || coder.toLowerCase() === "machine") return document.getElementById("coder").focus(); // agree calls fermedia so
    const before = store.get(`${place}:${coder}`);
    given = (before && before.given) || {};
    at = Math.min((before && before.at) || 0, images.length - 1);
    saved = true;
    remember();
    show();
  }

  const picture = el("img", { class: "face", alt: "The face to be coded" });
  const progress = el("progress", { max: images.length, "aria-label": "Coded" });
  const where = el("b"), rest = el("span", { class: "dim", role: "status" });
  const buttons = choices.map((choice) =>
    el("button", { type: "button", class: "choice", "data-label": choice.name, "aria-pressed": "false", on: { click: () => code(choice.name) } },
      el("kbd", { text: choice.key.toUpperCase() }), choice.color ? dot(choice.color) : el("i", { class: "dot blank", "aria-hidden": "true" }), choice.text));
  const end = el("p", { class: "end", hidden: true });
  const view = el("section", { class: "panel coding" },
    el("div", { class: "state" }, where, progress, rest),
    el("div", { class: "ask-face" },
      picture,
      el("div", { class: "choices", role: "group", "aria-label": "What the face shows" }, buttons)),
    end,
    el("div", { class: "tools foot" },
      el("button", { type: "button", class: "plain-button", on: { click: () => go(at - 1) } }, icon("M12.5 4 6.5 10l6 6"), "Back ", el("kbd", { text: "←" })),
      el("button", { type: "button", class: "plain-button", on: { click: () => go(at + 1) } }, "Forward ", el("kbd", { text: "→" }), icon("M7.5 4l6 6-6 6")),
      el("button", { type: "button", class: "plain-button", on: { click: next } }, "Next uncoded ", el("kbd", { text: "Enter" })),
      el("span", { class: "space" }),
      el("button", { type: "button", class: "plain-button", on: { click: begin } }, "Another coder"),
      el("button", { type: "button", class: "main save", on: { click: save } }, "Save CSV")));

  function show() {
    if (!view.isConnected) main.replaceChildren(view);
    const now = given[at + 1], open = left().length;
    picture.src = images[at];
    where.textContent = `${at + 1} of ${images.length}`;
    progress.value = done();
    rest.textContent = open ? `${plural(open, "face")} left · ${coder}` : `all coded · ${coder}`;
    for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset.label === now));
    end.hidden = open > 0;
    end.textContent = open ? "" : "All faces are coded. Save the CSV and give it to whoever asked you for it; you can still go back and change codes.";
  }

  function go(to) {
    at = Math.max(0, Math.min(images.length - 1, to));
    remember();
    show();
  }

  function next() {
    const open = left();
    go(open.find((i) => i > at) ?? open[0] ?? at);
  }

  function code(label) {
    given[at + 1] = label;
    saved = false;
    go(at + 1);
  }

  function save() {
    const rows = images.map((_, i) => i + 1).filter((n) => given[n]).map((n) => `${sample},${n},${coder},${given[n]}\n`);
    const file = new Blob(["sample,number,coder,label\n", ...rows], { type: "text/csv" });
    const link = el("a", { href: URL.createObjectURL(file), download: `codes_${coder.replaceAll(" ", "_")}.csv` });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    saved = true;
  }

  document.addEventListener("keydown", (event) => {
    if (!view.isConnected || event.ctrlKey || event.metaKey || event.altKey) return;
    const choice = choices.find((c) => c.key === event.key.toLowerCase());
    if (choice && !event.repeat) code(choice.name); // a key that is held down does not code the next faces
    else if (event.key === "ArrowLeft" || event.key === "Backspace") go(at - 1);
    else if (event.key === "ArrowRight") go(at + 1);
    else if (event.key === "Enter" && !(event.target instanceof HTMLButtonElement)) next();
    else return;
    event.preventDefault();
  });

  fermedia.header("Code faces", { notes: [plural(images.length, "face"), `sample ${sample}`] });
  document.body.append(main);
  const last = store.get(place);
  if (last) start(last); else begin();
  fermedia.footer(window.report.fermedia);
})();
