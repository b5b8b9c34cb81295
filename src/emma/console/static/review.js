// Review: what was recorded, played on one time line, marked, and edited without touching the original.

import { el, facts, fill, put, seconds } from "./dom.js";
import { get, post } from "./api.js";
import { Player } from "./player.js";
import { RunsCard } from "./runs.js";

export class ReviewPage {
  constructor(app) {
    this.app = app;
    this.rows = [];
    this.deleted = [];
    this.sources = el("select", { id: "source", change: () => this.#openSource(this.sources.value) });
    this.filter = el("input", { type: "search", id: "filter", placeholder: "words, name, kind", input: () => this.#list() });
    this.outcome = el("select", { id: "outcome", "aria-label": "Outcome", change: () => this.#list() },
      ["all", "success", "failure", "unmarked", "discarded"].map((name) => el("option", { value: name }, name)));
    this.count = el("p", { class: "hint" });
    this.list = el("ul", { class: "episodes", "aria-label": "Episodes" });
    this.stage = el("div", { class: "main", "aria-live": "polite" }, el("p", { class: "hint" }, "Choose an episode."));
    this.runs = new RunsCard(app, (node) => this.#stage(node));
    this.edits = el("section", { class: "card", "aria-label": "Edits", hidden: true });
    this.node = el("div", { class: "columns review" },
      el("aside", {},
        el("section", { class: "card", "aria-label": "Recordings" },
          el("label", { for: "source" }, "Recordings"), this.sources,
          el("label", { for: "filter" }, "Filter"), el("div", { class: "row" }, this.filter, this.outcome), this.count, this.list),
        this.edits, this.runs.node),
      this.stage);
    this.#start();
  }

  async #start() {
    await this.#try(async () => {
      const sources = await get("/api/library");
      this.known = sources;
      fill(this.sources, sources.map((source) => el("option", { value: source.id }, `${source.name} (${source.kind})`)));
      if (!sources.length) put(this.count, "No recordings below the folders that were given.");
      if (location.hash === "#review/runs") this.runs.open();
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

  /** Show something else than an episode. */
  #stage(node) {
    this.player?.close();
    this.player = null;
    this.episode = null;
    for (const button of this.list.querySelectorAll("[aria-current]")) button.removeAttribute("aria-current");
    fill(this.stage, node);
  }

  async #openEpisode(id) {
    this.player?.close();
    this.runs.leave();
    this.episode = id;
    for (const button of this.list.querySelectorAll("button")) {
      if (button.dataset.episode === id) button.setAttribute("aria-current", "true");
      else button.removeAttribute("aria-current");
    }
    await this.#try(async () => {
      const base = `/api/library/${this.source.id}/episodes/${id}`;
      const clip = await get(base);
      this.player = new Player(clip, base);
      fill(this.stage, this.#head(clip), clip.generated ? this.#generated(clip.generated) : null, this.player.node);
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

  /** Prompt, scores and verdict of a generated clip. Rejecting it puts its deletion into the list of edits, which is kept. */
  #generated(made) {
    const scores = Object.entries(made.scores ?? {}).map(([name, value]) => el("span", { class: "chip" }, `${name} ${Number(value).toPrecision(3)}`));
    const verdict = facts(["Prompt", "Source", "Filter", "Verdict"]);
    const set = () => {
      const rejected = this.deleted.includes(Number(this.episode));
      verdict.set("Verdict", rejected ? "rejected: left out of the new dataset" : "accepted", rejected ? "bad" : "");
      accept.setAttribute("aria-pressed", String(!rejected));
      reject.setAttribute("aria-pressed", String(rejected));
    };
    const decide = async (rejected) => {
      if (this.deleted.includes(Number(this.episode)) !== rejected) await this.#edit(rejected ? { kind: "delete" } : { keep: true });
      set();
    };
    const accept = el("button", { type: "button", class: "good", click: () => decide(false) }, "Accept");
    const reject = el("button", { type: "button", class: "quiet", click: () => decide(true) }, "Reject");
    verdict.set("Prompt", made.prompt);
    verdict.set("Source", made.source ? `${made.dataset}, episode ${made.episode}: shown below, the source first` : `${made.dataset}, episode ${made.episode}, which is not in these folders`);
    verdict.set("Filter", made.accepted === false ? `rejected: ${made.reason}` : "accepted");
    set();
    return el("section", { class: "card", "aria-label": "Generated clip" }, verdict.node,
      scores.length ? el("div", { class: "chips", "aria-label": "Scores" }, scores) : null, el("div", { class: "row" }, accept, reject));
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
    this.deleted = shown.deleted;
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
    this.runs.leave();
  }
}
