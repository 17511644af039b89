// A view onto a picture: scale and offset, screen = picture * scale + offset. Pure arithmetic, no drawing.

export const LARGEST = 64;
const COMFORT = 480; // pixels: thumbnails are enlarged to about this, not to a wall of squares

const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

/** The view that shows all of `size` centred in `box`, with a margin; small pictures are enlarged as far as is comfortable. */
export function fit(size, box, { margin = 24, most = LARGEST } = {}) {
  const width = Math.max(1, box.width - 2 * margin);
  const height = Math.max(1, box.height - 2 * margin);
  const scale = Math.min(width / size.width, height / size.height, most, Math.max(1, COMFORT / Math.max(size.width, size.height)));
  return centre(size, box, scale);
}

/** The view at `scale` with the picture in the middle of the box. */
export function centre(size, box, scale) {
  return { scale, x: (box.width - size.width * scale) / 2, y: (box.height - size.height * scale) / 2 };
}

/** Zoom by `factor` so that the picture's point under `point` stays under it. */
export function zoomAt(view, factor, point, { least = 0.02, most = LARGEST } = {}) {
  const scale = clamp(view.scale * factor, least, most);
  const ratio = scale / view.scale;
  return { scale, x: point.x - (point.x - view.x) * ratio, y: point.y - (point.y - view.y) * ratio };
}

/** Move so that the picture never leaves the box entirely: at least `keep` pixels of it stay in sight. */
export function keepInSight(view, size, box, keep = 48) {
  const width = size.width * view.scale;
  const height = size.height * view.scale;
  const left = Math.min(keep, width);
  const top = Math.min(keep, height);
  return { ...view, x: clamp(view.x, left - width, box.width - left), y: clamp(view.y, top - height, box.height - top) };
}

export const pan = (view, dx, dy) => ({ ...view, x: view.x + dx, y: view.y + dy });

export const toPicture = (view, point) => ({ x: (point.x - view.x) / view.scale, y: (point.y - view.y) / view.scale });

export const toScreen = (view, point) => ({ x: point.x * view.scale + view.x, y: point.y * view.scale + view.y });

/** The factor of one turn of the wheel; `mode` is WheelEvent.deltaMode (pixels, lines, pages). */
export function wheelFactor(delta, mode = 0) {
  const pixels = delta * [1, 16, 100][mode];
  return Math.exp(-clamp(pixels, -120, 120) * 0.0025);
}

/** Whether pixels should stay visible squares: the picture is small or much enlarged. */
export const pixelated = (size, scale) => scale >= 3 || Math.max(size.width, size.height) <= 64;
