import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { CLASS_KEYS, DEFAULT_KEYMAP, RESERVED_KEYS, chordLabel, codeOf, conflicts, createKeyboard, isTyping, matches, parseChord } from "../../static/js/keyboard.js";

const press = (code, key, extra = {}) => ({ code, key, ctrlKey: false, altKey: false, shiftKey: false, metaKey: false, repeat: false, target: { tagName: "DIV" }, defaultPrevented: false, preventDefault() { this.defaultPrevented = true; }, ...extra });
const hits = (chord, event, apple = false) => matches(event, parseChord(chord, apple));

class Target {
  listeners = new Map();
  addEventListener(type, listener) { this.listeners.set(type, listener); }
  removeEventListener(type) { this.listeners.delete(type); }
  press(...args) {
    const event = press(...args);
    this.listeners.get("keydown")?.(event);
    return event;
  }
  point() { this.listeners.get("pointerdown")?.({}); }
}

function keyboardWith(keymap, options) {
  const target = new Target();
  const keyboard = createKeyboard({ target, apple: false });
  const done = [];
  const handlers = Object.fromEntries(Object.keys(keymap).map((action) => [action, () => void done.push(action)]));
  const off = keyboard.push("Test", keymap, handlers, options);
  return { target, keyboard, done, off };
}

describe("chords", () => {
  test("a code is a place, whatever is printed there", () => {
    assert.ok(hits("KeyZ", press("KeyZ", "y")));
    assert.ok(!hits("KeyZ", press("KeyY", "z")));
  });

  test("key: is what is printed, wherever it is", () => {
    assert.ok(hits("key:a", press("KeyQ", "a")));
    assert.ok(!hits("key:a", press("KeyA", "q")));
  });

  test("a layout without Latin letters falls back to the place", () => {
    assert.ok(hits("key:a", press("KeyA", "ф")));
    assert.ok(!hits("key:a", press("KeyB", "и")));
  });

  test("digits work in the number row of a layout that needs Shift for them, and on the number pad", () => {
    assert.ok(hits("key:1", press("Digit1", "&")));
    assert.ok(hits("key:1", press("Numpad1", "1")));
    assert.ok(!hits("key:1", press("Digit2", "é")));
  });

  test("signs match with or without Shift, letters and codes only as written", () => {
    assert.ok(hits("key:?", press("Slash", "?", { shiftKey: true })));
    assert.ok(hits("key:?", press("KeyM", "?")));
    assert.ok(!hits("key:a", press("KeyA", "A", { shiftKey: true })));
    assert.ok(!hits("Enter", press("Enter", "Enter", { shiftKey: true })));
  });

  test("Mod is Ctrl here and Cmd on Apple machines", () => {
    const ctrl = press("KeyZ", "z", { ctrlKey: true });
    const cmd = press("KeyZ", "z", { metaKey: true });
    assert.deepEqual([hits("Mod+KeyZ", ctrl, false), hits("Mod+KeyZ", cmd, false)], [true, false]);
    assert.deepEqual([hits("Mod+KeyZ", ctrl, true), hits("Mod+KeyZ", cmd, true)], [false, true]);
  });

  test("a browser's own chord is not taken by a plain letter", () => {
    assert.ok(!hits("key:c", press("KeyC", "c", { ctrlKey: true })));
  });

  for (const wrong of ["", "Hyper+KeyA", "key:", "key:ab", "enter", "Ctrl+"]) {
    test(`"${wrong}" is no chord`, () => assert.throws(() => parseChord(wrong, false), TypeError));
  }

  test("hints name the keys", () => {
    assert.deepEqual(chordLabel("Mod+KeyZ", { apple: false }), ["Ctrl", "Z"]);
    assert.deepEqual(chordLabel("Mod+KeyZ", { apple: true }), ["⌘", "Z"]);
    assert.deepEqual(chordLabel("Period", { apple: false }), ["."]);
    assert.deepEqual(chordLabel("key:?", { apple: false }), ["?"]);
    assert.deepEqual(chordLabel("KeyZ", { apple: false, layout: new Map([["KeyZ", "y"]]) }), ["Y"]);
  });
});

describe("conflicts", () => {
  test("two actions on one key are named, also when written differently", () => {
    assert.deepEqual(conflicts({ skip: ["KeyS"], save: ["key:s"], undo: ["Mod+KeyS"] }, false), [{ chord: "KeyS", actions: ["skip", "save"] }]);
  });

  test("the keys we ship do not collide", () => assert.deepEqual(conflicts(DEFAULT_KEYMAP, false), []));

  test("no key given to classes is reserved", () => {
    assert.deepEqual(CLASS_KEYS.filter((key) => RESERVED_KEYS.includes(key)), []);
  });

  test("every unmodified key that we ship is reserved, so that no class can take it", () => {
    const named = { Period: ".", NumpadAdd: "+", NumpadSubtract: "-", NumpadEnter: "enter" };
    for (const chord of Object.values(DEFAULT_KEYMAP).flat()) {
      const { mods, code, key } = parseChord(chord, false);
      if (!mods.size) assert.ok(RESERVED_KEYS.includes(key ?? named[code] ?? code.toLowerCase()), chord);
    }
  });

  test("every class key has a place to fall back to", () => assert.ok(CLASS_KEYS.every(codeOf)));
});

