import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { faded } from "../../static/js/charts/colors.js";
import { align, barShares, formatPoint, formatValue, lineStyle, tableRows, valueRange } from "../../static/js/charts/data.js";
import { formatSeconds } from "../../static/js/dom.js";
import { rate, relative } from "../../static/js/ui/times.js";

const ours = { name: "margin", points: [{ x: 10, y: 0.5, low: 0.4, high: 0.6 }, { x: 30, y: 0.8 }] };
const random = { name: "random", points: [{ x: 20, y: 0.6 }] };

describe("curves", () => {
  test("share one axis; where a curve has no point there is a gap to join over", () => {
    const gap = undefined;
    assert.deepEqual(align([ours, random]), [[10, 20, 30], [0.5, gap, 0.8], [0.4, gap, gap], [0.6, gap, gap], [gap, 0.6, gap], [gap, gap, gap], [gap, gap, gap]]);
  });

  test("the range covers the intervals and stays in its limits", () => {
    const [low, high] = valueRange([{ points: [{ y: 0.9, low: 0.1, high: 0.99 }] }], { least: 0, most: 1 });
    assert.ok(low > 0 && low < 0.1);
    assert.equal(high, 1);
  });

  test("a single value and no value have a range too", () => {
    const [low, high] = valueRange([{ points: [{ y: 5 }] }]);
    assert.ok(low < 5 && high > 5);
    assert.deepEqual(valueRange([]), [0, 1]);
  });

  test("the table says what the picture shows", () => {
    assert.deepEqual(tableRows([ours, random], "percent"), [[10, "50.0 % (40.0 % – 60.0 %)", "–"], [20, "–", "60.0 %"], [30, "80.0 %", "–"]]);
  });
});

test("as many curves as a backtest may have are told apart, up to eight by colour alone", () => {
  const styles = Array.from({ length: 12 }, (_, i) => lineStyle(i));
  assert.equal(new Set(styles.slice(0, 8).map(({ color }) => color)).size, 8);
  assert.equal(new Set(styles.map((style) => JSON.stringify(style))).size, 12);
});

test("values read well", () => {
  assert.equal(formatValue(0.8731, "percent"), "87.3 %");
  assert.equal(formatValue(1234.5, "number"), "1,235");
  assert.equal(formatValue(undefined, "number"), "–");
  assert.equal(formatPoint({ y: 2, low: 1, high: 3 }, "number"), "2 (1 – 3)");
});

test("bars are shares of the longest, and all empty where there is nothing", () => {
  assert.deepEqual(barShares([{ value: 2 }, { value: 4 }]).map(({ share }) => share), [0.5, 1]);
  assert.deepEqual(barShares([{ value: 0 }]).map(({ share }) => share), [0]);
});

test("a resolved colour is given opacity in both of its spellings", () => {
  assert.equal(faded("rgb(1, 2, 3)", 0.5), "rgba(1, 2, 3, 0.5)");
  assert.equal(faded("rgba(1, 2, 3, 0.9)", 0.1), "rgba(1, 2, 3, 0.1)");
});

test("times are relative, durations and rates short", () => {
  const now = Date.UTC(2026, 0, 10);
  assert.equal(relative(now - 3 * 60000, now), "3 minutes ago");
  assert.equal(relative(now - 86400000, now), "yesterday");
  assert.equal(relative(now + 2 * 3600000, now), "in 2 hours");
  assert.equal(relative(now - 2000, now), "now");
  assert.deepEqual([5, 65, 3700].map(formatSeconds), ["5 s", "1 min 05 s", "1 h 01 min"]);
  assert.deepEqual([rate(12000, 10), rate(30, 10), rate(5, 60), rate(0, 4)], ["1,200/s", "3.0/s", "5/min", ""]);
});
