// Which class is chosen, suggested, found: the rules of the classification panel, without a DOM.
import { CLASS_KEYS, RESERVED_KEYS } from "../keyboard.js";

/**
 * Classes with a key each: their own where it is free and allowed, else their name where that is one character
 * (the digit 3 is on 3), else the next one nobody wants; some get none.
 */
export function withHotkeys(classes) {
  const taken = new Set(RESERVED_KEYS);
  const take = (wanted) => {
    const key = (wanted ?? "").toLowerCase();
    if (!key || taken.has(key)) return null;
    taken.add(key);
    return key;
  };
  const chosen = classes.map(({ hotkey }) => take(hotkey));
  const own = classes.map(({ name = "" }, i) => chosen[i] ?? (CLASS_KEYS.includes(name.toLowerCase()) ? take(name) : null));
  const free = CLASS_KEYS.filter((key) => !taken.has(key));
  return classes.map((entry, i) => ({ ...entry, hotkey: own[i] ?? free.shift() ?? null }));
}

/** The choice after `key` was pressed: one class, or one more or fewer; 'none of these' excludes the others. */
export function toggle(chosen, key, { multiple, outliers = [] }) {
  if (!multiple) return [key];
  if (chosen.includes(key)) return chosen.filter((other) => other !== key);
  if (outliers.includes(key)) return [key];
  return [...chosen.filter((other) => !outliers.includes(other)), key];
}

/** Canonical regions; no classes is an answer too where several may be chosen ('nothing applies'). */
export const toRegions = (chosen) => [{ kind: "choice", classes: [...chosen] }];

export function fromRegions(regions, classes) {
  const known = new Set(classes.map(({ key }) => key));
  return (regions ?? []).filter(({ kind }) => kind === "choice").flatMap((region) => region.classes).filter((key) => known.has(key));
}

const plain = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();

/** Keys of the classes that the words match, best first: name starts with it, a word does, it is inside. */
export function search(classes, words) {
  const wanted = plain(words.trim());
  if (!wanted) return classes.map(({ key }) => key);
  const scored = classes.map(({ key, name, description = "" }, order) => {
    const text = plain(name);
    const score = text.startsWith(wanted) ? 0 : text.split(/[\s_\-/]+/).some((word) => word.startsWith(wanted)) ? 1 : text.includes(wanted) ? 2 : plain(description).includes(wanted) ? 3 : 4;
    return { key, score, order };
  });
  return scored.filter(({ score }) => score < 4).sort((a, b) => a.score - b.score || a.order - b.order).map(({ key }) => key);
}

/** The suggestion to show: {key: probability} of the classes that exist and say something. */
export function suggestions(suggestion, classes, { multiple, least = 0.5 } = {}) {
  const known = new Set(classes.map(({ key }) => key));
  const pairs = Object.entries(suggestion?.classes ?? {}).filter(([key, p]) => known.has(key) && Number.isFinite(p)).sort((a, b) => b[1] - a[1]);
  return new Map(multiple ? pairs.filter(([, p]) => p >= least) : pairs.slice(0, 1));
}
