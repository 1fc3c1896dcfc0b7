// The masthead: what this is, the tabs, the language, the device.
const { vaeDemo } = window;
vaeDemo.exhibit(element);

const tabs = [...element.querySelectorAll("[role=tab]")];
function mark() {
  for (const tab of tabs) {
    const open = tab.dataset.tab === vaeDemo.tab;
    tab.setAttribute("aria-selected", open);
    tab.tabIndex = open ? 0 : -1;
  }
}
tabs.forEach((tab, i) => {
  tab.addEventListener("click", () => vaeDemo.open(tab.dataset.tab));
  tab.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step) return;
    const next = tabs[(i + step + tabs.length) % tabs.length];
    vaeDemo.open(next.dataset.tab);
    next.focus();
  });
});
vaeDemo.on("tab", mark);
mark();

const language = element.querySelector("[data-testid=language]");
language.value = vaeDemo.language;
language.addEventListener("change", () => vaeDemo.speak(language.value));

// Gradio's own page on the API opens from its footer only, which page.css hides.
element.querySelector(".api").addEventListener("click", () => document.querySelector("footer .show-api").click());

const device = element.querySelector(".device");
device.textContent = vaeDemo.config.device;

const chosen = vaeDemo.remembered("theme");
if (chosen && !vaeDemo.query.has("__theme")) vaeDemo.theme(chosen === "dark");
element.querySelector(".theme").addEventListener("click", () => vaeDemo.theme(!vaeDemo.isDark()));
