// The search page and a photo's page. Both work without this: it adds results as one types, keys, zoom, and copying.
"use strict";

const box = document.querySelector("#q");
const stage = document.querySelector("#stage");
const sheet = document.querySelector("#sheet");

// --- Results as one types ---------------------------------------------------------------------------------------

if (box) {
  const form = box.form, results = document.querySelector("#results"), status = document.querySelector("#status");
  let timer, running = new AbortController(), shown = String(asked());

  function asked() {
    return new URLSearchParams([...new FormData(form)].filter(([, value]) => value.trim()));
  }

  async function search() {
    const question = asked();
    if (String(question) === shown) return;
    shown = String(question);
    running.abort();
    running = new AbortController();
    document.body.classList.add("waiting");
    try {
      const answer = await fetch(`${results.dataset.address}?${question}`, {signal: running.signal});
      if (answer.status === 401) return location.reload();
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const found = page.querySelector("#found");
      if (!found) throw new Error(answer.statusText);
      if (answer.status >= 500) shown = null;  // the same question may be asked again
      results.replaceChildren(found);
      status.textContent = found.dataset.summary;
      document.title = `${question.get("q") ? `${question.get("q")} – ` : ""}Find your photos`;
      document.body.classList.toggle("start", !question.get("q"));
      const address = String(question);
      history.replaceState(null, "", `${form.getAttribute("action")}${address && "?"}${address}`);
    } catch (error) {
      if (error.name === "AbortError") return;
      shown = null;
      status.textContent = "The search does not answer. Is it still running?";
    }
    document.body.classList.remove("waiting");
  }

  form.addEventListener("input", event => {
    if (event.isComposing) return;
    clearTimeout(timer);
    timer = setTimeout(search, 150);
  });
  form.addEventListener("submit", event => {
    event.preventDefault();
    clearTimeout(timer);
    search();
    if (matchMedia("(hover: none)").matches) box.blur();  // puts a phone's keyboard away
  });
  addEventListener("pageshow", search);  // what the browser put back into the box after going back
}

// --- Keys -------------------------------------------------------------------------------------------------------

function neighbour(cards, card, key) {
  const place = cards.indexOf(card);
  if (key === "ArrowLeft" || key === "ArrowRight") return cards[place + (key === "ArrowRight" ? 1 : -1)];
  const down = key === "ArrowDown" ? 1 : -1, here = card.getBoundingClientRect();
  let best, least = Infinity;
  for (const other of cards) {
    const there = other.getBoundingClientRect();
    const distance = Math.abs(there.left - here.left) + 4 * Math.abs(there.top - here.top);
    if (down * (there.top - here.top) > 8 && distance < least) [best, least] = [other, distance];
  }
  return best || (key === "ArrowUp" ? box : null);
}

function searchKey(event) {
  const cards = [...document.querySelectorAll(".card")].filter(card => card.checkVisibility());
  const here = document.activeElement;
  if (event.key === "Escape" && here !== box) return box;
  if (here === box) return event.key === "ArrowDown" ? cards[0] : null;
  if (!event.key.startsWith("Arrow")) return null;
  if (here.matches(".card")) return neighbour(cards, here, event.key);
  return here === document.body ? cards[0] : null;
}

function photoKey(event) {
  const steps = {ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1]};
  const press = {Escape: "#back", ArrowLeft: "#before", ArrowRight: "#after", "+": "#nearer", "=": "#nearer",
    "-": "#farther", 0: "#whole", b: "#boxes"};
  if (view && view.scale > 1 && document.activeElement === stage && steps[event.key]) {
    const [x, y] = steps[event.key];
    show(view.scale, view.x + 80 * x, view.y + 80 * y);
    return true;
  }
  const button = press[event.key] && document.querySelector(press[event.key]);
  if (button) button.click();
  return button;
}

document.addEventListener("keydown", event => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  const typing = event.target.matches("input") && event.target !== box;
  if (event.key === "/" && !event.target.matches("input")) {
    event.preventDefault();
    if (box) box.select();
    else document.querySelector("#back")?.click();
  } else if (box && !typing) {
    const next = searchKey(event);
    if (next) {
      event.preventDefault();
      next.focus();
    }
  } else if (document.querySelector("#back") && photoKey(event)) event.preventDefault();
});

// --- Zoom and pan: the sheet, as large as the stage, is scaled about its corner and moved by x and y ---------------

let view = sheet && {scale: 1, x: 0, y: 0};

function show(scale, x, y, eased = false) {
  const {width, height} = stage.getBoundingClientRect();
  scale = Math.min(Math.max(scale, 1), 12);
  view = {scale, x: Math.min(0, Math.max(width * (1 - scale), x)), y: Math.min(0, Math.max(height * (1 - scale), y))};
  sheet.classList.toggle("eased", eased);
  sheet.style.transform = `translate(${view.x}px, ${view.y}px) scale(${scale})`;
  sheet.style.setProperty("--scale", scale);
}

function zoom(factor, at, eased) {  // the point `at` of the stage stays where it is
  const scale = Math.min(Math.max(view.scale * factor, 1), 12), change = scale / view.scale;
  show(scale, at.x - (at.x - view.x) * change, at.y - (at.y - view.y) * change, eased);
}

function middle() {
  const {width, height} = stage.getBoundingClientRect();
  return {x: width / 2, y: height / 2};
}

