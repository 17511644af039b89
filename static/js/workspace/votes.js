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

/** What an answer says, in words. */
export const wordsOf = (classes, names) => (classes.length ? classes.map((key) => names[key] ?? key).join(", ") : "nothing applies");

/** "67 % agree, 3 answers". */
export function agreementWords({ agreement, votes }) {
  if (!Number.isFinite(agreement)) return "";
  return `${Math.round(agreement * 100)} % agree, ${votes} answers`;
}
