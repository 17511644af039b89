// The image canvas: fit, 100 %, zoom at the pointer, pan by dragging or arrow keys, two fingers.
import { el, icon } from "../dom.js";
import { centre, fit, keepInSight, pan, pixelated, wheelFactor, zoomAt } from "../geometry/view.js";

const STEP = 1.25;
const ARROWS = { ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60] };

/** item: {image: {url, width, height}, alt?}. Returns {destroy, fit, element}. */
export function mount(root, { item, keyboard = null, readonly = false }) {
  const image = el("img", { alt: item.alt ?? "The image to label", draggable: "false" });
  const scaleText = el("output", { class: "canvas-image__scale", "aria-label": "Zoom" });
  const button = (name, label, run) => el("button", { class: "button button--ghost button--icon button--small", type: "button", "aria-label": label, title: label, on: { click: run } }, icon(name));
  const tools = el("div", { class: "canvas-image__tools", role: "group", "aria-label": "Zoom" },
    button("minus", "Zoom out (−)", () => zoom(1 / STEP)),
    scaleText,
    button("plus", "Zoom in (+)", () => zoom(STEP)),
    button("fit", "Fit (Shift 1)", () => showAll()),
  );
  const frame = el("div", { class: "canvas-image", tabindex: "0", role: "group", "aria-label": "Image", "aria-readonly": readonly ? "true" : false }, image);
  root.replaceChildren(frame, tools);

  const size = { width: item.image.width, height: item.image.height };
  const pointers = new Map();
  let view = null;
  let fitted = true;

  const box = () => ({ width: frame.clientWidth, height: frame.clientHeight });
  const middle = () => ({ x: frame.clientWidth / 2, y: frame.clientHeight / 2 });

  function draw() {
    image.style.transform = `translate(${view.x}px, ${view.y}px) scale(${view.scale})`;
    frame.classList.toggle("canvas-image--pixelated", pixelated(size, view.scale));
    scaleText.value = `${Math.round(view.scale * 100)} %`;
  }

  function show(next) {
    view = keepInSight(next, size, box());
    draw();
  }

  function showAll() {
    fitted = true;
    view = fit(size, box());
    draw();
  }

  function zoom(factor, point = middle()) {
    if (!view) return;
    fitted = false;
    show(zoomAt(view, factor, point));
  }

  function oneToOne() {
    fitted = false;
    show(centre(size, box(), 1));
  }

  function local(event) {
    const edge = frame.getBoundingClientRect();
    return { x: event.clientX - edge.left, y: event.clientY - edge.top };
  }

  function onWheel(event) {
    event.preventDefault();
    zoom(wheelFactor(event.deltaY, event.deltaMode), local(event));
  }

  function onDown(event) {
    if (event.button > 1) return;
    frame.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, local(event));
    frame.classList.add("canvas-image--panning");
  }

  function onMove(event) {
    const before = pointers.get(event.pointerId);
    if (!before || !view) return;
    const now = local(event);
    pointers.set(event.pointerId, now);
    fitted = false;
    if (pointers.size === 1) return show(pan(view, now.x - before.x, now.y - before.y));
    const other = [...pointers].find(([id]) => id !== event.pointerId)[1];
    const spread = (a) => Math.max(1, Math.hypot(a.x - other.x, a.y - other.y));
    show(zoomAt(view, spread(now) / spread(before), other));
  }

  function onUp(event) {
    pointers.delete(event.pointerId);
    if (!pointers.size) frame.classList.remove("canvas-image--panning");
  }

  function onKey(event) {
    const step = ARROWS[event.key];
    if (!step || !view || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    fitted = false;
    show(pan(view, ...step));
  }

  function onLoad() {
    size.width = image.naturalWidth || size.width;
    size.height = image.naturalHeight || size.height;
    image.width = size.width;
    image.height = size.height;
    showAll();
  }

  function onError() {
    frame.replaceChildren(el("div", { class: "canvas-message", role: "alert" }, el("p", { text: "This image could not be loaded. Skip it, or try again later." })));
    tools.hidden = true;
  }

  const listeners = { wheel: onWheel, pointerdown: onDown, pointermove: onMove, pointerup: onUp, pointercancel: onUp, keydown: onKey, dblclick: () => (fitted ? oneToOne() : showAll()) };
  for (const [type, listener] of Object.entries(listeners)) frame.addEventListener(type, listener, { passive: false });
  image.addEventListener("load", onLoad);
  image.addEventListener("error", onError);
  const watcher = new ResizeObserver(() => view && (fitted ? showAll() : show(view)));
  watcher.observe(frame);
  const unbind = keyboard?.push(
    "Image",
    keyboard.pick("zoomIn", "zoomOut", "zoomFit", "zoomFull"),
    { zoomIn: () => zoom(STEP), zoomOut: () => zoom(1 / STEP), zoomFit: showAll, zoomFull: oneToOne },
    { repeats: ["zoomIn", "zoomOut"], titles: { zoomIn: "Zoom in", zoomOut: "Zoom out", zoomFit: "Fit", zoomFull: "Actual size" } },
  );
  image.src = item.image.url;

  return {
    element: frame,
    fit: showAll,
    destroy() {
      watcher.disconnect();
      unbind?.();
      image.removeAttribute("src");
      root.replaceChildren();
    },
  };
}
