import { el } from "./dom.js";
export class ReviewPage {
  constructor() { this.node = el("p", {}, "no recordings"); }
  update() {}
  close() {}
}
