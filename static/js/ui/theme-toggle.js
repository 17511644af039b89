// The button goes system -> light -> dark; theme.js applies the remembered choice before the first paint.
const ORDER = ["system", "light", "dark"];
const ICONS = { system: "system", light: "sun", dark: "moon" };

function current() {
  return document.documentElement.dataset.theme || "system";
}

function apply(theme) {
  const root = document.documentElement;
  if (theme === "system") delete root.dataset.theme;
  else root.dataset.theme = theme;
  try {
    if (theme === "system") localStorage.removeItem("theme");
    else localStorage.setItem("theme", theme);
  } catch {
    // Without storage the choice holds for this page only.
  }
  document.body.dispatchEvent(new CustomEvent("theme", { detail: { theme } }));
}

export function wireThemeToggle() {
  const buttons = document.querySelectorAll("[data-theme-toggle]");
  const show = () => {
    for (const button of buttons) {
      const use = button.querySelector("use");
      use?.setAttribute("href", `${document.body.dataset.icons}#${ICONS[current()]}`);
      button.setAttribute("aria-label", `Theme: ${current()}`);
      button.title = `Theme: ${current()}`;
    }
  };
  for (const button of buttons) {
    button.addEventListener("click", () => {
      apply(ORDER[(ORDER.indexOf(current()) + 1) % ORDER.length]);
      show();
    });
  }
  window.addEventListener("storage", (event) => {
    if (event.key !== "theme") return;
    apply(ORDER.includes(event.newValue) ? event.newValue : "system");
    show();
  });
  show();
}
