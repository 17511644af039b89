// The facts behind 'why this item', as rows of name and value.

const percent = (share) => `${(share * 100).toPrecision(share < 0.1 ? 2 : 3)} %`;

/** [[name, value]] for the card; what says nothing about this item is left out. `names` maps class keys to names. */
export function factsOf({ exploration, strategy, rank, round, propensity, utility, reason = {} }, names = new Map()) {
  const rivals = reason.classes ?? reason.labels ?? [];
  const facts = [
    ["Chosen by", exploration ? "random draw" : strategy],
    ["Rank", rank === null || rank === undefined ? null : String(rank + 1)],
    ["Round", round === null || round === undefined ? null : String(round)],
    ["Utility", Number.isFinite(utility) ? utility.toPrecision(3) : null],
    ["Chance of being shown here", Number.isFinite(propensity) ? percent(propensity) : null],
    ...rivals.map((key, i) => [names.get(key) ?? key, percent(reason.probabilities[i])]),
  ];
  return facts.filter(([, value]) => value !== null && value !== undefined);
}
