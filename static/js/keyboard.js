// Keys to actions, whatever the keyboard's layout.
//
// A chord is modifiers and one key, joined by "+": "Mod+KeyZ", "Shift+ArrowLeft", "Digit1", "key:a", "key:/".
//   a code (KeyboardEvent.code) is a place on the keyboard: the same finger on every layout;
//   "key:x" is what is printed on the key; a layout without that letter (Greek, Cyrillic, ...) falls back to its place.
// Mod is Cmd on Apple machines and Ctrl elsewhere.

const MODIFIERS = ["Ctrl", "Alt", "Shift", "Meta"];
const FLAGS = { Ctrl: "ctrlKey", Alt: "altKey", Shift: "shiftKey", Meta: "metaKey" };

/** Keys that a class or a tool may not take as its own: the page or the browser needs them. The server refuses them too. */
export const RESERVED_KEYS = Object.freeze(["enter", "space", "tab", "escape", "backspace", "delete", "arrowup", "arrowdown", "arrowleft", "arrowright", "home", "end", "pageup", "pagedown", "+", "-", "=", "/", "?", ".", ","]);

/** Keys given to classes without one, in this order. */
export const CLASS_KEYS = Object.freeze([..."1234567890qwertyuiopasdfghjklzxcvbnm"]);

/** The annotate screen's own actions; a person's changes are laid over it (createKeyboard's `keymap`). */
export const DEFAULT_KEYMAP = Object.freeze({
  submit: ["Enter", "NumpadEnter"],
  accept: ["Space"],
  skip: ["Period"],
  undo: ["Backspace", "Mod+KeyZ"],
  search: ["key:/"],
  help: ["key:?"],
  zoomIn: ["key:+", "key:=", "NumpadAdd"],
  zoomOut: ["key:-", "NumpadSubtract"],
  zoomFit: ["Shift+Digit1", "Home"],
  zoomFull: ["Shift+Digit0"],
});

const PUNCTUATION = { "/": "Slash", ".": "Period", ",": "Comma", "-": "Minus", "=": "Equal", "`": "Backquote", ";": "Semicolon", "'": "Quote", "[": "BracketLeft", "]": "BracketRight", "\\": "Backslash" };

export const isApple = (nav = globalThis.navigator) => /mac|iphone|ipad/i.test(nav?.userAgentData?.platform ?? nav?.platform ?? "");

/** The place where a US keyboard has the character; null where that says nothing. */
export function codeOf(character) {
  if (/^[a-z]$/i.test(character)) return `Key${character.toUpperCase()}`;
  if (/^[0-9]$/.test(character)) return `Digit${character}`;
  return PUNCTUATION[character] ?? null;
}

/** "Mod+KeyZ" -> {mods: Set, code, key}; throws on what is no chord. */
export function parseChord(chord, apple = isApple()) {
  const at = chord.indexOf("key:");
  const head = at < 0 ? chord : chord.slice(0, at);
  const names = head.split("+").filter(Boolean);
  const code = at < 0 ? names.pop() : null;
  const key = at < 0 ? null : chord.slice(at + 4).toLowerCase();
  const mods = new Set(names.map((name) => (name === "Mod" ? (apple ? "Meta" : "Ctrl") : name)));
  const sound = [...mods].every((name) => MODIFIERS.includes(name)) && (at < 0 ? /^(?!(Ctrl|Alt|Shift|Meta|Mod)$)[A-Z][A-Za-z0-9]*$/.test(code ?? "") : [...key].length === 1);
  if (!sound) throw new TypeError(`Not a chord: "${chord}"`);
  return { mods, code, key };
}

const isWordKey = (key) => /^[a-z0-9]$/.test(key);

/** Whether the keyboard event is the parsed chord. */
export function matches(event, { mods, code, key }) {
  // "?" needs Shift on one layout and none on another: for signs, Shift belongs to the character.
  const freeShift = key !== null && !isWordKey(key);
  for (const name of MODIFIERS) {
    if (name === "Shift" && freeShift) continue;
    if (Boolean(event[FLAGS[name]]) !== mods.has(name)) return false;
  }
  if (code !== null) return event.code === code;
  const typed = (event.key ?? "").toLowerCase();
  if (typed === key) return true;
  if (!isWordKey(key)) return false;
  if (/^[0-9]$/.test(key)) return event.code === `Digit${key}` || event.code === `Numpad${key}`;
  // A Latin letter was typed, only another one: then the place does not count.
  return !/^[a-z]$/.test(typed) && event.code === codeOf(key);
}

/** One text per chord, so that equal chords compare equal: "key:a" and "KeyA" may fire for the same key. */
function claims(chord, apple) {
  const { mods, code, key } = parseChord(chord, apple);
  const prefix = MODIFIERS.filter((name) => mods.has(name)).join("+");
  return `${prefix}|${code ?? codeOf(key) ?? key}`;
}

/** Chords that more than one action claims: [{chord, actions}]. `keymaps` are those that are active together. */
export function conflicts(keymaps, apple = isApple()) {
  const owners = new Map();
  for (const keymap of [keymaps].flat()) {
    for (const [action, chords] of Object.entries(keymap)) {
      for (const chord of chords) {
        const claim = claims(chord, apple);
        if (!owners.has(claim)) owners.set(claim, { chord, actions: new Set() });
        owners.get(claim).actions.add(action);
      }
    }
  }
  return [...owners.values()].filter(({ actions }) => actions.size > 1).map(({ chord, actions }) => ({ chord, actions: [...actions] }));
}

