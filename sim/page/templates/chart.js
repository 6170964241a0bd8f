"use strict";
// The chart: curves of groups of runs in steps, each with its band (the range of its seeds, or the
// 95 % interval), out of the JSON beside it. Values are those that Python has computed; here they are only looked up and drawn.
for (const box of document.querySelectorAll(".curves")) {
  const data = JSON.parse(box.querySelector(".data").textContent);
  const plot = box.querySelector(".plot"), svg = plot.querySelector("svg");
  const tip = box.querySelector(".tip"), reset = box.querySelector("[data-do=all]");
  const LABEL_PX = 14, LETTER_PX = 6.6, DESKTOP_PX = 700, DASHES = ["", "7 3", "2 3", "9 3 2 3"];
  const MOST_BANDS = 4; // of more lines a band shows where the line is pointed at; as in chart.py
  const state = {measure: "", over: "", part: "", target: data.target, from: 0, to: 1, at: null,
    hidden: new Set(), near: null, drag: null};
  const every = box.querySelector("[data-do=lines]");
  let view, frame, room, asked = false;

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

  // -- numbers as text

  function bytes(value) {
    const units = [["TB", 1e12], ["GB", 1e9], ["MB", 1e6], ["kB", 1e3]];
    const [unit, scale] = units.find(([, least]) => Math.abs(value) >= least) || ["B", 1];
    return `${(value / scale).toFixed(scale > 1 ? 2 : 0)} ${unit}`;
  }
  const count = value => Number.isInteger(value) ? String(value) : value.toFixed(1);
  const FORMS = {share: value => value.toFixed(3), number: value => value.toFixed(2), count, bytes};
  const written = value => FORMS[data.measures[state.measure].form](value);
  const place = x => state.over === "cycle" ? `cycle ${Math.floor(x)}` : `${data.unit} ${x.toFixed(2)}`;

  // Round numbers between two ends, about `wanted` of them; bytes come in steps of their unit too.
  function ticks(low, high, wanted) {
    const raw = (high - low) / wanted, power = 10 ** Math.floor(Math.log10(raw));
    const step = [1, 2, 5, 10].map(n => n * power).find(s => s >= raw * 0.999);
    const found = [];
    for (let n = Math.ceil(low / step - 1e-9); n * step <= high + step * 1e-9; n++) found.push(n * step);
    return {found, digits: Math.max(0, -Math.floor(Math.log10(step) + 1e-9))};
  }

  // -- what is shown

  const shown = () => view.curves.filter(curve => !state.hidden.has(curve.line));
  const line = curve => data.lines[curve.line];
  const of = (column, i) => Array.isArray(column) ? column[i] : column;

  // The step that holds at x; -1 before the first one.
  function stepAt(curve, x) {
    let low = 0, high = curve.x.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (curve.x[middle] <= x) low = middle + 1; else high = middle;
    }
    return low - 1;
  }

  function choose() {
    const fits = one => one.measure === state.measure;
    const over = data.views.filter(fits);
    if (!over.some(one => one.over === state.over)) state.over = over[0].over;
    const parts = over.filter(one => one.over === state.over);
    if (!parts.some(one => one.part === state.part)) state.part = parts[0].part;
    const before = view;
    view = parts.find(one => one.part === state.part);
    if (!before || before.over !== view.over) whole();
    for (const input of box.querySelectorAll("[data-pick]")) {
      const pick = input.dataset.pick, is = value => data.views.some(one => one[pick] === value
        && (pick === "measure" || fits(one) && (pick === "over" || one.over === state.over)));
      if (input.type === "radio") {
        input.checked = input.value === state[pick];
        input.parentElement.hidden = !is(input.value);
      }
      if (pick === "part") {
        input.value = state.part;
        input.parentElement.hidden = parts.length < 2;
      }
      if (pick === "target") input.parentElement.hidden = !targeted();
    }
    const fields = box.querySelectorAll("fieldset");
    for (const field of fields)
      field.hidden = [...field.querySelectorAll("label")].filter(label => !label.hidden).length < 2;
    listKeys();
    draw();
  }

  function listKeys() {
    for (const key of box.querySelectorAll(".key")) {
      const number = Number(key.dataset.line);
      key.setAttribute("aria-pressed", String(!state.hidden.has(number)));
      key.parentElement.hidden = view.curves.length < 2
        || !view.curves.some(curve => curve.line === number);
    }
  }

  every.addEventListener("click", () => {
    state.hidden.clear();
    every.hidden = true;
    choose();
    plot.focus();
  });

  const targeted = () => state.measure === "accuracy" && data.target !== null;
  const end = () => Math.max(...view.curves.map(curve => curve.end)) || 1;

  function whole() {
    state.from = 0;
    state.to = end();
    state.at = null;
    tip.hidden = true;
  }

  function show(from, to) {
    const all = end(), span = Math.min(all, Math.max(all / 2000, to - from));
    state.from = Math.min(Math.max(0, from), all - span);
    state.to = state.from + span;
    redraw();
  }

  function redraw() {
    if (!asked) requestAnimationFrame(() => { asked = false; draw(); });
    asked = true;
  }

  // -- drawing

  // Least and greatest value in sight. A band of few seeds may reach far: what is beyond a share of
  // the lines' own range is cut off.
  function range() {
    let low = Infinity, high = -Infinity, under = Infinity, over = -Infinity;
    const see = value => { low = Math.min(low, value); high = Math.max(high, value); };
    for (const curve of shown()) {
      const first = Math.max(0, stepAt(curve, state.from));
      for (let i = first; i < curve.x.length && curve.x[i] <= state.to; i++) {
        see(curve.mean[i]);
        if (curve.low && curve.low[i] !== null) {
          under = Math.min(under, curve.low[i]);
          over = Math.max(over, curve.high[i]);
        }
      }
      for (const own of curve.each || []) {
        const begin = Math.max(0, stepAt(own, state.from));
        for (let i = begin; i < own.x.length && own.x[i] <= state.to; i++) see(own.values[i]);
      }
    }
    if (low > high) [low, high] = [0, 1];
    if (["count", "bytes"].includes(data.measures[state.measure].form)) low = Math.min(0, low);
    const span = high - low || Math.abs(high) * 0.1 || 1;
    return [Math.max(low - 0.4 * span, Math.min(low - 0.06 * span, under), low < 0 ? -Infinity : 0),
      Math.min(high + 0.4 * span, Math.max(high + 0.06 * span, over))];
  }

  function layout() {
    const width = plot.clientWidth, desktop = width >= DESKTOP_PX, height = desktop ? 400 : 300;
    const labelled = desktop && view.curves.length > 1;
    const longest = Math.max(...view.curves.map(curve => line(curve).label.length));
    const right = labelled ? Math.min(longest * LETTER_PX + 20, 0.3 * width) : 14;
    room = {width, height, left: 54, right, top: 26, bottom: 40, labelled};
    const [low, high] = range();
    const across = width - room.left - room.right, up = height - room.top - room.bottom;
    frame = {
      low, high,
      x: value => room.left + (value - state.from) / (state.to - state.from) * across,
      y: value => room.top + (high - value) / (high - low) * up,
      back: px => state.from + (px - room.left) / across * (state.to - state.from),
    };
  }

  // A path that keeps each value until the next one, of what is in sight.
  function path(x, values, last) {
    const first = Math.max(0, stepAt({x}, state.from));
    let d = "", y = null;
    for (let i = first; i < x.length && x[i] <= state.to; i++) {
      if (values[i] === null) continue;
      const at = frame.x(Math.max(x[i], state.from)).toFixed(1);
      d += y === null ? `M${at} ` : `H${at}V`;
      y = frame.y(values[i]).toFixed(1);
      d += y;
    }
    return y === null ? "" : `${d}H${frame.x(Math.min(last, state.to)).toFixed(1)}`;
  }

  function bandPath(curve, last) {
    const first = Math.max(0, stepAt(curve, state.from)), over = [], under = [];
    for (let i = first; i < curve.x.length && curve.x[i] <= state.to; i++) {
      if (curve.low[i] === null) continue;
      const next = i + 1 < curve.x.length ? curve.x[i + 1] : last;
      const a = frame.x(Math.max(curve.x[i], state.from)), b = frame.x(Math.min(next, state.to));
      const high = frame.y(curve.high[i]).toFixed(1), low = frame.y(curve.low[i]).toFixed(1);
      over.push(`${a.toFixed(1)} ${high} ${b.toFixed(1)} ${high}`);
      under.unshift(`${b.toFixed(1)} ${low} ${a.toFixed(1)} ${low}`);
    }
    return over.length ? `M${over.join(" ")} ${under.join(" ")}Z` : "";
  }

  function draw() {
    if (!plot.clientWidth) return; // in a frame that has no place on the screen yet
    layout();
    svg.setAttribute("viewBox", `0 0 ${room.width} ${room.height}`);
    svg.setAttribute("height", room.height);
    const inner = {x: room.left, y: room.top, width: room.width - room.left - room.right,
      height: room.height - room.top - room.bottom};
    const id = `${box.id}-inside`;
    svg.replaceChildren(make("clipPath", {id}, make("rect", inner)), ...axes());
    const inside = make("g", {"clip-path": `url(#${id})`});
    svg.append(inside);
    const curves = shown(), few = curves.length <= MOST_BANDS;
    for (const curve of curves) {
      const near = state.near === curve.line;
      if (curve.low && (few || near))
        inside.append(make("path", {d: bandPath(curve, curve.end), class: `band hue-${line(curve).hue}`}));
    }
    if (targeted() && state.target) inside.append(targetLine());
    for (const curve of curves) for (const own of few || state.near === curve.line ? curve.each || [] : [])
      inside.append(make("path", {d: path(own.x, own.values, own.end), class: `seed hue-${line(curve).hue}`}));
    for (const curve of curves) inside.append(make("path", {
      d: path(curve.x, curve.mean, curve.end), "stroke-dasharray": DASHES[line(curve).dash % 4],
      class: `mean hue-${line(curve).hue}${state.near !== null && state.near !== curve.line ? " far" : ""}`}));
    // As the end of a step the last value has no width.
    for (const curve of curves) {
      const x = curve.x[curve.x.length - 1], y = curve.mean[curve.x.length - 1];
      if (x >= state.from && x <= state.to && Number.isFinite(y)) svg.append(make("circle", {
        cx: frame.x(x), cy: frame.y(y), r: 3, class: `here hue-${line(curve).hue}`}));
    }
    if (targeted() && state.target) svg.append(...targetDots());
    if (room.labelled) svg.append(...labels(curves));
    svg.append(make("g", {class: "cursor"}));
    cursor();
    reset.hidden = state.from <= 0 && state.to >= end();
    Object.assign(box.dataset, {from: state.from, to: state.to});
  }

  function axes() {
    const parts = [], {width, height, left, right, top, bottom} = room;
    const scale = data.measures[state.measure].form === "bytes" ? bytesScale(frame.high) : ["", 1];
    const up = ticks(frame.low / scale[1], frame.high / scale[1], room.height / 55);
    for (const value of up.found) {
      const y = frame.y(value * scale[1]);
      parts.push(make("line", {x1: left, x2: width - right, y1: y, y2: y, class: "grid"}));
      parts.push(make("text", {x: left - 8, y: y + 4, "text-anchor": "end"}, value.toFixed(up.digits)));
    }
    const across = ticks(state.from, state.to, Math.min(12, (width - left - right) / 62));
    for (const value of across.found) {
      const x = frame.x(value);
      parts.push(make("line", {x1: x, x2: x, y1: height - bottom, y2: height - bottom + 5, class: "edge"}));
      parts.push(make("text", {x, y: height - bottom + 18, "text-anchor": "middle"}, value.toFixed(across.digits)));
    }
    const base = height - bottom;
    parts.push(make("line", {x1: left, x2: width - right, y1: base, y2: base, class: "edge"}));
    const unit = scale[0] ? ` (${scale[0]})` : "";
    parts.push(make("text", {x: 4, y: 14, class: "title"}, data.measures[state.measure].name + unit));
    parts.push(make("text", {x: width - right, y: height - 6, "text-anchor": "end", class: "title"},
      data.over[state.over]));
    return parts;
  }

  const bytesScale = high => [["TB", 1e12], ["GB", 1e9], ["MB", 1e6], ["kB", 1e3]]
    .find(([, least]) => high >= least) || ["B", 1];

  function targetLine() {
    const y = frame.y(data.targets[state.target].value);
    return make("line", {x1: room.left, x2: room.width - room.right, y1: y, y2: y, class: "target"});
  }

  // One dot for each seed, where it first reached the target; those of one place stand on each other,
  // closer where there are many, so that none leaves the picture.
  function targetDots() {
    const goal = data.targets[state.target], y = frame.y(goal.value), piles = [];
    if (y < room.top || y > room.height - room.bottom || state.part !== "all") return [];
    for (const [number, x] of goal[state.over]) {
      if (state.hidden.has(number) || x < state.from || x > state.to) continue;
      const cx = frame.x(x), dot = {cx, x, line: data.lines[number]};
      const pile = piles.find(one => Math.abs(one[0].cx - cx) < 6);
      if (pile) pile.push(dot); else piles.push([dot]);
    }
    return piles.flatMap(pile => {
      const apart = Math.min(9, (y - room.top - 5) / Math.max(1, pile.length - 1));
      return pile.map(({cx, x, line}, below) => {
        const dot = make("circle", {cx, cy: y - apart * below, r: 4.5, class: `dot hue-${line.hue}`});
        dot.append(make("title", {}, `${line.label}: ${state.target} at ${place(x)}`));
        return dot;
      });
    });
  }

  // Names at the ends of the lines, moved apart where they would cover each other.
  function labels(curves) {
    const found = [];
    for (const curve of curves) {
      const i = stepAt(curve, state.to);
      if (i >= 0) found.push({curve, y: frame.y(curve.mean[i]), value: curve.mean[i]});
    }
    found.sort((one, other) => one.y - other.y);
    const low = room.top + 4, high = room.height - room.bottom;
    for (let i = 0; i < found.length; i++)
      found[i].at = Math.max(found[i].y, i ? found[i - 1].at + LABEL_PX : low);
    for (let i = found.length - 1; i >= 0; i--)
      found[i].at = Math.min(found[i].at, i + 1 < found.length ? found[i + 1].at - LABEL_PX : high);
    const x = room.width - room.right;
    return found.flatMap(({curve, y, at}) => [
      make("path", {d: `M${x} ${Math.min(Math.max(y, low), high).toFixed(1)}L${x + 9} ${at.toFixed(1)}`,
        class: `leader hue-${line(curve).hue}`}),
      make("text", {x: x + 13, y: at + 4, class: "label"},
        cut(line(curve).label, Math.floor((room.right - 16) / LETTER_PX))),
    ]);
  }

  const cut = (text, most) => text.length <= most ? text
    : `${text.slice(0, Math.ceil(most / 2) - 1)}…${text.slice(-Math.floor(most / 2))}`;

  // -- the cursor, and what it says

  function cursor() {
    const marks = svg.querySelector(".cursor");
    marks.replaceChildren();
    if (state.drag) {
      const [a, b] = [state.drag.from, state.drag.to].sort((one, other) => one - other);
      marks.append(make("rect", {x: a, y: room.top, width: b - a,
        height: room.height - room.top - room.bottom, class: "zone"}));
    }
    if (state.at === null || state.at < state.from || state.at > state.to) {
      tip.hidden = true;
      return;
    }
    const x = frame.x(state.at);
    marks.append(make("line", {x1: x, x2: x, y1: room.top, y2: room.height - room.bottom, class: "now"}));
    const rows = [];
    for (const curve of shown()) {
      const i = state.at <= curve.end ? stepAt(curve, state.at) : curve.x.length - 1;
      if (i < 0) continue;
      const y = frame.y(curve.mean[i]);
      if (y >= room.top && y <= room.height - room.bottom)
        marks.append(make("circle", {cx: x, cy: y, r: 3.5, class: `here hue-${line(curve).hue}`}));
      rows.push({curve, i, value: curve.mean[i]});
    }
    rows.sort((one, other) => other.value - one.value);
    say(rows, x);
  }

  function say(rows, x) {
    const several = rows.some(({curve, i}) => of(curve.seeds, i) > 1);
    const said = rows.map(({curve, i, value}) => {
      const band = curve.low && curve.low[i] !== null;
      const seeds = of(curve.seeds, i), ended = of(curve.ended, i);
      return {curve, name: line(curve).label, mean: written(value), word: curve.band,
        band: band ? `${written(curve.low[i])} to ${written(curve.high[i])}` : "",
        seeds: several ? `${seeds}${ended ? ` (${ended} ended)` : ""}` : ""};
    });
    const bands = [...new Set(said.filter(one => one.band).map(one => one.word))].join(" or ");
    const heads = ["", several ? "mean" : "", ...bands ? [bands] : [], ...several ? ["n"] : []];
    const table = html("table", "");
    if (several) table.append(html("tr", "", ...heads.map(head => html("th", "", head))));
    for (const one of said) {
      const cells = [one.mean, ...bands ? [one.band] : [], ...several ? [one.seeds] : []];
      const swatch = html("i", `swatch hue-${line(one.curve).hue}`);
      table.append(html("tr", one.curve.line === state.near ? "near" : "",
        html("th", "", swatch, cut(one.name, 40)), ...cells.map(cell => html("td", "", cell))));
    }
    tip.replaceChildren(html("b", "", place(state.at)), table);
    tip.hidden = false;
    const left = x + 14 + tip.offsetWidth <= room.width ? x + 14 : Math.max(0, x - 14 - tip.offsetWidth);
    tip.style.left = `${left}px`;
    tip.style.top = `${room.top + 6}px`;
    const spoken = said.map(one => [one.name, one.mean, one.band && `${one.word}: ${one.band}`,
      one.seeds && `n ${one.seeds}`].filter(Boolean).join(", "));
    plot.setAttribute("aria-valuenow", state.at.toFixed(3));
    plot.setAttribute("aria-valuemax", end().toFixed(3));
    plot.setAttribute("aria-valuetext", [place(state.at), ...spoken].join("; "));
  }

  // -- pointer and keys

  const inside = event => {
    const box = plot.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  const kept = px => Math.min(Math.max(px, room.left), room.width - room.right);

  plot.addEventListener("pointermove", event => {
    const [px, py] = inside(event);
    if (state.drag) state.drag.to = kept(px);
    state.at = px >= room.left - 4 && px <= room.width - room.right + 4 ? frame.back(kept(px)) : null;
    point(px, py);
  });

  // The line next to the pointer stands out where there are several.
  function point(px, py) {
    let near = null, least = 24;
    for (const curve of shown()) {
      const i = state.at === null ? -1 : stepAt(curve, state.at);
      const away = i < 0 ? Infinity : Math.abs(frame.y(curve.mean[i]) - py);
      if (away < least) [near, least] = [curve.line, away];
    }
    if (view.curves.length < 2) near = null;
    if (near !== state.near) {
      state.near = near;
      draw();
    } else cursor();
  }

  plot.addEventListener("pointerleave", () => {
    if (state.drag) return;
    state.at = state.near = null;
    redraw();
  });
  plot.addEventListener("pointerdown", event => {
    const [px] = inside(event);
    if (event.button || px < room.left || px > room.width - room.right) return;
    plot.setPointerCapture(event.pointerId);
    state.drag = {from: px, to: px};
  });
  plot.addEventListener("pointerup", () => {
    const drag = state.drag;
    state.drag = null;
    if (!drag) return;
    const [a, b] = [drag.from, drag.to].sort((one, other) => one - other);
    if (b - a > 6) show(frame.back(a), frame.back(b)); else redraw();
  });
  plot.addEventListener("pointercancel", () => { state.drag = null; redraw(); });
  const all = () => { const at = state.at; whole(); state.at = at; redraw(); };
  plot.addEventListener("dblclick", all);
  reset.addEventListener("click", () => { all(); plot.focus(); });

  // The next evaluation of a curve in sight, but no closer than a pixel.
  function beside(at, way) {
    const least = (state.to - state.from) / 300;
    let found = way > 0 ? end() : 0;
    for (const curve of shown()) for (const x of curve.x)
      if (way > 0 ? x >= at + least && x < found : x <= at - least && x > found) found = x;
    return found;
  }

  function zoom(factor) {
    const around = state.at === null ? (state.from + state.to) / 2 : state.at;
    show(around - (around - state.from) * factor, around + (state.to - around) * factor);
  }

  const acts = {
    ArrowLeft: () => go(beside(state.at === null ? state.to : state.at, -1)),
    ArrowRight: () => go(beside(state.at === null ? state.from : state.at, 1)),
    Home: () => go(0), End: () => go(end()), "0": all, Escape: () => { state.at = null; redraw(); },
    "+": () => zoom(0.5), "=": () => zoom(0.5), "-": () => zoom(2),
  };

  function go(at) {
    state.at = at;
    const span = state.to - state.from;
    if (at < state.from) show(at, at + span);
    else if (at > state.to) show(at - span, at);
    else cursor();
  }

  plot.addEventListener("keydown", event => {
    if (!(event.key in acts) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    acts[event.key]();
  });

  // -- what can be chosen

  for (const input of box.querySelectorAll("[data-pick]"))
    input.addEventListener("change", () => { state[input.dataset.pick] = input.value; choose(); });
  for (const key of box.querySelectorAll(".key")) {
    const number = Number(key.dataset.line);
    key.addEventListener("click", () => {
      if (!state.hidden.delete(number)) state.hidden.add(number);
      every.hidden = !state.hidden.size;
      listKeys();
      redraw();
    });
    for (const name of ["pointerenter", "focus"])
      key.addEventListener(name, () => { state.near = number; redraw(); });
    for (const name of ["pointerleave", "blur"])
      key.addEventListener(name, () => { state.near = null; redraw(); });
  }

  box.classList.add("scripted");
  box.querySelector(".live").hidden = false;
  Object.assign(state, {measure: data.views[0].measure, over: data.views[0].over, part: data.views[0].part});
  choose();
  new ResizeObserver(redraw).observe(plot);
}
