"use strict";
// Loads a page that is written anew again, and keeps what the reader has opened, chosen and reached.
{
  const note = document.getElementById("renewed");
  const EVERY_MS = 1000 * note.dataset.everyS;
  // A page that is so old is not written any more.
  const STALE_MS = Math.max(120000, 4 * EVERY_MS);
  const CONTROLS = "summary, select, input, button, canvas[tabindex], svg[tabindex], .scroll";

  function sections() {
    return [...document.querySelectorAll("section[id]")];
  }
  function controls(section) {
    return [...section.querySelectorAll(CONTROLS)];
  }
  // A slider over the time of a replay has another length on the next page.
  function length(slider) {
    const data = slider.closest(".replay")?.querySelector(".data");
    return data ? JSON.parse(data.textContent).end_s : 1;
  }
  function stateOf(element) {
    if (element.matches("summary")) return element.parentElement.open;
    if (element.matches("[type=checkbox], [type=radio]")) return element.checked;
    if (element.matches("[type=range]")) return element.value * length(element);
    if (element.matches("select")) return element.value;
    return element.getAttribute("aria-pressed");
  }
  function restore(element, state) {
    if (state === null || stateOf(element) === state) return;
    if (element.matches("summary")) element.parentElement.open = state;
    else if (element.matches("button")) element.click();
    else {
      if (element.matches("[type=checkbox], [type=radio]")) element.checked = state;
      else element.value = element.matches("[type=range]") ? state / length(element) : state;
      for (const name of ["input", "change"]) element.dispatchEvent(new Event(name, {bubbles: true}));
    }
  }
  function kept() {
    const found = {};
    for (const section of sections()) {
      const own = controls(section);
      found[section.id] = {states: own.map(stateOf), focus: own.indexOf(document.activeElement)};
    }
    return {found, top: scrollY, left: scrollX};
  }
  function putBack({found, top, left}) {
    for (const section of sections()) {
      const own = controls(section), before = found[section.id];
      if (!before || before.states.length !== own.length) continue;
      own.forEach((element, number) => restore(element, before.states[number]));
      own[before.focus]?.focus({preventScroll: true});
    }
    scrollTo(left, top);
  }
  // Whoever plays, has zoomed or selects something would lose it.
  function busy() {
    const plays = [...document.querySelectorAll(".replay .play")].some(button => button.textContent === "Pause");
    const zoomed = document.querySelector(".chart [data-do=all]:not([hidden])");
    return plays || zoomed || held || !getSelection().isCollapsed;
  }

  let held = false;
  addEventListener("pointerdown", () => { held = true; });
  for (const name of ["pointerup", "pointercancel"]) addEventListener(name, () => { held = false; });
  history.scrollRestoration = "manual";
  if (history.state?.found) putBack(history.state);

  const loaded = Date.now();
  if (loaded - Date.parse(note.dataset.written) > STALE_MS) {
    note.textContent += " It has not been written since: leomix watch has ended, or stands still.";
  }
  setInterval(() => {
    if (Date.now() - loaded < EVERY_MS || document.hidden || busy()) return;
    history.replaceState(kept(), "");
    location.reload();
  }, 500);
}