const LABELS = { Enter: "Enter", NumpadEnter: "Enter", Space: "Space", Backspace: "Bksp", Delete: "Del", Escape: "Esc", ArrowUp: "↑", ArrowDown: "↓", ArrowLeft: "←", ArrowRight: "→", NumpadAdd: "Num +", NumpadSubtract: "Num −" };
const PLACES = Object.fromEntries(Object.entries(PUNCTUATION).map(([character, code]) => [code, character]));

/** What to print on a key hint: ["Ctrl", "Z"]. `layout` is a map of code to character, where the browser tells one. */
export function chordLabel(chord, { apple = isApple(), layout = null } = {}) {
  const { mods, code, key } = parseChord(chord, apple);
  const names = apple ? { Meta: "⌘", Ctrl: "⌃", Alt: "⌥", Shift: "⇧" } : { Meta: "Meta", Ctrl: "Ctrl", Alt: "Alt", Shift: "Shift" };
  const last = key ?? LABELS[code] ?? layout?.get(code) ?? PLACES[code] ?? code.replace(/^(Key|Digit)/, "").replace(/^Numpad/, "Num ");
  return [...MODIFIERS.filter((name) => mods.has(name)).map((name) => names[name]), last.length === 1 ? last.toUpperCase() : last];
}

/** Enter and the number pad's Enter read alike: one hint is enough. */
const distinct = (labels) => labels.filter((label, i) => labels.findIndex((other) => other.join() === label.join()) === i);

const SILENT_INPUTS = new Set(["checkbox", "radio", "button", "submit", "reset", "range", "color", "file", "image"]);

/** Whether keys belong to the element: somebody types there. */
export function isTyping(target) {
  const tag = target?.tagName;
  if (tag === "TEXTAREA" || tag === "SELECT" || target?.isContentEditable) return true;
  return tag === "INPUT" && !SILENT_INPUTS.has(target.type);
}

const USES_ENTER = new Set(["BUTTON", "A", "SUMMARY"]);
const isMove = ({ key = "" }) => key === "Tab" || key.startsWith("Arrow");
const isBox = (target) => target?.tagName === "INPUT" && (target.type === "checkbox" || target.type === "radio");

/**
 * A keyboard: scopes on a stack, the newest first; an `exclusive` scope hides those below it.
 * `push(name, keymap, handlers, options)` returns a function that takes the scope off again.
 * A handler may return false to say that it did not want the key after all.
 * Over an open dialog only the actions in `inDialogs` work.
 */
export function createKeyboard({ target = globalThis.document, apple = isApple(), keymap: changes = {} } = {}) {
  const scopes = [];
  const keymap = { ...DEFAULT_KEYMAP, ...changes };
  let walking = false; // whether the person moves about by keys; else the focus is only where they clicked last

  function find(event) {
    const typing = isTyping(event.target);
    const overDialog = Boolean(event.target?.closest?.("dialog[open]"));
    const activates =
      (USES_ENTER.has(event.target?.tagName) && (event.code === "Enter" || event.code === "Space")) || (walking && event.code === "Space" && isBox(event.target));
    for (const scope of scopes.toReversed()) {
      for (const { action, chord } of scope.chords) {
        if (typing && !scope.whileTyping.has(action)) continue;
        if (overDialog && !scope.inDialogs.has(action)) continue;
        if (activates && !chord.mods.size) continue;
        if (scope.handlers[action] && matches(event, chord)) return { scope, action };
      }
      if (scope.exclusive) return null;
    }
    return null;
  }

  function onPointer() {
    walking = false;
  }

  function onKeydown(event) {
    if (isMove(event)) walking = true;
    if (event.defaultPrevented || event.isComposing) return;
    const hit = find(event);
    if (!hit) return;
    const { scope, action } = hit;
    // A held key repeats: zooming should, submitting must not.
    if (event.repeat && !scope.repeats.has(action)) return event.preventDefault();
    if (scope.handlers[action](event) !== false) event.preventDefault();
  }

  target.addEventListener("keydown", onKeydown);
  target.addEventListener("pointerdown", onPointer);

  return {
    keymap,
    get walking() {
      return walking;
    },
    /** The part of the keymap that a scope handles. */
    pick: (...actions) => Object.fromEntries(actions.map((action) => [action, keymap[action]])),
    push(name, keymap, handlers, { exclusive = false, repeats = [], whileTyping = [], inDialogs = [], titles = {} } = {}) {
      const chords = Object.entries(keymap).flatMap(([action, list]) => list.map((chord) => ({ action, chord: parseChord(chord, apple) })));
      const scope = { name, keymap, chords, handlers, exclusive, titles, repeats: new Set(repeats), whileTyping: new Set(whileTyping), inDialogs: new Set(inDialogs) };
      scopes.push(scope);
      return () => {
        const at = scopes.indexOf(scope);
        if (at >= 0) scopes.splice(at, 1);
      };
    },
    /** What works now, for the cheat sheet: [{scope, rows: [{action, title, chords}]}], hidden scopes left out. */
    sheet() {
      const shown = scopes.slice(Math.max(0, scopes.findLastIndex((scope) => scope.exclusive)));
      return shown.map(({ name, keymap, titles, handlers }) => ({
        scope: name,
        rows: Object.entries(keymap).filter(([action]) => handlers[action]).map(([action, chords]) => ({ action, title: titles[action] ?? action, chords: distinct(chords.map((chord) => chordLabel(chord, { apple }))) })),
      }));
    },
    /** Chords that two actions of the active scopes claim. */
    conflicts: () => conflicts(scopes.map(({ keymap }) => keymap), apple),
    destroy() {
      target.removeEventListener("keydown", onKeydown);
      target.removeEventListener("pointerdown", onPointer);
    },
  };
}
