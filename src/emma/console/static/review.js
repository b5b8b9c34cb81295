// Review: what was recorded, played on one time line, marked, and edited without touching the original.

import { el, fill, put, seconds } from "./dom.js";
import { get, post } from "./api.js";
import { Plot } from "./plots.js";

const AHEAD = 6;

export class ReviewPage {
  constructor(app) {
    this.app = app;
    this.rows = [];
    this.sources = el("select", { id: "source", change: () => this.#openSource(this.sources.value) });
    this.filter = el("input", { type: "search", id: "filter", placeholder: "words, name, kind", input: () => this.#list() });
    this.outcome = el("select", { id: "outcome", "aria-label": "Outcome", change: () => this.#list() },
      ["all", "success", "failure", "unmarked", "discarded"].map((name) => el("option", { value: name }, name)));
    this.count = el("p", { class: "hint" });
    this.list = el("ul", { class: "episodes", "aria-label": "Episodes" });
    this.stage = el("div", { class: "main", "aria-live": "polite" }, el("p", { class: "hint" }, "Choose an episode."));
    this.edits = el("section", { class: "card", "aria-label": "Edits", hidden: true });
    this.node = el("div", { class: "columns review" },
      el("aside", {},
        el("section", { class: "card", "aria-label": "Recordings" },
          el("label", { for: "source" }, "Recordings"), this.sources,
          el("label", { for: "filter" }, "Filter"), el("div", { class: "row" }, this.filter, this.outcome), this.count, this.list),
        this.edits),
      this.stage);
    this.#start();
  }

  async #start() {
    await this.#try(async () => {
      const sources = await get("/api/library");
      this.known = sources;
      fill(this.sources, sources.map((source) => el("option", { value: source.id }, `${source.name} (${source.kind})`)));
      if (!sources.length) put(this.count, "No recordings below the folders that were given.");
      const last = location.hash === "#review/last" ? await get("/api/last") : null;
      const first = last?.source ?? sources[0]?.id;
      if (!first) return;
      this.sources.value = first;
      await this.#openSource(first);
      if (last) await this.#openEpisode(last.episode);
    });
  }

  async #try(work) {
    try {
      return await work();
    } catch (error) {
      this.app.notice(error.message, "bad");
      return null;
    }
  }

  async #openSource(id) {
    this.source = this.known.find((source) => source.id === id);
    await this.#try(async () => {
      this.rows = await get(`/api/library/${id}/episodes`);
      this.#list();
      await this.#showEdits();
    });
  }

  #list() {
    const words = this.filter.value.toLowerCase();
    const wanted = this.outcome.value;
    const rows = this.rows.filter((row) => {
      const text = [row.name, row.instruction, row.kind, row.prompt].join(" ").toLowerCase();
      const outcome = row.state === "discarded" ? "discarded" : row.success === true ? "success" : row.success === false ? "failure" : "unmarked";
      return text.includes(words) && (wanted === "all" || wanted === outcome);
    });
    put(this.count, `${rows.length} of ${this.rows.length} episodes`);
    fill(this.list, rows.map((row) => el("li", {}, el("button", {
      type: "button", "data-episode": row.id, "aria-current": row.id === this.episode ? "true" : null, click: () => this.#openEpisode(row.id),
    }, el("b", {}, row.name), el("span", { class: `outcome ${row.success === true ? "good" : row.success === false ? "bad" : ""}` },
      row.state === "discarded" ? "discarded" : row.success === true ? "success" : row.success === false ? "failure" : ""),
    el("span", { class: "words" }, row.instruction || row.problem || "no words"), el("span", { class: "number" }, seconds(row.seconds))))));
  }

  async #openEpisode(id) {
    this.player?.close();
    this.episode = id;
    for (const button of this.list.querySelectorAll("button")) {
      if (button.dataset.episode === id) button.setAttribute("aria-current", "true");
      else button.removeAttribute("aria-current");
    }
    await this.#try(async () => {
      const base = `/api/library/${this.source.id}/episodes/${id}`;
      const clip = await get(base);
      this.player = new Player(clip, base);
      fill(this.stage, this.#head(clip), this.player.node);
    });
  }

  #head(clip) {
    const bag = this.source.kind === "bags";
    const button = (name, click, more = {}) => el("button", { type: "button", click, ...more }, name);
    const words = el("input", { id: "clip-words", value: clip.instruction, maxlength: 400 });
    const relabel = () => (bag ? this.#mark({ instruction: words.value }) : this.#edit({ kind: "relabel", words: words.value }));
    const mark = (success) => (bag ? this.#mark({ success }) : this.#edit({ kind: "mark", success }));
    return el("section", { class: "card", "aria-label": "Episode" },
      el("h1", {}, clip.name, " ", el("span", { class: "hint" }, `${clip.frames} frames, ${seconds(clip.frames / clip.fps)}`)),
      el("label", { for: "clip-words" }, "Instruction"),
      el("div", { class: "row" }, words, button("Relabel", relabel, { id: "relabel" })),
      el("div", { class: "row" },
        button("Success", () => mark(true), { "aria-pressed": String(clip.success === true) }),
        button("Failure", () => mark(false), { "aria-pressed": String(clip.success === false) }),
        bag ? null : button("Trim to the selection", () => this.#trim(), { id: "trim" }),
        bag ? null : button("Split here", () => this.#edit({ kind: "split", at: this.player.frame }), { id: "split" }),
        bag ? null : button("Delete", () => this.#edit({ kind: "delete" }), { class: "quiet", id: "delete" })),
      clip.problems.length ? el("ul", { class: "problems" }, clip.problems.map((problem) => el("li", {}, problem))) : null);
  }

  #mark(values) {
    return this.#try(async () => {
      await post(`/api/library/${this.source.id}/episodes/${this.episode}/mark`, values);
      await this.#openSource(this.source.id);
      await this.#openEpisode(this.episode);
    });
  }

  #trim() {
    const [first, end] = this.player.selection();
    if (first === 0 && end === this.player.clip.frames) {
      this.app.notice("Select what to keep first: drag over the joints, or press [ and ].");
      return null;
    }
    return this.#edit({ kind: "trim", first, end });
  }

  #edit(values) {
    return this.#try(async () => this.#fillEdits(await post(`/api/library/${this.source.id}/edits`, { episode: Number(this.episode), ...values })));
  }

  async #showEdits() {
    this.edits.hidden = this.source.kind !== "dataset";
    if (!this.edits.hidden) this.#fillEdits(await get(`/api/library/${this.source.id}/edits`));
  }

  #fillEdits(shown) {
    const name = el("input", { id: "new-name", value: `${this.source.name}_edited`, maxlength: 64 });
    const others = this.known.filter((source) => source.kind === "dataset" && source.id !== this.source.id);
    const other = el("select", { id: "other" }, others.map((source) => el("option", { value: source.id }, source.name)));
    const apply = el("button", { type: "button", class: "primary", id: "apply", disabled: !shown.edits.length, click: async () => {
      apply.disabled = true;
      put(apply, "Writing…");
      const done = await this.#try(() => post(`/api/library/${this.source.id}/apply`, { name: name.value }));
      if (done) {
        this.app.notice(`${done.name}: ${done.episodes} episodes`);
        await this.#start();
      } else await this.#showEdits();
    } }, "Apply");
    fill(this.edits, el("h2", {}, "Edits"),
      shown.edits.length ? el("ol", { class: "edits" }, shown.edits.map((text) => el("li", {}, text))) : el("p", { class: "hint" }, "None. The original is never changed; Apply writes a new dataset."),
      others.length ? el("div", { class: "row" }, el("label", { for: "other" }, "Append"), other,
        el("button", { type: "button", click: () => this.#edit({ kind: "merge", dataset: other.value }) }, "Merge")) : null,
      shown.edits.length ? el("details", { open: true }, el("summary", {}, `Preview: ${shown.result.length} episodes`),
        el("ol", { class: "preview", start: 0 }, shown.result.slice(0, 200).map((part) => el("li", {}, `episode ${part.episode}, frames ${part.first} to ${part.end}: `, part.words)))) : null,
      el("label", { for: "new-name" }, "New dataset"), el("div", { class: "row" }, name, apply,
        el("button", { type: "button", id: "undo", disabled: !shown.edits.length, click: () => this.#edit({ undo: true }) }, "Undo")));
  }

  key(event) {
    return this.player?.key(event) ?? false;
  }

  update() {}

  close() {
    this.player?.close();
  }
}

/** All cameras, joints and actions of one episode on one time line. */
class Player {
  constructor(clip, base) {
    this.clip = clip;
    this.base = base;
    this.frame = 0;
    this.playing = false;
    this.range = [0, clip.frames];
    this.pictures = new Map();
    this.views = clip.cameras.map((camera) => {
      const image = el("img", { alt: `Camera ${camera}` });
      return { camera, image, node: el("figure", { class: "tile" }, el("div", { class: "picture" }, image), el("figcaption", {}, el("b", {}, camera))) };
    });
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
  #picture(camera, frame) {
    const key = `${camera}/${frame}`;
    if (!this.pictures.has(key)) {
      const image = new Image();
      image.src = `${this.base}/frames/${encodeURIComponent(camera)}/${frame}`;
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
      view.image.src = this.#picture(view.camera, this.frame).src;
      for (let ahead = 1; ahead <= AHEAD; ahead += 1) {
        if (this.frame + ahead < this.clip.frames) this.#picture(view.camera, this.frame + ahead);
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