describe("keyboard", () => {
  test("runs the action and keeps the key from the browser", () => {
    const { target, done } = keyboardWith({ undo: ["Backspace"] });
    assert.ok(target.press("Backspace", "Backspace").defaultPrevented);
    assert.deepEqual(done, ["undo"]);
  });

  test("leaves keys alone while somebody types, except where an action asks for them", () => {
    const { target, done } = keyboardWith({ a: ["key:a"], save: ["Mod+KeyS"] }, { whileTyping: ["save"] });
    const field = { target: { tagName: "INPUT", type: "search" } };
    assert.ok(!target.press("KeyA", "a", field).defaultPrevented);
    target.press("KeyS", "s", { ...field, ctrlKey: true });
    assert.deepEqual(done, ["save"]);
  });

  test("a radio is not typing, so class keys work right after a click on a class", () => {
    assert.ok(!isTyping({ tagName: "INPUT", type: "radio" }));
    assert.ok(isTyping({ tagName: "TEXTAREA" }));
    assert.ok(isTyping({ tagName: "DIV", isContentEditable: true }));
  });

  test("Enter on a focused button presses the button; on a radio it submits", () => {
    const { target, done } = keyboardWith({ submit: ["Enter"] });
    target.press("Enter", "Enter", { target: { tagName: "BUTTON" } });
    assert.deepEqual(done, []);
    target.press("Enter", "Enter", { target: { tagName: "INPUT", type: "radio" } });
    assert.deepEqual(done, ["submit"]);
  });

  test("Space on a box belongs to the box for who came by Tab, and to the page for who clicked there", () => {
    const { target, done } = keyboardWith({ accept: ["Space"] });
    const box = { target: { tagName: "INPUT", type: "checkbox" } };
    target.press("Tab", "Tab");
    assert.equal(target.press("Space", " ", box).defaultPrevented, false);
    target.press("Space", " ", { target: { tagName: "INPUT", type: "radio" } });
    assert.deepEqual(done, []);
    target.point();
    assert.equal(target.press("Space", " ", box).defaultPrevented, true);
    assert.deepEqual(done, ["accept"]);
  });

  test("it knows whether the person moves about by keys", () => {
    const { target, keyboard } = keyboardWith({ submit: ["Enter"] });
    assert.equal(keyboard.walking, false);
    target.press("Enter", "Enter");
    assert.equal(keyboard.walking, false);
    target.press("ArrowDown", "ArrowDown");
    assert.equal(keyboard.walking, true);
    target.point();
    assert.equal(keyboard.walking, false);
  });

  test("over an open dialog keys do nothing, except those that ask for it", () => {
    const { target, done } = keyboardWith({ submit: ["Enter"], help: ["key:?"] }, { inDialogs: ["help"] });
    const inside = { target: { tagName: "DIALOG", closest: (selector) => selector === "dialog[open]" } };
    assert.equal(target.press("Enter", "Enter", inside).defaultPrevented, false);
    target.press("Slash", "?", inside);
    assert.deepEqual(done, ["help"]);
  });

  test("a held key submits once but zooms on", () => {
    const { target, done } = keyboardWith({ submit: ["Enter"], zoom: ["key:+"] }, { repeats: ["zoom"] });
    target.press("Enter", "Enter", { repeat: true });
    target.press("Equal", "+", { repeat: true });
    assert.deepEqual(done, ["zoom"]);
  });

  test("the newest scope wins, and an exclusive one hides the rest until it goes", () => {
    const { target, keyboard, done } = keyboardWith({ a: ["KeyA"], b: ["KeyB"] });
    const off = keyboard.push("Above", { a: ["KeyA"] }, { a: () => void done.push("above") }, { exclusive: true });
    target.press("KeyA", "a");
    target.press("KeyB", "b");
    off();
    target.press("KeyA", "a");
    assert.deepEqual(done, ["above", "a"]);
  });

  test("text being composed and events already handled are left alone", () => {
    const { target, done } = keyboardWith({ a: ["KeyA"] });
    target.press("KeyA", "a", { isComposing: true });
    target.press("KeyA", "a", { defaultPrevented: true });
    assert.deepEqual(done, []);
  });

  test("a handler that returns false gives the key back", () => {
    const target = new Target();
    createKeyboard({ target, apple: false }).push("Test", { a: ["KeyA"] }, { a: () => false });
    assert.ok(!target.press("KeyA", "a").defaultPrevented);
  });

  test("the cheat sheet lists what works now", () => {
    const { keyboard } = keyboardWith({ submit: ["Enter", "NumpadEnter"] }, { titles: { submit: "Submit" } });
    keyboard.push("Nothing", { lost: ["KeyL"] }, {});
    assert.deepEqual(keyboard.sheet(), [{ scope: "Test", rows: [{ action: "submit", title: "Submit", chords: [["Enter"]] }] }, { scope: "Nothing", rows: [] }]);
  });

  test("a person's own keys replace the shipped ones", () => {
    const keyboard = createKeyboard({ target: new Target(), apple: false, keymap: { skip: ["KeyX"] } });
    assert.deepEqual(keyboard.pick("skip", "help"), { skip: ["KeyX"], help: ["key:?"] });
  });

  test("destroy stops listening", () => {
    const { target, keyboard, done } = keyboardWith({ a: ["KeyA"] });
    keyboard.destroy();
    target.press("KeyA", "a");
    assert.deepEqual(done, []);
  });
});
