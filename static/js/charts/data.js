// Learning curves as arrays for drawing and as rows for the table; no DOM.

/**
 * Curves {name, points: [{x, y, low?, high?}]} on one shared axis:
 * [xs, y0, low0, high0, y1, ...], undefined where a curve has no point (uPlot joins over it), null never.
 */
export function align(series) {
  const xs = [...new Set(series.flatMap(({ points }) => points.map(({ x }) => x)))].sort((a, b) => a - b);
  const columns = series.flatMap(({ points }) => {
    const at = new Map(points.map((point) => [point.x, point]));
    return ["y", "low", "high"].map((key) => xs.map((x) => at.get(x)?.[key] ?? undefined));
  });
  return [xs, ...columns];
}

/** The range that shows every value and interval, with some air, inside [least, most] where those are given. */
export function valueRange(series, { least = -Infinity, most = Infinity } = {}) {
  const values = series.flatMap(({ points }) => points.flatMap(({ y, low, high }) => [y, low ?? y, high ?? y])).filter(Number.isFinite);
  if (!values.length) return [0, 1];
  const low = Math.min(...values);
  const high = Math.max(...values);
  const air = (high - low || Math.abs(high) || 1) * 0.08;
  return [Math.max(least, low - air), Math.min(most, high + air)];
}

/** A value as text: "87.3 %" for format percent, else up to three digits after the point. */
export function formatValue(value, format) {
  if (!Number.isFinite(value)) return "–";
  if (format === "percent") return `${(value * 100).toFixed(1)} %`;
  return value.toLocaleString("en", { maximumFractionDigits: Math.abs(value) >= 100 ? 0 : 3 });
}

/** "87.3 % (84.1 % – 90.0 %)" */
export function formatPoint({ y, low, high }, format) {
  const text = formatValue(y, format);
  return Number.isFinite(low) && Number.isFinite(high) ? `${text} (${formatValue(low, format)} – ${formatValue(high, format)})` : text;
}

/** One row per x for the table: [x, text per curve]. */
export function tableRows(series, format) {
  const xs = [...new Set(series.flatMap(({ points }) => points.map(({ x }) => x)))].sort((a, b) => a - b);
  return xs.map((x) => [x, ...series.map(({ points }) => points.find((point) => point.x === x)).map((point) => (point ? formatPoint(point, format) : "–"))]);
}

const COLORS = 8; // --series-1 to --series-8
const DASHES = [undefined, [6, 4], [2, 3], [8, 3, 2, 3], [1, 4]];

/** How the i-th curve is drawn: a colour and a dash that no other curve has together. */
export function lineStyle(i) {
  // After a full turn of the colours the dashes are one further on, so that the pair is new.
  return { color: `--series-${(i % COLORS) + 1}`, dash: DASHES[(i + Math.floor(i / COLORS)) % DASHES.length] };
}

/** Rows of bars with their share of the largest value (0 to 1). */
export function barShares(rows) {
  const largest = Math.max(0, ...rows.map(({ value }) => value));
  return rows.map((row) => ({ ...row, share: largest > 0 ? row.value / largest : 0 }));
}
