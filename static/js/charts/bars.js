// Horizontal bars: class balance, throughput. A list with the numbers in words; the bars are only its picture.
//
// Data: {empty?, rows: [{name, value, color?, note?}]}; note is shown instead of the bare number.
import { el } from "../dom.js";
import { barShares, formatValue } from "./data.js";
import { follow, onRemoved } from "./source.js";

function bar({ name, value, share, color, note }) {
  const fill = el("div", { class: "bars__fill" });
  fill.style.setProperty("--share", `${(share * 100).toFixed(2)}%`);
  const dot = color ? el("span", { class: "dot", "aria-hidden": "true" }) : null;
  const row = el("li", { class: `bars__row${value ? "" : " bars__row--zero"}` },
    el("span", { class: "bars__name" }, dot, el("span", { class: "truncate", dir: "auto", text: name, title: name })),
    el("div", { class: "bars__track", "aria-hidden": "true" }, fill),
    el("span", { class: "bars__value", text: note ?? formatValue(value, "number") }),
  );
  if (/^#[0-9a-f]{6}$/i.test(color ?? "")) row.style.setProperty("--class-color", color);
  return row;
}

export function mount(node) {
  function draw({ rows, empty = "No values yet." }) {
    node.dataset.drawn = "true";
    node.replaceChildren(rows.length ? el("ul", { class: "bars" }, ...barShares(rows).map(bar)) : el("p", { class: "muted", text: empty }));
  }
  const unfollow = follow(node, draw);
  onRemoved(node, unfollow);
  return { destroy: unfollow };
}
