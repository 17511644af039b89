// The answers to a disputed item, gathered by what they say.

/** [{classes, names: [...], count}], commonest first; answers that name the same classes are one row. */
export function gather(answers) {
  const rows = new Map();
  for (const { classes, name } of answers) {
    const key = JSON.stringify([...classes].sort());
    const row = rows.get(key) ?? { classes: [...classes].sort(), names: [], count: 0 };
    row.names.push(name);
    row.count += 1;
    rows.set(key, row);
  }
  return [...rows.values()].sort((a, b) => b.count - a.count || a.classes.join().localeCompare(b.classes.join()));
}

/** How many answers name a class, with their names where these are shown: Map of key to words. */
export function marksOf(answers, { named = false } = {}) {
  const names = new Map();
  for (const { classes, name } of answers) for (const key of new Set(classes)) names.set(key, [...(names.get(key) ?? []), name]);
  return new Map([...names].map(([key, who]) => [key, named ? `${who.length} × ${who.join(", ")}` : `${who.length} ×`]));
}

/** What the model says of an item, likeliest class first; `page` is that of its prediction, or of another item's. */
export function modelWords(page, item, names) {
  const found = page.results.find((each) => each.item === item);
  if (!found?.classes) return "The model has not scored this item.";
  const likely = Object.entries(found.classes).sort(([, a], [, b]) => b - a).slice(0, 3);
  return likely.map(([key, share]) => `${names[key] ?? key} ${Math.round(share * 100)} %`).join(", ");
}

/** What an answer says, in words. */
export const wordsOf = (classes, names) => (classes.length ? classes.map((key) => names[key] ?? key).join(", ") : "nothing applies");

/** "67 % agree, 3 answers". */
export function agreementWords({ agreement, votes }) {
  if (!Number.isFinite(agreement)) return "";
  return `${Math.round(agreement * 100)} % agree, ${votes} answers`;
}
