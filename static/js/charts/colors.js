// The theme's colours as the canvas needs them: resolved.

/** A function from custom property name to "rgb(...)", as `node` sees it now. */
export function palette(node) {
  const probe = document.createElement("span");
  probe.hidden = true;
  node.append(probe);
  return {
    color(name) {
      probe.style.color = `var(${name})`;
      return getComputedStyle(probe).color;
    },
    done: () => probe.remove(),
  };
}

/** "rgb(1, 2, 3)" with opacity. */
export const faded = (color, alpha) => color.replace(/^rgba?\(([^)]+)\)$/, (_, parts) => `rgba(${parts.split(/[ ,/]+/).slice(0, 3).join(", ")}, ${alpha})`);

/** Call `redraw` when the theme changes, by the switch or by the system; returns a function that stops it. */
export function onTheme(redraw) {
  const system = matchMedia("(prefers-color-scheme: dark)");
  system.addEventListener("change", redraw);
  document.body.addEventListener("theme", redraw);
  return () => {
    system.removeEventListener("change", redraw);
    document.body.removeEventListener("theme", redraw);
  };
}
