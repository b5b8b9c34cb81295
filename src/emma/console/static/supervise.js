// Supervise: who commands and why it holds, policy and runtime, timing, joints against limits, versions, the cycle.

import { el, facts, put } from "./dom.js";
import { commands } from "./keys.js";
import { History, Plot } from "./plots.js";
import { showLog, showProblems } from "./record.js";
import { Tiles } from "./tiles.js";

const TIMES = [["tick_lateness_p95_ms", "tick lateness p95"], ["inference_p50_ms", "inference p50"], ["stamp_to_command_p50_ms", "picture to command p50"]];

export class SupervisePage {
  constructor(app) {
    this.app = app;
    const about = app.about.live;
    this.tiles = new Tiles(about.cameras);
    const act = (name, key, action, kind = "") =>
      el("button", { type: "button", class: `act ${kind}`, click: () => app.act(action) }, name, key ? el("kbd", {}, key) : null);
    this.enable = act("Enable", "p", "enable", "primary");
    this.disable = act("Disable", "p", "disable", "primary");
    this.take = act("Take over", "t", "take");
    this.give = act("Give back", "t", "give");
    this.facts = facts(["Commands come from", "Policy", "Runtime", "Chosen because", "Instruction", "Mode", "Ticks, missed", "Clipped", "Swap"]);
    this.cycle = facts(["Phase", "Stage", "Progress", "Version", "Gate"]);
    this.progress = el("progress", { "aria-label": "Progress of the stage", max: 1 });
    this.begin = act("Start a cycle", "", "cycle_start");
    this.pause = act("Pause", "", "cycle_pause");
    this.goOn = act("Go on", "", "cycle_go_on");
    this.cycleCard = el("section", { class: "card", "aria-label": "Improve cycle" }, el("h2", {}, "Improve cycle"), this.cycle.node, this.progress,
      el("div", { class: "row" }, this.begin, this.pause, this.goOn, el("a", { class: "button", href: "#review/runs" }, "Trainings and gates")));
    this.bundles = el("select", { id: "bundle" }, about.bundles.map((bundle) => el("option", { value: bundle.id }, bundle.name)));
    this.back = el("button", { type: "button", disabled: true, click: () => this.#rollBack() }, "Roll back");
    this.problems = el("ul", { class: "problems", "aria-label": "Problems" });
    this.log = el("ol", { class: "log", "aria-label": "Events" });
    this.joints = about.joints.map((joint, i) => new JointBar(joint, i));
    this.times = new History(TIMES.length);
    this.timePlot = new Plot("Timing, ms", TIMES.map(([, label]) => ({ label })));
    this.motion = new History(about.joints.length, 30);
    this.motionPlot = new Plot("Joints, share of their range", about.joints.map((joint) => ({ label: joint.name })), { y: { range: [0, 1] }, height: 190, ahead: true });
    this.node = el("div", { class: "columns" },
      el("div", { class: "main" }, this.tiles.node,
        el("section", { class: "card", "aria-label": "Joints" },
          el("h2", {}, "Joints"), el("div", { class: "joints" }, this.joints.map((joint) => joint.node)), this.motionPlot.node),
        this.problems),
      el("aside", {},
        el("section", { class: "card", "aria-label": "Control" },
          el("div", { class: "row big" }, this.enable, this.disable, this.take, this.give), this.facts.node, this.timePlot.node),
        el("section", { class: "card", "aria-label": "Versions" }, el("label", { for: "bundle" }, "Another policy"),
          el("div", { class: "row" }, this.bundles, el("button", { type: "button", click: () => this.#swapTo(this.bundles.value) }, "Swap"), this.back)),
        this.cycleCard,
        el("section", { class: "card" }, el("h2", {}, "Events"), this.log)));
  }

  async #swapTo(id) {
    const before = this.app.about.live.bundles.find((bundle) => bundle.name === this.running)?.id;
    if (id && (await this.app.act("swap", id))) this.previous = before;
  }

  /** Where a learner keeps versions, its version before; otherwise the policy before the last swap of this page. */
  async #rollBack() {
    if (this.learner) await this.app.act("roll_back");
    else await this.#swapTo(this.previous);
  }

  update(live, state) {
    const policy = live.policy;
    const person = (live.teleop.state || "idle") !== "idle";
    const enabled = commands(policy);
    this.running = (policy.policy ?? "").split("/").at(-1);
    this.tiles.show(live);
    this.enable.hidden = enabled || !live.nodes.policy;
    this.disable.hidden = !enabled;
    this.take.hidden = person || !live.nodes.teleop;
    this.give.hidden = !person;
    this.learner = live.nodes.learner;
    this.back.disabled = !this.previous && !this.learner;
    const facts = this.facts;
    const timings = policy.timings ?? {};
    facts.set("Commands come from", live.commander);
    facts.set("Policy", this.running || (live.nodes.policy ? "none" : "no policy node"));
    facts.set("Runtime", policy.runtime);
    facts.set("Chosen because", policy.runtime_reason);
    facts.set("Instruction", policy.instruction || live.recorder.instruction);
    facts.set("Mode", policy.mode, policy.mode === "holding" ? "warn" : "");
    facts.set("Ticks, missed", timings.ticks ? `${timings.ticks}, ${timings.missed_ticks ?? 0}` : "", timings.missed_ticks ? "warn" : "");
    facts.set("Clipped", (policy.clipped ?? []).join(", "));
    const swap = policy.swap ?? {};
    facts.set("Swap", swap.phase && swap.phase !== "none" ? [swap.phase, (swap.policy ?? "").split("/").at(-1), swap.why].filter(Boolean).join(": ") : "",
      swap.phase === "refused" ? "bad" : "");
    this.#showCycle(live.cycle);
    this.joints.forEach((joint, i) => joint.show(live.joints?.[i], live.command?.[i]));
    const now = state.time_ns / 1e9;
    this.times.add(now, TIMES.map(([key]) => timings[key]));
    this.timePlot.set(this.times.shown());
    this.motion.add(now, this.app.about.live.joints.map((joint, i) => ((live.joints?.[i] ?? NaN) - joint.lower) / (joint.upper - joint.lower)));
    this.motionPlot.ahead = this.#ahead(live.ahead, now);
    this.motionPlot.set(this.motion.shown());
    showProblems(this.problems, live.problems);
    showLog(this.log, state.events);
  }

  /** The predicted chunk as columns of a plot, times from now on, or null. */
  #ahead(chunk, now) {
    if (!chunk) return null;
    const share = (joint, value) => (value - joint.lower) / (joint.upper - joint.lower);
    const joints = this.app.about.live.joints;
    return [chunk.at_s.map((at) => chunk.begin_s + at - now), ...joints.map((joint, i) => chunk.positions.map((row) => share(joint, row[i])))];
  }

  #showCycle(cycle) {
    this.cycleCard.hidden = !Object.keys(cycle).length;
    this.cycle.set("Phase", [cycle.phase, cycle.paused].filter(Boolean).join(": "));
    const stages = cycle.stages ?? [];
    const busy = ["running", "paused"].includes(cycle.phase);
    this.cycle.set("Stage", cycle.stage ? `${cycle.stage}, ${stages.indexOf(cycle.stage) + 1} of ${stages.length}` : "");
    this.cycle.set("Progress", cycle.total ? `${cycle.done} of ${cycle.total} ${cycle.note ?? ""}` : cycle.note);
    this.cycle.set("Version", [cycle.current, cycle.running_version && cycle.running_version !== cycle.current ? `the robot runs ${cycle.running_version}` : ""].filter(Boolean).join(", "));
    this.cycle.set("Gate", cycle.outcome);
    this.progress.hidden = !busy || !cycle.total;
    if (cycle.total) this.progress.value = cycle.done / cycle.total;
    this.begin.hidden = busy;
    this.pause.hidden = !busy || cycle.phase === "paused";
    this.goOn.hidden = cycle.phase !== "paused";
  }

  close() {
    this.tiles.close();
    this.timePlot.close();
    this.motionPlot.close();
  }
}

class JointBar {
  constructor(joint) {
    this.joint = joint;
    this.value = el("output", {}, "–");
    this.meter = el("meter", { min: joint.lower, max: joint.upper, "aria-label": joint.name });
    this.wanted = el("meter", { class: "command", min: joint.lower, max: joint.upper, "aria-label": `${joint.name}, commanded` });
    this.node = el("div", { class: "joint" }, el("span", {}, joint.name), el("div", { class: "meters" }, this.meter, this.wanted), this.value);
  }

  show(position, command) {
    if (position !== undefined) this.meter.value = position;
    this.wanted.hidden = command === undefined;
    if (command !== undefined) this.wanted.value = command;
    put(this.value, position === undefined ? "–" : `${position.toFixed(3)} ${this.joint.unit}`);
    const margin = 0.01 * (this.joint.upper - this.joint.lower);
    const near = position !== undefined && (position < this.joint.lower + margin || position > this.joint.upper - margin);
    this.node.dataset.limit = near ? "yes" : "no";
  }
}
