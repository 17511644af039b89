// Where a chart's data come from: data-values (JSON in the page) or data-src (JSON from the server, read again on
// the live events that data-refresh names).
import { el } from "../dom.js";
import { get } from "../store/api.js";

/** Call `draw(data)` now and whenever the data may have changed; returns a function that stops it. */
export function follow(node, draw) {
  if (node.dataset.values) {
    draw(JSON.parse(node.dataset.values));
    return () => {};
  }
  let latest = 0;
  async function load() {
    const mine = ++latest;
    try {
      const data = await get(node.dataset.src);
      if (mine === latest && node.isConnected) draw(data);
    } catch (error) {
      if (mine !== latest) return;
      // A drawn chart stays when a refresh fails: old data beat none.
      if (!node.dataset.drawn) node.replaceChildren(el("p", { class: "muted", role: "status", text: `This chart could not be loaded. ${error.message}` }));
    }
  }
  const events = (node.dataset.refresh ?? "").split(/[\s,]+/).filter(Boolean);
  for (const name of events) document.body.addEventListener(name, load);
  load();
  return () => {
    latest += 1;
    for (const name of events) document.body.removeEventListener(name, load);
  };
}

/** Run `destroy` when htmx takes the node out of the page. */
export function onRemoved(node, destroy) {
  document.body.addEventListener("htmx:afterSwap", function check() {
    if (node.isConnected) return;
    document.body.removeEventListener("htmx:afterSwap", check);
    destroy();
  });
}
