// uPlot with the page's colours. What is ahead of now is drawn beyond the newest values, dashed.

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
  constructor(title, series, { height = 170, y = {}, select = null, cursor = {}, hooks = {}, legend = true, spanGaps = false, ahead = false } = {}) {
    this.node = el("figure", { class: "plot" }, el("figcaption", {}, title));
    this.box = el("div", { class: "plot-box", role: "img", "aria-label": title });
    this.node.append(this.box);
    const lines = series.map((one, i) => ({
      label: one.label, stroke: colour(one.colour ?? COLOURS[i % COLOURS.length]), width: 1.5, dash: one.dash, spanGaps, points: { show: false },
    }));
    this.plot = new uPlot({
      width: 400, height, scales: { x: { time: false, ...(ahead ? { range: (_, from, to) => [from, Math.max(to, this.#end())] } : {}) }, y }, axes: [axis({ size: 28 }), axis()],
      series: [{ label: "s" }, ...lines], cursor: { drag: { x: Boolean(select), y: false, setScale: false }, ...cursor },
      select: { show: Boolean(select) }, hooks: ahead ? { ...hooks, draw: [(u) => this.#drawAhead(u)] } : hooks, legend: { show: legend },
    }, [[], ...series.map(() => [])], this.box);
    this.height = height;
    this.muted = colour("--muted");
    // Columns like those of set(), times from now on; null for nothing.
    this.ahead = null;
    this.resize = new ResizeObserver(() => this.#fit());
    this.resize.observe(this.box);
  }

  #fit() {
    const width = Math.max(160, Math.floor(this.box.clientWidth));
    if (width !== this.plot.width) this.plot.setSize({ width, height: this.height });
  }

  /** Seconds from now to the end of what is ahead. */
  #end() {
    return this.ahead?.[0].at(-1) ?? 0;
  }

  #drawAhead(u) {
    this.node.dataset.ahead = this.#end().toFixed(2);
    if (!this.ahead) return;
    const [times, ...columns] = this.ahead;
    const { ctx, bbox } = u;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    ctx.lineWidth = 1.5;
    columns.forEach((values, i) => {
      ctx.strokeStyle = u.series[i + 1].stroke(u, i + 1);
      ctx.setLineDash([5, 4]);
      ctx.beginPath();
      times.forEach((time, k) => ctx.lineTo(u.valToPos(time, "x", true), u.valToPos(values[k], "y", true)));
      ctx.stroke();
    });
    const now = u.valToPos(0, "x", true);
    ctx.setLineDash([]);
    ctx.strokeStyle = this.muted;
    ctx.beginPath();
    ctx.moveTo(now, bbox.top);
    ctx.lineTo(now, bbox.top + bbox.height);
    ctx.stroke();
    ctx.restore();
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
