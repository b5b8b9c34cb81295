// Record: cameras, the episode, its words, and what may be done with it.

import { bytes, el, facts, put, seconds } from "./dom.js";
import { get } from "./api.js";
import { Tiles } from "./tiles.js";

const WORDS_KEPT = 12;
const WORDS = "emma.instructions";

function knownWords() {
  try {
    const words = JSON.parse(localStorage.getItem(WORDS) ?? "[]");
    return Array.isArray(words) ? words.filter((word) => typeof word === "string") : [];
  } catch {
    return [];
  }
}

export class RecordPage {
  constructor(app) {
    this.app = app;
    this.tiles = new Tiles(app.about.live.cameras);
    this.facts = facts(["Episode", "Instruction", "Mark", "Messages", "Dropped, lost", "Disk", "Skew", "Leader", "Saved"]);
    this.words = el("input", { id: "words", list: "known-words", maxlength: 400, placeholder: "what the robot is to do" });
    this.known = el("datalist", { id: "known-words" });
    this.problems = el("ul", { class: "problems", "aria-label": "Problems" });
    this.log = el("ol", { class: "log", "aria-label": "Events" });
    this.ghostButton = this.#button("Ghost", "g", () => this.#ghost());
    this.start = this.#button("Start", "Space", () => app.act("start"), "primary");
    this.save = this.#button("Save", "s", () => app.act("save"), "primary");
    const act = (name, key, action, kind) => this.#button(name, key, () => app.act(action), kind);
    this.success = act("Success", "r", "success", "good");
    this.failure = act("Failure", "r r", "failure");
    this.discard = act("Discard", "d", "discard");
    this.deleteLast = this.#button("Delete last", "", () => this.#deleteLast(), "quiet");
    this.next = act("Next task", "n", "next");
    this.take = act("Take over", "t", "take");
    this.give = act("Give back", "t", "give");
    this.node = el("div", { class: "columns" },
      el("div", { class: "main" }, this.tiles.node, this.problems),
      el("aside", {},
        el("section", { class: "card", "aria-label": "Episode" },
          el("div", { class: "row big" }, this.start, this.save),
          el("div", { class: "row" }, this.success, this.failure),
          el("div", { class: "row" }, this.discard, this.next, this.deleteLast),
          el("div", { class: "row" }, this.take, this.give),
          this.facts.node),
        el("form", { class: "card", submit: (event) => { event.preventDefault(); this.#instruct(); } },
          el("label", { for: "words" }, "Instruction"), el("div", { class: "row" }, this.words, el("button", {}, "Set")), this.known,
          el("div", { class: "row" }, this.ghostButton, el("a", { class: "button", href: "#review/last" }, "Replay the last"))),
        el("section", { class: "card" }, el("h2", {}, "Events"), this.log)));
    this.#listWords();
  }

  #button(name, key, click, kind = "") {
    return el("button", { type: "button", class: `act ${kind}`, click }, name, key ? el("kbd", {}, key) : null);
  }

  #listWords() {
    this.known.replaceChildren(...knownWords().map((word) => el("option", { value: word })));
  }

  async #instruct() {
    const words = this.words.value.trim();
    if (!words || !(await this.app.act("instruct", words))) return;
    localStorage.setItem(WORDS, JSON.stringify([words, ...knownWords().filter((w) => w !== words)].slice(0, WORDS_KEPT)));
    this.#listWords();
  }

  #deleteLast() {
    const last = this.app.live?.saved.at(-1);
    if (last && confirm(`Mark ${last} as discarded?`)) this.app.act("delete_last");
  }

  async #ghost() {
    this.ghosted = !this.ghosted;
    this.ghostButton.setAttribute("aria-pressed", String(this.ghosted));
    if (!this.ghosted) {
      this.tiles.setGhosts(null);
      return;
    }
    try {
      const last = await get("/api/last");
      this.tiles.setGhosts((camera) => `${last.frames}/${encodeURIComponent(camera)}/0`);
    } catch (error) {
      this.app.notice(error.message, "bad");
      this.ghosted = false;
      this.ghostButton.setAttribute("aria-pressed", "false");
    }
  }

  key(event) {
    if (event.key !== "g") return false;
    this.#ghost();
    return true;
  }

  update(live, state) {
    const recorder = live.recorder;
    const recording = (recorder.state ?? "idle") !== "idle";
    this.tiles.show(live);
    this.start.hidden = recording;
    this.save.hidden = !recording;
    for (const button of [this.success, this.failure, this.discard]) button.disabled = !recording;
    this.success.setAttribute("aria-pressed", String(recorder.success === true));
    this.failure.setAttribute("aria-pressed", String(recorder.success === false));
    this.next.hidden = !live.nodes.sim;
    this.next.disabled = recording;
    const driving = (live.teleop.state || "idle") !== "idle";
    this.take.hidden = driving || !live.nodes.teleop;
    this.give.hidden = !driving;
    this.deleteLast.disabled = recording || !live.saved.length;
    const facts = this.facts;
    facts.set("Episode", recording ? `${live.saved.length + 1}, ${seconds(recorder.seconds)}` : `${live.saved.length + 1} is next`);
    facts.set("Instruction", recorder.instruction);
    facts.set("Mark", recorder.success === true ? "success" : recorder.success === false ? "failure" : "none");
    facts.set("Messages", recorder.messages ? `${recorder.messages}, ${(recorder.mb_per_s ?? 0).toFixed(1)} MB/s` : "");
    const missing = recorder.dropped + recorder.lost;
    facts.set("Dropped, lost", `${recorder.dropped}, ${recorder.lost}`, missing ? "bad" : "");
    const minutes = recorder.minutes_left;
    facts.set("Disk", minutes ? `${minutes.toFixed(0)} min left` : `${bytes(recorder.free_bytes)} free`, minutes && minutes < 5 ? "bad" : "");
    const skew = live.skew_s;
    const apart = skew > this.app.about.live.max_skew_s;
    facts.set("Skew", skew === null || skew === undefined ? "" : `${(skew * 1000).toFixed(0)} ms`, apart ? "warn" : "");
    facts.set("Leader", live.nodes.teleop ? [live.teleop.device, live.teleop.state, live.teleop.note].filter(Boolean).join(", ") : "none");
    facts.set("Saved", live.saved.length ? `${live.saved.length}, last ${live.saved.at(-1)}` : "none yet");
    showProblems(this.problems, live.problems);
    showLog(this.log, state.events);
  }

  close() {
    this.tiles.close();
  }
}

export function showProblems(node, problems) {
  const words = JSON.stringify(problems);
  if (node.dataset.shown === words) return;
  node.dataset.shown = words;
  node.replaceChildren(...problems.map((problem) => el("li", {}, problem)));
}

export function showLog(node, events) {
  const newest = String(events.at(-1)?.time_ns ?? "");
  if (node.dataset.shown === newest) return;
  node.dataset.shown = newest;
  const rows = events.slice(-8).reverse().map((event) => {
    const item = el("li", {}, el("time", {}, new Date(event.time_ns / 1e6).toLocaleTimeString()), " ");
    const words = el("span");
    put(words, event.text);
    item.append(words);
    return item;
  });
  node.replaceChildren(...rows);
}
