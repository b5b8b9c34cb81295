// What each camera sees, what is covered, and what to show next. The page only reads.

import { el, facts, put } from "./dom.js";

const PERIOD_MS = 200;
// Corners in a field at which it counts as thin, fair and full.
const LEVELS = [1, 9, 25];
const stations = new Map();

function station(name, rows, columns) {
  const word = el("p", { class: "word", role: "status" });
  const next = el("p", { class: "next" });
  const image = el("img", { alt: `What camera ${name} sees` });
  const cells = Array.from({ length: rows * columns }, () => el("i"));
  const fields = el("div", { class: "fields", "aria-hidden": "true" }, cells);
  fields.style.gridTemplate = `repeat(${rows}, 1fr) / repeat(${columns}, 1fr)`;
  const known = facts(["Views", "Nearer edge", "Distance"]);
  const node = el("section", { class: "station", "aria-label": name },
    el("h2", {}, name), word, next, el("div", { class: "view" }, image, fields), known.node);
  document.getElementById("cameras").append(node);
  return { node, word, next, image, cells, known, number: -1 };
}

function show(state) {
  if (!stations.has(state.camera)) {
    stations.set(state.camera, station(state.camera, state.fields.length, state.fields[0].length));
  }
  const at = stations.get(state.camera);
  put(at.word, state.status);
  at.node.dataset.status = state.status;
  put(at.next, state.missing.length ? `Next: ${state.missing[0]}` : "Enough.");
  state.fields.flat().forEach((count, i) => {
    at.cells[i].dataset.level = LEVELS.filter((level) => count >= level).length;
  });
  at.known.set("Views", state.views);
  at.known.set("Nearer edge", Object.entries(state.tilts).map(([side, count]) => `${side} ${count}`).join(", "));
  at.known.set("Distance", `${state.distances[0]} to ${state.distances[1]} m`);
  if (state.number !== at.number && at.image.complete) {
    at.number = state.number;
    at.image.src = `/picture/${encodeURIComponent(state.camera)}?${state.number}`;
  }
}

async function turn() {
  const waiting = document.getElementById("waiting");
  try {
    const cameras = await (await fetch("/state")).json();
    waiting.hidden = cameras.length > 0;
    cameras.forEach(show);
  } catch {
    waiting.hidden = false;
    put(waiting, "The calibration has ended; the terminal has its result.");
  }
  setTimeout(turn, PERIOD_MS);
}

turn();
