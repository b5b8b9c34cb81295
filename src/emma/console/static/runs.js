// Trainings with loss, rate and time left, AdaMix' weights, and what the gate of each cycle found.

import { el, facts, fill, put, seconds } from "./dom.js";
import { get } from "./api.js";
import { Plot } from "./plots.js";

const LOOK_MS = 5000;
// A log that is quiet for this long belongs to a training that ended or was interrupted.
const QUIET_S = 120;
const percent = (value) => `${(100 * value).toFixed(1)} %`;

export class RunsCard {
  /** `stage(node)` shows a run in place of an episode. */
  constructor(app, stage) {
    this.app = app;
    this.stage = stage;
    this.list = el("ul", { class: "episodes", "aria-label": "Runs" });
    this.details = el("details", { toggle: () => this.details.open && this.#look() }, el("summary", {}, "Trainings and gates"), this.list);
    this.node = el("section", { class: "card", "aria-label": "Trainings and gates" }, this.details);
    this.plots = [];
  }

  open() {
    this.details.open = true;
  }

  async #look() {
    try {
      this.rows = await get("/api/runs");
    } catch (error) {
      this.app.notice(error.message, "bad");
      return;
    }
    if (!this.rows.length) fill(this.list, el("li", { class: "hint" }, "None below the folders that were given."));
    else fill(this.list, this.rows.map((row) => el("li", {}, el("button", { type: "button", "data-run": row.id, "aria-current": row.id === this.shown ? "true" : null, click: () => this.#show(row) },
      el("b", {}, row.name), el("span", { class: `outcome ${row.promote === true ? "good" : row.problem ? "bad" : ""}` }, outcome(row)),
      el("span", { class: "words" }, row.problem || (row.kind === "gate" ? `cycle ${row.cycle}` : `loss ${number(row.loss)}`)),
      el("span", { class: "number" }, row.kind === "training" && running(row) ? `${seconds(row.seconds_left)} left` : "")))));
  }

  #show(row) {
    this.leave();
    this.shown = row.id;
    this.#look();
    if (row.problem) this.stage(el("section", { class: "card" }, el("h1", {}, row.name), el("p", { class: "bad" }, row.problem)));
    else if (row.kind === "gate") this.stage(gate(row));
    else this.#training(row.id);
  }

  async #training(id) {
    const row = this.rows.find((one) => one.id === id);
    const values = facts(["Policy", "Step", "Loss", "Samples a second", "Time left"]);
    const hard = el("section", { class: "card", "aria-label": "AdaMix", hidden: true });
    this.plots = [new Plot("Loss", [{ label: "loss" }], { legend: false }), new Plot("Samples a second", [{ label: "rate", colour: "--c3" }], { legend: false, height: 110 })];
    this.stage(el("div", { class: "main" },
      el("section", { class: "card", "aria-label": "Training" }, el("h1", {}, row.name), values.node, this.plots.map((plot) => plot.node)), hard));
    const look = async () => {
      await this.#look();
      const now = this.rows.find((one) => one.id === id);
      const { log, adamix } = await get(`/api/runs/${id}`);
      if (this.shown !== id || !now) return;
      values.set("Policy", now.policy);
      values.set("Step", `${now.step} of ${now.steps}`);
      values.set("Loss", number(now.loss));
      values.set("Samples a second", now.samples_per_s?.toFixed(0));
      values.set("Time left", now.step >= now.steps ? "done" : running(now) ? seconds(now.seconds_left) : `no line of its log for ${seconds(now.age_s)}`);
      this.plots[0].set([log.step, log.loss]);
      this.plots[1].set([log.step, log.samples_per_s]);
      if (adamix) showWeights(hard, adamix);
    };
    const again = () => look().catch((error) => this.app.notice(error.message, "bad"));
    this.timer = setInterval(() => document.hidden || again(), LOOK_MS);
    await again();
  }

  leave() {
    clearInterval(this.timer);
    this.shown = null;
    for (const plot of this.plots) plot.close();
    this.plots = [];
    for (const button of this.list.querySelectorAll("[aria-current]")) button.removeAttribute("aria-current");
  }
}

function number(value) {
  return value === undefined || value === null ? "unknown" : Number(value).toPrecision(4);
}

function running(row) {
  return row.step < row.steps && row.age_s < QUIET_S;
}

function outcome(row) {
  if (row.problem) return "unreadable";
  if (row.kind === "gate") return row.promote ? "promoted" : "not promoted";
  return row.step >= row.steps ? "done" : running(row) ? percent(row.step / row.steps) : "stopped";
}

/** Weights of the episodes as bars, and the hardest by name. */
function showWeights(node, adamix) {
  node.hidden = false;
  const most = Math.max(...adamix.weights, 1e-9);
  fill(node, el("h2", {}, "AdaMix"),
    el("p", { class: "hint" }, `at step ${adamix.step}: ${percent(adamix.effective)} of the samples effective, ${adamix.resets} resets`),
    table(["hardest episodes", "performance", "weight"], adamix.hardest.map((one) => [one.name, one.performance?.toFixed(3) ?? "", weight(one, most)])));
}

function weight(one, most) {
  return el("span", {}, `${one.weight.toFixed(2)} `, el("meter", { min: 0, max: most, value: one.weight, "aria-label": `Weight of ${one.name}` }));
}

function gate(row) {
  const rates = row.measure === "simulator";
  const signed = (value) => (value >= 0 ? "+" : "") + (rates ? percent(value) : value.toFixed(3));
  const shown = facts(["Verdict", "Gain", "p", "Trials", "Compared with"]);
  shown.set("Verdict", row.promote ? "promoted" : "not promoted", row.promote ? "" : "warn");
  shown.set("Gain", `${signed(row.gain)}, 95 % interval ${signed(row.interval[0])} to ${signed(row.interval[1])}`);
  shown.set("p", row.p.toFixed(4));
  shown.set("Trials", `${row.trials} from ${row.starts} starts`);
  shown.set("Compared with", `version ${row.baseline}`);
  const side = (value) => (rates ? percent(value) : (-value).toFixed(3));
  return el("section", { class: "card", "aria-label": "Gate" }, el("h1", {}, `Cycle ${row.cycle}`), shown.node,
    row.reasons.length ? el("ul", { class: "problems" }, row.reasons.map((reason) => el("li", {}, reason))) : null,
    table([rates ? "appearance" : "episodes", "trials", "before", "after", "gain", "won", "lost"],
      Object.entries(row.groups).map(([name, group]) => [name, group.trials, side(group.before), side(group.after), signed(group.gain), group.won, group.lost])),
    el("h2", {}, "Stages"), el("ul", { class: "log" }, row.stages.map((line) => el("li", {}, line))));
}

function table(head, rows) {
  const cell = (tag, value) => {
    const node = el(tag, tag === "th" ? { scope: "col" } : {});
    if (value instanceof Node) node.append(value);
    else put(node, value);
    return node;
  };
  return el("div", { class: "table", tabindex: 0, role: "region", "aria-label": head[0] }, el("table", {},
    el("thead", {}, el("tr", {}, head.map((name) => cell("th", name)))),
    el("tbody", {}, rows.map((row) => el("tr", {}, row.map((value) => cell("td", value)))))));
}
