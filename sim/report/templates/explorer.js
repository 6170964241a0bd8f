"use strict";
// The figure of a sweep: one figure of its points, as a map of two keys, as lines, or as the effect
// of each key. Means and intervals are Python's; here they are only laid out.
for (const box of document.querySelectorAll(".explorer")) {
  const data = JSON.parse(box.querySelector(".data").textContent);
  const stage = box.querySelector(".panels"), tip = box.querySelector(".tip"), note = box.querySelector(".idle");
  const figure = box.querySelector("[data-pick=figure]"), view = box.querySelector("[data-pick=view]");
  const MOST_PANELS = 6, HUES = 8, DASHES = ["", "7 3", "2 3", "9 3 2 3"];
  const said = box.querySelector(".picks"), charted = document.querySelector(".curves") !== null;
  let picked = null, marks = [];

  const make = (name, attributes, ...inner) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.append(...inner);
    return element;
  };
  const html = (name, className, ...inner) => {
    const element = document.createElement(name);
    element.className = className;
    element.append(...inner);
    return element;
  };
  const cut = (text, most) => text.length <= most ? text
    : `${text.slice(0, Math.ceil(most / 2) - 1)}…${text.slice(-Math.floor(most / 2))}`;
  const level = (key, point) => data.keys[key].levels[data.points[point][key]];
  const value = point => data.values[figure.value][point];
  const named = point => data.keys.map((key, n) => `${key.name}: ${level(n, point)}`).join("; ");

  // Points by the keys that no axis of a panel shows. Of a key that changes nothing about the figure
  // one value stands for all: panels of the others would be equal.
  function panels(shown) {
    const idle = n => data.idle[figure.value].includes(data.keys[n].key);
    const rest = data.keys.map((_, n) => n).filter(n => !shown.includes(n));
    const alike = rest.filter(idle), apart = rest.filter(n => !idle(n)), kept = new Map(), found = new Map();
    data.points.forEach((levels, point) => {
      const place = levels.filter((_, n) => !alike.includes(n)).join(), other = kept.get(place);
      if (other === undefined || value(other)[0] === null && value(point)[0] !== null) kept.set(place, point);
    });
    for (const point of kept.values()) {
      const label = apart.map(n => `${data.keys[n].name}: ${level(n, point)}`).join("; ");
      found.set(label, [...found.get(label) || [], point]);
    }
    return found;
  }

  function range(points) {
    let low = Infinity, high = -Infinity;
    for (const point of points) for (const end of value(point).slice(0, 3)) if (end !== null) {
      low = Math.min(low, end);
      high = Math.max(high, end);
    }
    if (low > high) return [0, 1];
    const room = (high - low || Math.abs(high) || 1) * 0.08;
    return [low - room, high + room];
  }

  function ticks(low, high, wanted) {
    const raw = (high - low) / wanted, power = 10 ** Math.floor(Math.log10(raw));
    const step = [1, 2, 5, 10].map(n => n * power).find(s => s >= raw * 0.999), found = [];
    const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
    for (let n = Math.ceil(low / step - 1e-9); n * step <= high + step * 1e-9; n++)
      found.push([n * step, (n * step).toFixed(digits)]);
    return found;
  }

  function say(point, mark) {
    const [, , , seeds, text, interval] = value(point), title = data.figures[figure.value];
    const ends = interval && `, 95 %: ${interval}`;
    tip.replaceChildren(html("b", "", `${title}: ${text}${ends}, n ${seeds}`),
      ...data.keys.map((key, n) => html("div", "", `${key.name}: ${level(n, point)}`)));
    tip.hidden = false;
    const frame = box.getBoundingClientRect(), at = mark.getBoundingClientRect();
    const left = Math.min(at.right - frame.left + 6, frame.width - tip.offsetWidth);
    tip.style.left = `${Math.max(0, left)}px`;
    tip.style.top = `${at.bottom - frame.top + 6}px`;
  }

  // The chart below shows the curves of one point alone; picked again, those of all.
  function pick(point) {
    const chosen = picked === point ? null : point;
    const detail = chosen === null ? null : data.lines[chosen];
    document.dispatchEvent(new CustomEvent("pick", {detail}));
    mark(chosen);
  }

  function mark(point) {
    picked = point;
    for (const [one, own] of marks) one.classList.toggle("picked", own === picked);
    said.textContent = picked === null ? "" : `The chart below shows the curves of ${named(picked)}.`;
    said.hidden = picked === null;
  }
  document.addEventListener("pick", event => { if (event.detail === null) mark(null); });

  // What a pointer or the focus shows more of.
  function telling(mark, point) {
    marks.push([mark, point]);
    mark.setAttribute("tabindex", "0");
    mark.setAttribute("role", "img");
    mark.setAttribute("aria-label", `${named(point)}; ${data.figures[figure.value]}: ${value(point)[4]}`);
    for (const name of ["pointerenter", "focus"]) mark.addEventListener(name, () => say(point, mark));
    for (const name of ["pointerleave", "blur"]) mark.addEventListener(name, () => { tip.hidden = true; });
    if (charted && data.lines[point] !== null) {
      mark.setAttribute("role", "button");
      mark.classList.add("pickable");
      mark.classList.toggle("picked", picked === point);
      mark.addEventListener("click", () => pick(point));
      mark.addEventListener("keydown", event => {
        if (event.key !== "Enter" && event.key !== " ") return;
        event.preventDefault();
        pick(point);
      });
    }
    return mark;
  }

  function panel(title, width, height, ...inner) {
    const svg = make("svg", {viewBox: `0 0 ${width} ${height}`, width, height, role: "group",
      "aria-label": title || data.figures[figure.value]}, ...inner);
    return html("figure", "panel", ...title ? [html("figcaption", "", title)] : [], svg);
  }

  const text = (x, y, words, anchor = "middle", className = "") =>
    make("text", {x, y, "text-anchor": anchor, ...className && {class: className}}, words);

  // -- a map of the first two keys

  function map(points, title, [low, high], width) {
    const [across, up] = data.keys, top = 10, bottom = 44;
    const left = 14 + 7 * Math.max(...up.levels.map(words => Math.min(words.length, 14)));
    const wide = (width - left - 8) / across.levels.length, tall = Math.max(26, Math.min(46, 300 / up.levels.length));
    const height = top + tall * up.levels.length + bottom, parts = [];
    for (const point of points) {
      const [i, j] = data.points[point], [mean, , , , words] = value(point);
      const x = left + i * wide, y = top + (up.levels.length - 1 - j) * tall;
      const share = mean === null || high === low ? 0 : (mean - low) / (high - low);
      const step = Math.min(6, Math.floor(share * 7));
      const field = make("g", {class: mean === null ? "field none" : `field shade-${step}`},
        make("rect", {x: x + 1, y: y + 1, width: wide - 2, height: tall - 2, rx: 2}));
      if (words.length * 6.6 < wide) field.append(text(x + wide / 2, y + tall / 2 + 4, words));
      parts.push(telling(field, point));
    }
    const every = Math.ceil(Math.max(...across.levels.map(words => Math.min(words.length, 16))) * 7 / wide);
    across.levels.forEach((words, i) => {
      if (i % every === 0) parts.push(text(left + (i + 0.5) * wide, height - bottom + 16, cut(words, 16)));
    });
    up.levels.forEach((words, j) =>
      parts.push(text(left - 6, top + (up.levels.length - 0.5 - j) * tall + 4, cut(words, 14), "end")));
    parts.push(text(width - 8, height - 6, `${across.name}, by ${up.name}`, "end", "title"));
    return panel(title, width, height, ...parts);
  }

  // -- lines over one key, a line for each setting of others

  function lines(points, title, [low, high], width, key, byKey) {
    const axis = data.keys[key], left = 58, right = 14, top = 12, bottom = 44, height = 250;
    const numbers = axis.numbers, least = numbers ? numbers[0] : -0.5;
    const most = numbers ? numbers[numbers.length - 1] : axis.levels.length - 0.5, parts = [];
    const x = point => {
      const n = data.points[point][key], at = numbers ? numbers[n] : n;
      return left + (most > least ? (at - least) / (most - least) : 0.5) * (width - left - right);
    };
    const y = mean => top + (high - mean) / (high - low) * (height - top - bottom);
    for (const [at, words] of ticks(low, high, 4))
      parts.push(make("line", {x1: left, x2: width - right, y1: y(at), y2: y(at), class: "grid"}),
        text(left - 6, y(at) + 4, words, "end"));
    const base = height - bottom;
    parts.push(make("line", {x1: left, x2: width - right, y1: base, y2: base, class: "edge"}));
    const sets = new Map();
    for (const point of points) {
      const rest = data.points[point].filter((_, n) => n !== key).join();
      sets.set(rest, [...sets.get(rest) || [], point]);
    }
    for (const own of sets.values()) {
      const known = own.filter(point => value(point)[0] !== null).sort((a, b) => x(a) - x(b));
      if (!known.length) continue;
      const n = byKey === null ? 0 : data.points[known[0]][byKey], hue = `hue-${n % HUES}`;
      const dash = DASHES[Math.floor(n / HUES) % 4];
      if (numbers || byKey !== key)
        parts.push(make("path", {d: `M${known.map(p => `${x(p).toFixed(1)} ${y(value(p)[0]).toFixed(1)}`).join("L")}`,
          class: `${byKey === null ? "seed" : "mean"} ${hue}`, "stroke-dasharray": dash}));
      for (const point of known) {
        const [mean, under, over] = value(point);
        if (under !== null) parts.push(make("line", {x1: x(point), x2: x(point), y1: y(under), y2: y(over), class: `whisker ${hue}`}));
        parts.push(telling(make("circle", {cx: x(point), cy: y(mean), r: 4.5, class: `dot ${hue}`}), point));
      }
    }
    const room = (width - left - right) / axis.levels.length;
    const every = Math.ceil(Math.max(...axis.levels.map(words => Math.min(words.length, 14))) * 7 / room);
    axis.levels.forEach((words, n) => {
      const at = numbers ? left + (most > least ? (numbers[n] - least) / (most - least) : 0.5) * (width - left - right)
        : left + (n + 0.5) * room;
      if (n % every === 0)
        parts.push(text(Math.min(at, width - 4), base + 16, cut(words, 14), numbers && at > width - 24 ? "end" : "middle"));
    });
    parts.push(text(width - right, height - 6, axis.name, "end", "title"));
    return panel(title, width, height, ...parts);
  }

  function keys(number) {
    const key = data.keys[number];
    return html("ul", "keys", ...key.levels.map((words, n) => html("li", "",
      html("span", `swatch hue-${n % HUES}`), `${key.name}: ${words}`)));
  }

  function draw() {
    marks = [];
    const every = data.points.map((_, n) => n), whole = range(every), width = box.clientWidth;
    const two = data.keys.length > 1, kind = view.value;
    const shown = kind === "effect" ? [] : [0, 1].slice(0, data.keys.length);
    const found = kind === "effect" ? data.keys.map((key, n) => [n, every]) : [...panels(shown)];
    const few = found.slice(0, MOST_PANELS), columns = Math.min(few.length, width < 640 ? 1 : width < 960 ? 2 : 3);
    const each = Math.min(columns === 1 ? 760 : Infinity, Math.floor((width - (columns - 1) * 16) / columns));
    const drawn = few.map(([title, points]) => {
      if (kind === "map") return map(points, title, whole, each);
      if (kind === "lines") return lines(points, title, whole, each, 0, two ? 1 : 0);
      return lines(points, data.keys[title].name, whole, each, title, null);
    });
    stage.replaceChildren(...kind === "lines" && two ? [keys(1)] : [], html("div", "row", ...drawn));
    const idle = data.idle[figure.value], notes = [];
    if (idle.length) notes.push(`${idle.join(" and ")} ${idle.length > 1 ? "have" : "has"} no effect on it at any point.`);
    if (found.length > few.length) notes.push(`The first ${few.length} of ${found.length} settings of the other keys.`);
    if (charted && data.lines.some(line => line !== null)) notes.push(`Pick a ${kind === "map" ? "field" : "dot"} for its curves.`);
    if (kind === "effect" && data.keys.length > 1) notes.push("Each line joins points that differ in one key alone.");
    note.textContent = notes.join(" ");
    note.hidden = !notes.length;
    tip.hidden = true;
  }

  box.classList.add("scripted");
  box.querySelector(".live").hidden = false;
  for (const pick of [figure, view]) pick.addEventListener("change", draw);
  let before = 0;
  new ResizeObserver(() => { if (box.clientWidth !== before) { before = box.clientWidth; draw(); } }).observe(box);
}
