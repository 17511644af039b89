// The text canvas: a calm reading view. Text is only ever text; line breaks stay; each line finds its direction.
import { el } from "../dom.js";

const SHORT = 140;

/** item: {text}. Returns {destroy, element}. */
export function mount(root, { item }) {
  const short = item.text.length <= SHORT;
  const body = el("div", { class: `canvas-text__body${short ? " canvas-text__body--short" : ""}`, dir: "auto" });
  body.textContent = item.text;
  const frame = el("div", { class: "canvas-text", tabindex: "0", role: "document", "aria-label": "Text" }, body);
  root.replaceChildren(frame);
  return { element: frame, destroy: () => root.replaceChildren() };
}
