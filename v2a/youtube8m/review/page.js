"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const cards = [...document.querySelectorAll(".card")];
const find = (selector) => document.querySelector(selector);
const player = find("#player"), video = find("#player video"), state = find("#state"), search = find("#search");
const words = cards.map((card) => card.querySelector(".text").textContent.toLowerCase());
const undo = [], waiting = new Map(), storage = "v2a-review " + data.list;
let filter = "all", here = null, sending = false;

// --- decisions -------------------------------------------------------------------------------------------------------

function decide(card, choice) {
  undo.push([card, card.dataset.keep]);
  set(card, choice);
}

function set(card, choice) {
  card.dataset.keep = choice;
  show(card);
  count();
  waiting.set(Number(card.dataset.row), choice);
  card.classList.add("unsaved");
  data.static ? store() : send();
}

function show(card) {
  for (const button of card.querySelectorAll("[data-choice]")) {
    button.setAttribute("aria-pressed", String(button.dataset.choice === card.dataset.keep));
  }
  if (card === here && player.open) player.dataset.keep = card.dataset.keep;
}

async function send() {
  if (sending) return;
  sending = true;
  while (waiting.size) {
    const batch = Object.fromEntries(waiting);
    try {
      const answer = await fetch("keep", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(batch) });
      if (!answer.ok) throw new Error(await answer.text());
    } catch (error) {
      say(`${waiting.size} not saved: ${error instanceof TypeError ? "the server has gone; start it again on the same list, then decide once more, or download" : error.message}`, true);
      break;
    }
    for (const [row, choice] of Object.entries(batch)) {
      if (waiting.get(Number(row)) !== choice) continue;
      waiting.delete(Number(row));
      cards[row].classList.remove("unsaved");
    }
    if (!waiting.size) say("saved");
  }
  sending = false;
  find("#download").hidden = !data.static && !waiting.size;
}

function store() {
  try {
    localStorage.setItem(storage, JSON.stringify(cards.map((card) => card.dataset.keep)));
    say("kept in this browser; download them when you are done");
  } catch {
    say("this browser keeps nothing for this page: download the decisions before you leave", true);
  }
}

function restore() {
  try {
    const kept = JSON.parse(localStorage.getItem(storage) || "[]");
    if (kept.length === cards.length) cards.forEach((card, row) => { if (["yes", "no", ""].includes(kept[row])) card.dataset.keep = kept[row]; });
  } catch {
    say("earlier decisions in this browser could not be read", true);
  }
}

function download() {
  const quote = (text) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  const rows = data.rows.map((row, number) => [...row, cards[number].dataset.keep]);
  const text = [[...data.columns, "keep"], ...rows].map((row) => row.map(quote).join(",") + "\n").join("");
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  link.download = "decisions.csv";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  waiting.clear();
}

function say(text, bad = false) {
  state.textContent = text;
  state.classList.toggle("bad", bad);
}

// --- what is shown ---------------------------------------------------------------------------------------------------

function count() {
  const yes = cards.filter((card) => card.dataset.keep === "yes").length, no = cards.filter((card) => card.dataset.keep === "no").length;
  const numbers = { all: cards.length, open: cards.length - yes - no, yes, no };
  for (const button of document.querySelectorAll("[data-filter]")) button.querySelector("b").textContent = numbers[button.dataset.filter];
  find("#progress .yes").style.width = `${(100 * yes) / cards.length}%`;
  find("#progress .no").style.width = `${(100 * no) / cards.length}%`;
}

function refresh() {
  const text = search.value.trim().toLowerCase();
  let any = false;
  cards.forEach((card, row) => {
    card.hidden = !(filter === "all" || card.dataset.keep === (filter === "open" ? "" : filter)) || !words[row].includes(text);
    any ||= !card.hidden;
  });
  find("#none").hidden = any;
  if (!here || here.hidden) go(shown()[0]);
}

const shown = () => cards.filter((card) => !card.hidden);

function go(card, focus = false) {
  if (here) here.classList.remove("here");
  here = card || null;
  if (!here) return;
  here.classList.add("here");
  if (focus) {
    here.focus({ preventScroll: true });
    here.scrollIntoView({ block: "nearest" });
  }
}

function move(steps) {
  const list = shown(), at = list.indexOf(here), next = list[Math.max(0, Math.min(list.length - 1, at + steps))];
  if (next) go(next, true);
  if (next && player.open) play(next);
}

function columns() {
  const list = shown(), top = list.length ? list[0].offsetTop : 0;
  return Math.max(1, list.filter((card) => card.offsetTop === top).length);
}

// --- playing ---------------------------------------------------------------------------------------------------------

function play(card) {
  go(card);
  find("#player h2").textContent = card.querySelector("h2").textContent;
  find("#trouble").hidden = true;
  player.dataset.keep = card.dataset.keep;
  video.src = card.dataset.video;
  if (!player.open) player.showModal();
  video.play().catch(() => {});  // the error event says more
}

video.addEventListener("error", () => {
  if (!video.getAttribute("src")) return;
  find("#trouble").textContent = `This browser cannot play ${data.rows[here.dataset.row][0]}. Another player may; the decision counts all the same.`;
  find("#trouble").hidden = false;
});

player.addEventListener("close", () => {
  video.removeAttribute("src");
  video.load();
  go(here, true);
});

// --- mouse and keys --------------------------------------------------------------------------------------------------

document.addEventListener("click", (event) => {
  const button = event.target.closest("button"), card = event.target.closest(".card");
  if (card) go(card);
  if (!button) return;
  if (button.dataset.filter) {
    filter = button.dataset.filter;
    for (const other of document.querySelectorAll("[data-filter]")) other.setAttribute("aria-pressed", String(other === button));
    refresh();
  } else if (button.dataset.choice) toggle(card || here, button.dataset.choice);
  else if (button.className === "picture") play(card);
  else if (button.className === "close") player.close();
  else if (button.id === "download") download();
});

const toggle = (card, choice) => decide(card, card.dataset.keep === choice ? "" : choice);

const keys = {
  k: () => { decide(here, "yes"); move(1); },
  d: () => { decide(here, "no"); move(1); },
  u: () => { const last = undo.pop(); if (last) { set(...last); last[0].hidden = false; go(last[0], true); if (player.open) play(last[0]); } },
  " ": () => { if (!player.open) play(here); else if (video.paused) video.play(); else video.pause(); },
  Enter: () => play(here),
  ArrowLeft: () => move(-1),
  ArrowRight: () => move(1),
  ArrowUp: () => move(player.open ? -1 : -columns()),
  ArrowDown: () => move(player.open ? 1 : columns()),
  "/": () => search.focus(),
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target === search) {
    if (event.key === "Escape" || event.key === "Enter") search.blur();
    return;
  }
  if ((event.key === " " || event.key === "Enter") && event.target.closest("button")) return;
  const action = keys[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (!action || (!here && event.key !== "/")) return;
  event.preventDefault();
  action();
}, true);

search.addEventListener("input", refresh);
window.addEventListener("beforeunload", (event) => { if (!data.static && waiting.size) event.preventDefault(); });

if (data.static) restore();
find("#download").hidden = !data.static;
cards.forEach(show);
count();
refresh();
