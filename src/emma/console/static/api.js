// Talking to the console: every write carries a header that no other site can send without asking.

const HEADERS = { "X-Emma-Console": "1", "Content-Type": "application/json" };

export class Refused extends Error {}

async function answered(response) {
  const kind = response.headers.get("content-type") ?? "";
  const values = kind.includes("json") ? await response.json() : { text: await response.text() };
  if (!response.ok) throw new Refused(values.text || values.problem || `${response.status}`);
  return values;
}

export async function get(path) {
  return answered(await fetch(path, { headers: { Accept: "application/json" } }));
}

export async function post(path, values = {}) {
  return answered(await fetch(path, { method: "POST", headers: HEADERS, body: JSON.stringify(values) }));
}

/** Open a session: with the token of the address, which then leaves the address, or without one on this machine. */
export async function enter(token) {
  return post("/api/session", { token });
}

/**
 * A stream that confirms each message, comes back after a loss, and costs nothing while the page is hidden.
 * `take(message)` may be async; the next message comes when it is done.
 */
export class Stream {
  constructor(path, take, { binary = false, lost = () => {} } = {}) {
    this.path = path;
    this.take = take;
    this.binary = binary;
    this.lost = lost;
    this.closed = false;
    this.socket = null;
    this.look = () => (document.hidden ? this.#drop() : this.#open());
    document.addEventListener("visibilitychange", this.look);
    this.look();
  }

  close() {
    this.closed = true;
    document.removeEventListener("visibilitychange", this.look);
    this.#drop();
  }

  #drop() {
    const socket = this.socket;
    this.socket = null;
    if (socket) socket.close();
  }

  #open() {
    if (this.closed || this.socket || document.hidden) return;
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const socket = new WebSocket(`${scheme}://${location.host}${this.path}`);
    socket.binaryType = "arraybuffer";
    this.socket = socket;
    socket.addEventListener("message", async (event) => {
      try {
        await this.take(this.binary ? event.data : JSON.parse(event.data));
      } finally {
        if (socket.readyState === WebSocket.OPEN) socket.send("ok");
      }
    });
    socket.addEventListener("close", () => {
      if (this.socket !== socket) return;
      this.socket = null;
      this.lost();
      setTimeout(() => this.#open(), 1000);
    });
  }
}
