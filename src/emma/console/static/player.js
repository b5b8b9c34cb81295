// One episode on one time line: all cameras, joints, actions and marks; a generated one beside its source.

import { el, put } from "./dom.js";
import { Plot } from "./plots.js";

const AHEAD = 6;

/** All cameras, joints and actions of one episode on one time line. */
export class Player {
  constructor(clip, base) {
    this.clip = clip;
    this.frame = 0;
    this.playing = false;
    this.range = [0, clip.frames];
    this.pictures = new Map();
    const source = clip.generated?.source;
    this.views = clip.cameras.flatMap((camera) => [
      ...(source?.cameras.includes(camera) ? [this.#view(camera, source.base, "source")] : []),
      this.#view(camera, base, source ? "generated" : ""),
    ]);
    this.slider = el("input", { type: "range", min: 0, max: clip.frames - 1, value: 0, "aria-label": "Frame", input: () => this.show(Number(this.slider.value)) });
    this.button = el("button", { type: "button", class: "primary", click: () => this.toggle() }, "Play");
    this.time = el("output", { class: "number" });
    this.kept = el("span", { class: "hint" });
    const joints = clip.curves;
    this.plots = joints.names.map((name, i) => this.#plot(name, joints, i));
    const health = Object.entries(clip.health).map(([key, value]) => el("span", { class: "chip" }, `${key} ${value}`));
    const marks = clip.marks.filter((mark) => mark.t >= 0).slice(0, 40).map((mark) =>
      el("button", { type: "button", class: "chip", click: () => this.show(Math.round(mark.t * clip.fps)) }, `${mark.t.toFixed(1)} s `, mark.label));
    this.node = el("div", { class: "main" },
      el("section", { class: "tiles", "aria-label": "Cameras" }, this.views.map((view) => view.node)),
      el("section", { class: "card", "aria-label": "Time line" },
        el("div", { class: "row transport" }, this.button, this.slider, this.time), this.kept,
        health.length ? el("div", { class: "chips", "aria-label": "Health" }, health) : null,
        marks.length ? el("div", { class: "chips", "aria-label": "Marks" }, marks) : null,
        el("div", { class: "plots" }, this.plots.map((plot) => plot.node))));
    this.show(0);
  }

  #view(camera, base, kind) {
    const image = el("img", { alt: `Camera ${camera}${kind ? `, ${kind}` : ""}` });
    const node = el("figure", { class: "tile", "data-kind": kind }, el("div", { class: "picture" }, image),
      el("figcaption", {}, el("b", {}, camera), kind ? el("span", {}, kind) : null));
    return { camera, base, image, node };
  }

  #plot(name, joints, i) {
    // State and action have times of their own; one table with gaps holds both.
    const times = [...new Set([...joints.t, ...joints.t_action])].sort((a, b) => a - b);
    const column = (at, values) => {
      const known = new Map(at.map((t, k) => [t, values?.[k]]));
      return times.map((t) => known.get(t));
    };
    const plot = new Plot(name, [{ label: "state", colour: "--c1" }, { label: "action", colour: "--c2", dash: [4, 3] }], {
      height: 104, select: true, legend: false, spanGaps: true, cursor: { sync: { key: "review" } },
      hooks: { setSelect: [(u) => this.#selected(u)], draw: [(u) => this.#now(u)] },
    });
    plot.set([times, column(joints.t, joints.state[i]), column(joints.t_action, joints.action[i])]);
    return plot;
  }

  #selected(u) {
    if (u.select.width < 3) return;
    const at = (x) => Math.round(u.posToVal(x, "x") * this.clip.fps);
    this.#keep(at(u.select.left), at(u.select.left + u.select.width) + 1);
  }

  #keep(first, end) {
    const clamp = (frame) => Math.min(this.clip.frames, Math.max(0, frame));
    this.range = [clamp(first), clamp(end)];
    const whole = this.range[0] === 0 && this.range[1] === this.clip.frames;
    put(this.kept, whole ? "" : `Selected: frames ${this.range[0]} to ${this.range[1]}`);
  }

  #now(u) {
    const x = u.valToPos(this.frame / this.clip.fps, "x", true);
    u.ctx.save();
    u.ctx.strokeStyle = "#c21a11";
    u.ctx.lineWidth = 1.5;
    u.ctx.beginPath();
    u.ctx.moveTo(x, u.bbox.top);
    u.ctx.lineTo(x, u.bbox.top + u.bbox.height);
    u.ctx.stroke();
    u.ctx.restore();
  }

  selection() {
    return this.range;
  }

  /** A picture that is loaded or loading. Those long past are let go. */
  #picture(view, frame) {
    const key = `${view.base}/frames/${encodeURIComponent(view.camera)}/${frame}`;
    if (!this.pictures.has(key)) {
      const image = new Image();
      image.src = key;
      this.pictures.set(key, image);
      if (this.pictures.size > 40 * this.views.length) this.pictures.delete(this.pictures.keys().next().value);
    }
    return this.pictures.get(key);
  }

  show(frame) {
    this.frame = Math.min(this.clip.frames - 1, Math.max(0, frame));
    this.slider.value = this.frame;
    put(this.time, `${this.frame} · ${(this.frame / this.clip.fps).toFixed(2)} s`);
    for (const view of this.views) {
      view.image.src = this.#picture(view, this.frame).src;
      for (let ahead = 1; ahead <= AHEAD; ahead += 1) {
        if (this.frame + ahead < this.clip.frames) this.#picture(view, this.frame + ahead);
      }
    }
    for (const plot of this.plots) plot.plot.redraw(false, false);
  }

  toggle() {
    this.playing = !this.playing;
    put(this.button, this.playing ? "Pause" : "Play");
    if (!this.playing) return;
    if (this.frame >= this.clip.frames - 1) this.show(0);
    const began = performance.now();
    const from = this.frame;
    const step = (now) => {
      if (!this.playing) return;
      const wanted = from + Math.floor(((now - began) / 1000) * this.clip.fps);
      if (wanted > this.frame) this.show(wanted);
      if (this.frame >= this.clip.frames - 1) this.toggle();
      else requestAnimationFrame(step);
    };
    requestAnimationFrame(step);
  }

  key(event) {
    switch (event.key) {
      case " ":
        this.toggle();
        return true;
      case "ArrowLeft":
        this.show(this.frame - 1);
        return true;
      case "ArrowRight":
        this.show(this.frame + 1);
        return true;
      case "[":
        this.#keep(this.frame, this.range[1]);
        return true;
      case "]":
        this.#keep(this.range[0], this.frame + 1);
        return true;
      default:
        return false;
    }
  }

  close() {
    this.playing = false;
    for (const plot of this.plots) plot.close();
  }
}
