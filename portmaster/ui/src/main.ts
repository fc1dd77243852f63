// The page: what flows from the stream through the model into the table and
// the details, and what the reader does.

import { Details } from "./details";
import { find, setText } from "./dom";
import { Model, words } from "./model";
import { Stream, type State } from "./stream";
import { Table } from "./table";
import type { Delta } from "./types";

const model = new Model();
const grid = find("grid", HTMLElement);
const filter = find("filter", HTMLInputElement);
const verdicts = find("verdicts", HTMLFieldSetElement);
const pauseButton = find("pause", HTMLButtonElement);
const status = find("state", HTMLElement);
const announcer = find("announcer", HTMLElement);
const lost = find("lost", HTMLElement);
const lostText = find("lost-text", HTMLElement);
const empty = find("empty", HTMLElement);
const noMatch = find("no-match", HTMLElement);

const details = new Details(find("details", HTMLElement), find("details-title", HTMLElement), find("details-body", HTMLElement));
const table = new Table(find("scroller", HTMLElement), find("head", HTMLElement), find("rows", HTMLElement), grid, model, show);

let state: State = "connecting";
let paused = false;
let newest = 0; // highest ID that the daemon has told of
let pausedAt = 0; // the newest when the reader paused
let openID = -1;
let scheduled = false;

function take(d: Delta): void {
  for (const c of d.connections) newest = Math.max(newest, c.id);
  if (paused) {
    // Nothing is kept for later: on resuming, the stream begins again with
    // the whole table.
    showState();
    return;
  }
  dirtyOrder = model.apply(d).order || dirtyOrder;
  schedule();
}

let dirtyOrder = false;

/** Draws once per frame, however many steps come. */
function schedule(): void {
  if (scheduled) return;
  scheduled = true;
  requestAnimationFrame(() => {
    scheduled = false;
    draw();
  });
}

function draw(): void {
  if (dirtyOrder) table.reorder();
  else table.render();
  dirtyOrder = false;
  showTotals();
  const nothing = model.length === 0 && state !== "connecting";
  empty.hidden = !nothing || model.size > 0;
  noMatch.hidden = !nothing || model.size === 0;
  const c = model.get(openID);
  if (details.open && c !== undefined) details.show(c, Date.now());
}

function showTotals(): void {
  const t = model.totals();
  for (const [name, count] of Object.entries(t)) setText(find(`total-${name}`, HTMLElement), String(count));
}

function show(id: number): void {
  const c = model.get(id);
  if (c === undefined) return;
  openID = id;
  details.show(c, Date.now());
  document.body.classList.add("with-details");
  if (matchMedia("(max-width: 900px)").matches) find("details-close", HTMLButtonElement).focus();
}

function hide(): void {
  if (!details.open) return;
  details.hide();
  openID = -1;
  document.body.classList.remove("with-details");
  grid.focus();
}

function changeState(next: State): void {
  if (next === state) return;
  const before = state;
  state = next;
  document.body.dataset["state"] = next;
  lost.hidden = next === "live" || next === "connecting";
  setText(lostText, next === "signed-out"
    ? "This browser is signed out. Open the address that “portmaster status” prints."
    : "The connection to Portmaster is lost; what is below may be out of date. Trying again…");
  if (next === "live" && before !== "connecting") announce("Live again");
  if (!lost.hidden) announce(lostText.textContent ?? "");
  showState();
  schedule();
}

function showState(): void {
  let text = "Live";
  if (state === "lost") text = "Connection lost";
  else if (state === "signed-out") text = "Signed out";
  else if (state === "connecting") text = "Connecting…";
  else if (paused) text = newest > pausedAt ? `Paused, ${newest - pausedAt} new` : "Paused";
  setText(status, text);
}

function announce(text: string): void {
  announcer.textContent = text;
}

function pause(on: boolean): void {
  paused = on;
  document.body.classList.toggle("paused", on);
  setText(pauseButton, on ? "Resume" : "Pause");
  announce(on ? "Paused" : "Resumed");
  pausedAt = newest;
  if (!on) stream.restart();
  showState();
}

function search(): void {
  const chosen = verdicts.querySelector<HTMLInputElement>("input:checked");
  model.filter({ words: words(filter.value), verdict: chosen?.value ?? "" });
  dirtyOrder = true;
  schedule();
}

function clearFilter(): void {
  filter.value = "";
  for (const i of verdicts.querySelectorAll("input")) i.checked = i.value === "";
  search();
  filter.focus();
}

filter.addEventListener("input", search);
verdicts.addEventListener("change", search);
pauseButton.addEventListener("click", () => pause(!paused));
find("clear", HTMLButtonElement).addEventListener("click", clearFilter);
find("details-close", HTMLButtonElement).addEventListener("click", hide);
document.addEventListener("keydown", (e) => {
  if (e.key === "Escape") hide();
});
// Letters are shortcuts only while the table has the focus.
grid.addEventListener("keydown", (e) => {
  if (e.altKey || e.ctrlKey || e.metaKey) return;
  if (e.key === "/") filter.focus();
  else if (e.key === "p") pause(!paused);
  else return;
  e.preventDefault();
});
setInterval(() => {
  if (!paused && document.visibilityState === "visible") schedule();
}, 1000);

/** Says what is guarded and whether something needs attention. */
async function loadStatus(): Promise<void> {
  const answer = await fetch("/api/v1/status", { cache: "no-store" });
  if (!answer.ok) return;
  const s = (await answer.json()) as { guards: string; problems: string[] };
  setText(find("guards", HTMLElement), s.guards === "" ? "guards this machine" : `guards ${s.guards}`);
  const list = find("problems", HTMLElement);
  list.hidden = s.problems.length === 0;
  list.replaceChildren(...s.problems.map((p) => {
    const li = document.createElement("li");
    li.textContent = p;
    return li;
  }));
}

const stream = new Stream({
  delta: take,
  state: (s) => {
    if (s === "live" && state !== "live") loadStatus().catch(() => undefined);
    changeState(s);
  },
});
stream.open();
