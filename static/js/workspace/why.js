// The facts behind 'why this item', as rows of name and value.

const percent = (share) => `${(share * 100).toPrecision(share < 0.1 ? 2 : 3)} %`;

/** [[name, value]] for the card; names that say nothing for this item are left out. */
export function factsOf({ exploration, strategy, rank, round, propensity, utility, reason = {} }) {
  const facts = [
    ["Chosen by", exploration ? "random draw" : strategy],
    ["Rank", rank === null || rank === undefined ? null : String(rank + 1)],
    ["Round", round === null || round === undefined ? null : String(round)],
    ["Utility", Number.isFinite(utility) ? utility.toPrecision(3) : null],
    ["Chance of being shown here", Number.isFinite(propensity) ? percent(propensity) : null],
    ...(reason.classes ?? []).map(({ name, probability }) => [name, percent(probability)]),
  ];
  return facts.filter(([, value]) => value !== null && value !== undefined);
}
