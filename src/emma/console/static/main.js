// The frame of the page: session, state, lease, stop, notices, and which of the three pages is shown.

import { el, fill, put } from "./dom.js";
import { Stream, enter, get, post } from "./api.js";
import { HELP, belongsToField, meaning } from "./keys.js";
import { RecordPage } from "./record.js";
import { SupervisePage } from "./supervise.js";
import { ReviewPage } from "./review.js";

const PAGES = { record: RecordPage, supervise: SupervisePage, review: ReviewPage };
const NOTICE_MS = 6000;
const $ = (id) => document.getElementById(id);

class App {
  constructor(about) {
    this.about = about;
    this.state = null;
    this.page = null;
    this.noticeTimer = 0;
    $("stop").hidden = !about.live;
    $("status").hidden = !about.live;
    $("stop").addEventListener("click", () => this.stop());
    $("release").addEventListener("click", () => this.act("release_stop"));
    window.addEventListener("hashchange", () => this.show());
    window.addEventListener("keydown", (event) => this.#key(event));
    this.#buildLease();
    this.help = this.#buildHelp();
    new Stream("/ws/state", (state) => this.#take(state), { lost: () => this.#lost() });
    this.show();
  }

  get live() {
    return this.state?.live ?? null;
  }

  show() {
    const wanted = location.hash.slice(1).split("/")[0];
    const name = this.about.live ? (wanted in PAGES ? wanted : "record") : "review";
    for (const link of document.querySelectorAll("nav a")) {
      if (link.dataset.page === name) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
      link.hidden = !this.about.live && link.dataset.page !== "review";
    }
    this.page?.close();
    this.page = new PAGES[name](this);
    document.title = `${name} – emma`;
    fill($("page"), this.page.node);
    if (this.live) this.page.update(this.live, this.state);
  }

  async act(action, argument = "") {
    try {
      const { text } = await post("/api/act", { action, argument });
      if (text) this.notice(text);
      return true;
    } catch (error) {
      this.notice(error.message, "bad");
      return false;
    }
  }

  async stop() {
    try {
      await post("/api/stop");
      this.notice("stopped", "bad");
    } catch (error) {
      this.notice(`STOP FAILED: ${error.message}. Use the robot's own emergency stop.`, "bad");
    }
  }

  notice(text, tone = "") {
    clearTimeout(this.noticeTimer);
    $("notice").dataset.tone = tone;
    put($("notice"), text);
    this.noticeTimer = setTimeout(() => put($("notice"), ""), NOTICE_MS);
  }

  #take(state) {
    this.state = state;
    this.#showLease(state.lease);
    const live = state.live;
    if (!live) return;
    put($("word"), live.word);
    put($("why"), live.why);
    document.body.dataset.tone = live.tone;
    $("release").hidden = !live.e_stop;
    this.page?.update(live, state);
  }

  #lost() {
    document.body.dataset.tone = "bad";
    put($("word"), "connection lost");
    put($("why"), "The robot goes on by itself. This page comes back when the console answers.");
  }

  #buildLease() {
    this.leaseText = el("span", { class: "lease-text" }, "");
    this.leaseButton = el("button", { type: "button", click: () => this.#operate() }, "Operate");
    fill($("lease"), this.leaseText, this.leaseButton);
    $("lease").hidden = !this.about.live;
  }

  async #operate() {
    const lease = this.state?.lease;
    try {
      await post("/api/lease", { operate: !lease?.mine, over: Boolean(lease?.name) });
    } catch (error) {
      this.notice(error.message, "bad");
    }
  }

  #showLease(lease) {
    const taken = lease.taken_from ? ` (took over from ${lease.taken_from})` : "";
    put(this.leaseText, lease.mine ? "You operate" : lease.name ? `${lease.name} operates${taken}` : "No operator");
    put(this.leaseButton, lease.mine ? "Only watch" : lease.name ? "Take over" : "Operate");
    document.body.dataset.operator = lease.mine ? "yes" : "no";
  }

  #buildHelp() {
    const rows = HELP.flatMap(([key, what]) => [el("dt", {}, el("kbd", {}, key)), el("dd", {}, what)]);
    const dialog = el("dialog", { "aria-label": "Keys" }, el("h2", {}, "Keys"), el("dl", { class: "keys" }, rows),
      el("form", { method: "dialog" }, el("button", {}, "Close")));
    document.body.append(dialog);
    return dialog;
  }

  #key(event) {
    if (event.key === "Escape" && this.about.live) {
      event.preventDefault();
      if (this.help.open) this.help.close();
      this.stop();
      return;
    }
    if (belongsToField(event) || this.help.open) return;
    if (event.key === "h" || event.key === "?") {
      this.help.showModal();
    } else if (this.page?.key?.(event)) {
      event.preventDefault();
    } else if (this.live && !location.hash.startsWith("#review")) {
      const action = meaning(event.key, this.live);
      if (!action) return;
      event.preventDefault();
      this.act(action);
    }
  }
}

function askForToken(problem) {
  const field = el("input", { name: "token", type: "password", autocomplete: "off", required: true, "aria-label": "Token" });
  const form = el("form", { class: "card narrow", submit: (event) => { event.preventDefault(); start(field.value); } },
    el("h1", {}, "emma console"), el("p", {}, "Enter the token that the console printed when it started."),
    problem ? el("p", { class: "bad" }, problem) : null, field, el("button", { class: "primary" }, "Enter"));
  fill($("page"), form);
  field.focus();
}

async function start(token) {
  try {
    await enter(token);
  } catch (error) {
    askForToken(token ? error.message : "");
    return;
  }
  new App(await get("/api/about"));
}

const given = new URLSearchParams(location.hash.slice(1)).get("token") ?? "";
if (given) history.replaceState(null, "", "/");
start(given);
