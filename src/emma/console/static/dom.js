// Elements from data. Text always becomes a text node, so no words from a robot or a file become markup.

/** An element: tag, properties (attributes; functions become listeners), children (nodes, texts, null). */
export function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (typeof value === "function") node.addEventListener(name, value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, String(value));
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/** Put text into an element, and touch the page only when it changes. */
export function put(node, text) {
  const words = text === null || text === undefined ? "" : String(text);
  if (node.textContent !== words) node.textContent = words;
}

/** A value list that is filled by name: `facts(["Episode", "Messages"])` gives {node, set}. */
export function facts(names) {
  const values = new Map(names.map((name) => [name, el("dd", {}, "–")]));
  const node = el("dl", { class: "facts" }, names.flatMap((name) => [el("dt", {}, name), values.get(name)]));
  return {
    node,
    set(name, text, tone = "") {
      const value = values.get(name);
      put(value, text === null || text === undefined || text === "" ? "–" : text);
      if (value.dataset.tone !== tone) value.dataset.tone = tone;
    },
  };
}

/** Replace the children of a node. */
export function fill(node, ...children) {
  node.replaceChildren(...children.flat().filter(Boolean));
}

export function seconds(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  const minutes = Math.floor(value / 60);
  return minutes ? `${minutes}:${(value % 60).toFixed(1).padStart(4, "0")}` : `${value.toFixed(1)} s`;
}

export function bytes(value) {
  if (value === null || value === undefined) return "–";
  return value > 1e9 ? `${(value / 1e9).toFixed(1)} GB` : `${(value / 1e6).toFixed(1)} MB`;
}