function onStage({x, y}) {  // a point of the window
  const {left, top} = stage.getBoundingClientRect();
  return {x: x - left, y: y - top};
}

function showWord(polygon) {  // near, but with its surroundings
  const {left, top, width, height} = stage.getBoundingClientRect();
  const {x, y, width: wide, height: high} = polygon.getBBox(), whole = sheet.viewBox.baseVal;
  const unit = Math.min(width / whole.width, height / whole.height);  // pixels of the stage a pixel of the photo, at scale 1
  const scale = Math.min(Math.max(Math.min(0.35 * width / (wide * unit), 0.12 * height / (high * unit)), 1.5), 6);
  const right = width / 2 + (x + wide / 2 - whole.width / 2) * unit;  // of the word's middle, at scale 1
  const down = height / 2 + (y + high / 2 - whole.height / 2) * unit;
  show(scale, width / 2 - scale * right, height / 2 - scale * down, true);
}

if (sheet) {
  const fingers = new Map();
  let first;  // where the first finger came down

  function spread() {  // of the fingers: the point between them, and how far apart two are
    const [a, b = a] = [...fingers.values()];
    return {x: (a.x + b.x) / 2, y: (a.y + b.y) / 2, apart: Math.hypot(a.x - b.x, a.y - b.y)};
  }

  function lift(event) {
    const touched = fingers.delete(event.pointerId) && event.pointerType === "touch" && event.type === "pointerup";
    if (fingers.size) return;
    stage.classList.remove("dragging");
    const x = event.clientX - first?.x, y = event.clientY - first?.y;
    if (touched && view.scale === 1 && Math.abs(x) > 60 && Math.abs(x) > 2 * Math.abs(y)) {  // a swipe
      document.querySelector(x > 0 ? "#before" : "#after")?.click();
    }
  }

  stage.addEventListener("wheel", event => {
    event.preventDefault();
    const pixels = event.deltaY * (event.deltaMode === 1 ? 16 : 1);
    zoom(Math.exp(-Math.min(Math.max(pixels, -150), 150) * (event.ctrlKey ? 0.01 : 0.002)), onStage(event));
  }, {passive: false});
  stage.addEventListener("pointerdown", event => {
    if (event.target.closest(".tools") || event.button) return;
    if (event.pointerType === "mouse" && event.target.matches("text")) return;  // selects words
    fingers.set(event.pointerId, {x: event.clientX, y: event.clientY});
    first = fingers.size === 1 ? {x: event.clientX, y: event.clientY} : null;
    stage.setPointerCapture(event.pointerId);
  });
  stage.addEventListener("pointermove", event => {
    if (!fingers.has(event.pointerId)) return;
    const before = spread();
    fingers.set(event.pointerId, {x: event.clientX, y: event.clientY});
    const now = spread();
    stage.classList.add("dragging");
    if (view.scale === 1 && fingers.size === 1) scrollBy(0, before.y - now.y);  // on a phone the text is below
    show(view.scale, view.x + now.x - before.x, view.y + now.y - before.y);
    if (before.apart) zoom(now.apart / before.apart, onStage(now));
  });
  stage.addEventListener("pointerup", lift);
  stage.addEventListener("pointercancel", lift);
  stage.addEventListener("dblclick", event => {
    if (event.target.matches("text") || event.target.closest(".tools")) return;
    if (view.scale > 1) show(1, 0, 0, true);
    else zoom(2.5, onStage(event), true);
  });
  addEventListener("resize", () => show(view.scale, view.x, view.y));

  document.querySelector(".tools").hidden = false;
  document.querySelector("#nearer").addEventListener("click", () => zoom(1.5, middle(), true));
  document.querySelector("#farther").addEventListener("click", () => zoom(1 / 1.5, middle(), true));
  document.querySelector("#whole").addEventListener("click", () => show(1, 0, 0, true));
  document.querySelector("#boxes").addEventListener("click", event => {
    event.currentTarget.setAttribute("aria-pressed", stage.classList.toggle("boxed"));
  });
  for (const link of document.querySelectorAll("[data-show]")) {
    link.addEventListener("click", event => {
      event.preventDefault();
      showWord(document.getElementById(link.dataset.show));
      if (stage.getBoundingClientRect().top < 0) stage.scrollIntoView({block: "nearest"});
    });
  }
}

// --- The text beside the photo ----------------------------------------------------------------------------------

const transcript = document.querySelector("#transcript");
if (transcript) {
  const copy = document.querySelector("#copy");

  function light(event) {  // the word under the pointer, on the photo too
    const word = event.target.closest("[data-word]");
    for (const old of document.querySelectorAll(".lit")) old.classList.remove("lit");
    if (word) for (const part of [word, document.getElementById(word.dataset.word)]) part?.classList.add("lit");
  }

  async function copyText() {
    getSelection().selectAllChildren(transcript);
    let done = document.execCommand("copy");  // where the page is not on https or this machine there is no other way
    if (!done && navigator.clipboard) {
      done = await navigator.clipboard.writeText(transcript.innerText).then(() => true, () => false);
    }
    copy.textContent = done ? "Copied" : "Press Ctrl-C";
    setTimeout(() => { copy.textContent = "Copy"; }, 2000);
  }

  transcript.addEventListener("pointerover", light);
  transcript.addEventListener("pointerleave", light);
  copy.hidden = !transcript.innerText.trim();
  copy.addEventListener("click", copyText);
}
