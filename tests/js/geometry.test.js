import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { LARGEST, centre, fit, keepInSight, pan, pixelated, toPicture, toScreen, wheelFactor, zoomAt } from "../../static/js/geometry/view.js";

const box = { width: 800, height: 600 };
const near = (a, b) => assert.ok(Math.abs(a - b) < 1e-9, `${a} is not ${b}`);

describe("fit", () => {
  test("a large picture is shown whole, centred, with its margin", () => {
    const view = fit({ width: 4000, height: 1000 }, box, { margin: 0 });
    assert.deepEqual(view, { scale: 0.2, x: 0, y: 200 });
  });

  test("an 8 by 8 digit is enlarged, but not beyond what is comfortable", () => {
    assert.equal(fit({ width: 8, height: 8 }, box, { margin: 44 }).scale, 60);
    assert.equal(fit({ width: 8, height: 8 }, { width: 100, height: 100 }, { margin: 10 }).scale, 10);
  });

  test("a box without room is survived", () => {
    const { scale } = fit({ width: 100, height: 100 }, { width: 0, height: 0 });
    assert.ok(scale > 0 && Number.isFinite(scale));
  });
});

describe("zoom", () => {
  test("the point under the pointer stays there", () => {
    const view = centre({ width: 300, height: 200 }, box, 1);
    const point = { x: 137, y: 411 };
    const before = toPicture(view, point);
    const after = toPicture(zoomAt(view, 1.7, point), point);
    near(before.x, after.x);
    near(before.y, after.y);
  });

  test("in and out by the same factor comes back", () => {
    const view = { scale: 1.3, x: 12, y: -7 };
    const back = zoomAt(zoomAt(view, 1.25, { x: 50, y: 60 }), 1 / 1.25, { x: 50, y: 60 });
    near(back.scale, view.scale);
    near(back.x, view.x);
    near(back.y, view.y);
  });

  test("stops at its limits without drifting", () => {
    const view = { scale: LARGEST, x: 3, y: 4 };
    assert.deepEqual(zoomAt(view, 2, { x: 100, y: 100 }), view);
  });
});

test("screen and picture are each other's inverse", () => {
  const view = { scale: 2.5, x: -30, y: 14 };
  const there = toScreen(view, toPicture(view, { x: 11, y: 22 }));
  near(there.x, 11);
  near(there.y, 22);
});

test("panning never loses the picture out of sight", () => {
  const size = { width: 100, height: 100 };
  const far = keepInSight(pan({ scale: 2, x: 0, y: 0 }, 5000, -5000), size, box, 48);
  assert.deepEqual([far.x, far.y], [box.width - 48, 48 - 200]);
});

test("a picture smaller than what must stay in sight can still be moved", () => {
  const view = keepInSight({ scale: 1, x: 400, y: 300 }, { width: 8, height: 8 }, box, 48);
  assert.deepEqual([view.x, view.y], [400, 300]);
});

test("the wheel zooms in upwards, by lines as by pixels, and one turn is bounded", () => {
  assert.ok(wheelFactor(-100) > 1 && wheelFactor(100) < 1);
  near(wheelFactor(3, 1), wheelFactor(48));
  near(wheelFactor(-100000), wheelFactor(-120));
});

test("small or much enlarged pictures keep their pixels", () => {
  assert.ok(pixelated({ width: 8, height: 8 }, 1));
  assert.ok(pixelated({ width: 500, height: 400 }, 4));
  assert.ok(!pixelated({ width: 500, height: 400 }, 2));
});
