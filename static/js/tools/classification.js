// The panel of classes: native radios or checkboxes in a fieldset, so that every keyboard and screen reader knows them.
import { el, icon } from "../dom.js";
import { fromRegions, search, suggestions, toggle, toRegions, withHotkeys } from "./classes.js";

const MANY = 12;
let panels = 0;

function row(entry, { name, multiple, readonly, probability, onChange }) {
  const input = el("input", { type: multiple ? "checkbox" : "radio", name, value: entry.key, disabled: readonly, on: { change: () => onChange(entry.key) } });
  const percent = probability === undefined ? null : el("span", { class: "choice__percent", text: `${Math.round(probability * 100)} %`, title: "Suggested by the model" });
  percent?.prepend(el("span", { class: "visually-hidden", text: "suggested, " }));
  const mark = el("span", { class: "choice__mark", dir: "auto" });
  const node = el(
    "label",
    { class: `choice${percent ? " choice--suggested" : ""}`, title: entry.description || false },
    input,
    el("span", { class: "choice__color", "aria-hidden": "true" }),
    el("span", { class: "choice__name", dir: "auto", text: entry.name }),
    percent ?? mark,
    entry.hotkey && !readonly ? el("kbd", { text: entry.hotkey.toUpperCase(), "aria-hidden": "true" }) : el("span"),
  );
  if (entry.hotkey && !readonly) input.setAttribute("aria-keyshortcuts", entry.hotkey);
  if (/^#[0-9a-f]{6}$/i.test(entry.color ?? "")) node.style.setProperty("--class-color", entry.color);
  return { node, input, mark };
}

/**
 * schema: {classes: [{key, name, color, hotkey?, description?, outlier?, retired?}], multiple}; item: {regions?, suggestion?}.
 * `onChange(regions, chosen)` on every choice, `onPick(key)` when a single choice is made by key or click (to submit at once).
 * Returns {destroy, regions, chosen, set, clear, mark, focus}.
 */
export function mount(root, { item = {}, schema, keyboard = null, readonly = false, onChange = () => {}, onPick = () => {} }) {
  const multiple = Boolean(schema.multiple);
  const classes = withHotkeys(schema.classes.filter(({ retired }) => !retired));
  const outliers = classes.filter(({ outlier }) => outlier).map(({ key }) => key);
  const suggested = suggestions(item.suggestion, classes, { multiple });
  const name = `classes-${++panels}`;
  let chosen = fromRegions(item.regions, classes);

  const rows = new Map(classes.map((entry) => [entry.key, row(entry, { name, multiple, readonly, probability: suggested.get(entry.key), onChange: change })]));
  const list = el("div", { class: "choices__list" }, ...classes.filter(({ outlier }) => !outlier).map(({ key }) => rows.get(key).node));
  const none = el("p", { class: "choices__none", role: "status", hidden: true, text: "No class matches." });
  const apart = outliers.length ? el("div", { class: "choices__list choices__outlier" }, ...outliers.map((key) => rows.get(key).node)) : null;
  const many = classes.length > MANY;
  const field = many && !readonly ? el("input", { class: "input", type: "search", placeholder: "Search classes", "aria-label": "Search classes", autocomplete: "off", spellcheck: "false" }) : null;
  const panel = el("fieldset", { class: "choices" }, el("legend", { text: multiple ? "Choose all that apply" : "Choose one" }), field && el("div", { class: "search" }, icon("search"), field, el("kbd", { class: "search__key", text: "/", "aria-hidden": "true" })), list, none, apart);
  root.replaceChildren(panel);
  show();

  function show() {
    for (const [key, { input }] of rows) input.checked = chosen.includes(key);
  }

  function choose(key, { picked = true } = {}) {
    if (readonly) return;
    chosen = toggle(chosen, key, { multiple, outliers });
    show();
    onChange(toRegions(chosen), [...chosen]);
    if (picked && !multiple) onPick(key);
  }

  // Arrows walk from class to class: that chooses, as with all radios, but is no pick yet.
  let arrows = false;
  panel.addEventListener("keydown", ({ key }) => (arrows = key.startsWith("Arrow")));
  panel.addEventListener("pointerdown", () => (arrows = false));

  function change(key) {
    choose(key, { picked: !arrows });
  }

  function press(key) {
    choose(key);
    // Where the focus is already among the classes, it goes along, so that arrows and Space go on from here.
    if (panel.contains(document.activeElement)) rows.get(key).input.focus();
  }

  function filter() {
    const found = search(classes, field.value);
    for (const [key, { node }] of rows) node.hidden = !found.includes(key);
    none.hidden = found.length > 0;
    const order = field.value.trim() ? found : classes.map(({ key }) => key);
    list.append(...order.filter((key) => !outliers.includes(key)).map((key) => rows.get(key).node));
    return found;
  }

  function onSearchKey(event) {
    if (event.key === "Escape") {
      event.preventDefault();
      field.value = "";
      filter();
      field.blur();
    } else if (event.key === "Enter") {
      event.preventDefault();
      const [first] = filter();
      if (!first || !field.value.trim()) return;
      field.value = "";
      filter();
      choose(first);
      rows.get(first).input.focus();
    } else if (event.key === "ArrowDown") {
      event.preventDefault();
      rows.get(filter()[0])?.input.focus();
    }
  }

  field?.addEventListener("input", filter);
  field?.addEventListener("keydown", onSearchKey);

  const withKey = classes.filter(({ hotkey }) => hotkey);
  const keymap = Object.fromEntries(withKey.map(({ key, hotkey }) => [`class:${key}`, [`key:${hotkey}`]]));
  const handlers = Object.fromEntries(withKey.map(({ key }) => [`class:${key}`, () => press(key)]));
  const titles = Object.fromEntries(withKey.map(({ key, name: title }) => [`class:${key}`, title]));
  if (field && keyboard) Object.assign(keymap, keyboard.pick("search"));
  const unbind = readonly ? null : keyboard?.push("Classes", keymap, { ...handlers, search: () => field.focus() }, { titles: { ...titles, search: "Search classes" } });

  return {
    get regions() {
      return toRegions(chosen);
    },
    get chosen() {
      return [...chosen];
    },
    /** The model's answer, as keys; empty where nothing was suggested. */
    suggested: [...suggested.keys()],
    set(keys) {
      chosen = keys.filter((key) => rows.has(key));
      show();
    },
    clear() {
      chosen = [];
      show();
    },
    /** Words beside classes, by key; the others lose theirs. */
    mark(words) {
      for (const [key, { mark }] of rows) mark.textContent = words.get(key) ?? "";
    },
    focus: () => (rows.get(chosen[0]) ?? rows.values().next().value)?.input.focus(),
    destroy() {
      unbind?.();
      root.replaceChildren();
    },
  };
}
