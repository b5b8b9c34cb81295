// uPlot with the page's colours. A plot keeps the last SPAN seconds and draws only while its page is shown.

import uPlot from "./vendor/uplot.js";
import { el } from "./dom.js";

export const COLOURS = ["--c1", "--c2", "--c3", "--c4", "--c5", "--c6", "--c7", "--c8"];

/** A colour of the style sheet as a canvas takes it: light-dark() is resolved only where it is used. */
export function colour(name) {
  const probe = el("span", { hidden: true });
  document.body.append(probe);
  probe.style.color = `var(${name})`;
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

function axis(more = {}) {
  return { stroke: colour("--muted"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line"), width: 1 }, size: 44, ...more };
}

/** A plot in a box that follows its width. series: [{label, colour, dash, value}]. */
export class Plot {
  constructor(title, series, { height = 170, y = {}, select = null, cursor = {}, hooks = {}, legend = true, spanGaps = false } = {}) {
    this.node = el("figure", { class: "plot" }, el("figcaption", {}, title));
    this.box = el("div", { class: "plot-box", role: "img", "aria-label": title });
    this.node.append(this.box);
    const lines = series.map((one, i) => ({
      label: one.label, stroke: colour(one.colour ?? COLOURS[i % COLOURS.length]), width: 1.5, dash: one.dash, spanGaps, points: { show: false },
    }));
    this.plot = new uPlot({
      width: 400, height, scales: { x: { time: false }, y }, axes: [axis({ size: 28 }), axis()],
      series: [{ label: "s" }, ...lines], cursor: { drag: { x: Boolean(select), y: false, setScale: false }, ...cursor },
      select: { show: Boolean(select) }, hooks, legend: { show: legend },
    }, [[], ...series.map(() => [])], this.box);
    this.height = height;
    this.resize = new ResizeObserver(() => this.#fit());
    this.resize.observe(this.box);
  }

  #fit() {
    const width = Math.max(160, Math.floor(this.box.clientWidth));
    if (width !== this.plot.width) this.plot.setSize({ width, height: this.height });
  }

  set(columns) {
    this.plot.setData(columns);
  }

  close() {
    this.resize.disconnect();
    this.plot.destroy();
  }
}

/** The last `span` seconds of some values. */
export class History {
  constructor(count, span = 60) {
    this.columns = Array.from({ length: count + 1 }, () => []);
    this.span = span;
  }

  add(time, values) {
    this.columns[0].push(time);
    values.forEach((value, i) => this.columns[i + 1].push(Number.isFinite(value) ? value : null));
    while (this.columns[0].length > 2 && time - this.columns[0][0] > this.span) for (const column of this.columns) column.shift();
  }

  /** With times relative to the newest, which is 0. */
  shown() {
    const newest = this.columns[0].at(-1) ?? 0;
    return [this.columns[0].map((time) => time - newest), ...this.columns.slice(1)];
  }
}
