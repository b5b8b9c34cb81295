// Camera tiles: the newest picture, its age and rate, and the ghost of an earlier first picture.

import { el, put } from "./dom.js";
import { Stream } from "./api.js";

const HEADER_BYTES = 16;
// A tile without a new picture for this long is marked as frozen.
const FROZEN_MS = 1000;

export class Tile {
  constructor(camera) {
    this.camera = camera;
    this.canvas = el("canvas", { width: camera.width, height: camera.height, role: "img", "aria-label": `Camera ${camera.name}` });
    this.ghost = el("img", { class: "ghost", alt: "", hidden: true });
    this.age = el("span", { class: "number" }, "–");
    this.rate = el("span", { class: "number" }, "–");
    this.note = el("span", { class: "tile-note" });
    this.node = el(
      "figure",
      { class: "tile", "data-camera": camera.name, "data-live": "no" },
      el("div", { class: "picture" }, this.canvas, this.ghost),
      el("figcaption", {}, el("b", {}, camera.name), this.age, this.rate, this.note),
    );
    this.context = this.canvas.getContext("2d");
    this.times = [];
    this.stream = new Stream(`/ws/camera/${encodeURIComponent(camera.name)}`, (data) => this.#draw(data), { binary: true });
    this.timer = setInterval(() => this.#look(), 500);
  }

  async #draw(data) {
    const view = new DataView(data);
    const stampMs = Number(view.getBigInt64(0, true) / 1000n) / 1000;
    const sentMs = Number(view.getBigInt64(8, true) / 1000n) / 1000;
    const bitmap = await createImageBitmap(new Blob([new Uint8Array(data, HEADER_BYTES)], { type: "image/jpeg" }));
    if (this.canvas.width !== bitmap.width || this.canvas.height !== bitmap.height) {
      this.canvas.width = bitmap.width;
      this.canvas.height = bitmap.height;
    }
    this.context.drawImage(bitmap, 0, 0);
    bitmap.close();
    const now = performance.now();
    this.times.push(now);
    while (this.times.length > 2 && now - this.times[0] > 2000) this.times.shift();
    // By the workstation's clock alone, so that a tablet's clock does not matter.
    put(this.age, `${Math.max(0, sentMs - stampMs).toFixed(0)} ms`);
    this.node.dataset.latency = (Date.now() - stampMs).toFixed(1);
    this.node.dataset.pictures = Number(this.node.dataset.pictures ?? 0) + 1;
  }

  #look() {
    const now = performance.now();
    const last = this.times.at(-1);
    const live = last !== undefined && now - last < FROZEN_MS;
    this.node.dataset.live = live ? "yes" : "no";
    const span = last - this.times[0];
    put(this.rate, live && span > 0 ? `${(((this.times.length - 1) * 1000) / span).toFixed(0)} Hz` : "–");
    if (!live) put(this.age, last === undefined ? "no picture" : `${((now - last) / 1000).toFixed(0)} s old`);
  }

  show(state) {
    put(this.note, state?.problem || (state?.hz ? `source ${state.hz.toFixed(0)} Hz` : ""));
    this.node.dataset.problem = state?.problem ? "yes" : "no";
  }

  setGhost(url) {
    this.ghost.hidden = !url;
    if (url) this.ghost.src = url;
    else this.ghost.removeAttribute("src");
  }

  close() {
    clearInterval(this.timer);
    this.stream.close();
  }
}

/** The tiles of all cameras; `show(state)` takes the live state. */
export class Tiles {
  constructor(cameras) {
    this.tiles = cameras.map((camera) => new Tile(camera));
    this.skew = el("p", { class: "hint" });
    this.node = el("section", { class: "tiles", "aria-label": "Cameras" }, this.tiles.map((tile) => tile.node));
  }

  show(live) {
    for (const tile of this.tiles) tile.show(live.cameras[tile.camera.name]);
  }

  setGhosts(urlOf) {
    for (const tile of this.tiles) tile.setGhost(urlOf ? urlOf(tile.camera.name) : null);
  }

  close() {
    for (const tile of this.tiles) tile.close();
  }
}
