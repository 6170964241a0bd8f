// The zoomable timeline: bars in lanes on a canvas, out of the JSON beside it.
for (const box of document.querySelectorAll(".timeline")) {
  const data = JSON.parse(box.querySelector(".data").textContent);
  const canvas = box.querySelector("canvas"), pen = canvas.getContext("2d");
  const tip = box.querySelector(".tip"), range = box.querySelector(".range");
  const CLUSTER = 22, DEVICE = 14, AXIS = 30, WHOLE = data.end_s || 1, LEAST = Math.min(1, WHOLE);
  const kinds = Object.keys(data.kinds);
  // Where in a lane's height a kind of bar lies: transfers stand over training, served in view.
  const PLACE = {view: [0.15, 0.85], served: [0.3, 0.7], training: [0.1, 0.9],
    uplink: [0.1, 0.5], downlink: [0.5, 0.9], sidelink: [0.3, 0.7], isl: [0.3, 0.7]};
  let from = 0, to = WHOLE, width = 0, gutter = 0, asked = false, colours = {};
  const begins = summed(data.bars.begin), lengths = unpacked(data.bars.length);
  const says = summed(data.bars.says), counts = data.bars.count && unpacked(data.bars.count);
  let top = 0, first = 0;
  for (const lane of data.lanes) {
    lane.top = top;
    lane.height = lane.level ? DEVICE : CLUSTER;
    top += lane.height;
    for (const kind of kinds.filter(one => lane.bars[one])) {
      const last = first + lane.bars[kind];
      const begin = Float64Array.from(begins.slice(first, last), n => n * data.unit_s);
      const end = begin.map((at, i) => at + lengths[first + i] * data.unit_s);
      const longest = end.reduce((most, at, i) => Math.max(most, at - begin[i]), 0);
      lane.bars[kind] = {begin, end, longest, says: says.slice(first, last),
        count: counts && counts.slice(first, last)};
      first = last;
    }
  }
  const height = top + AXIS;

  box.classList.add("scripted");
  box.querySelector(".live").hidden = false;

  const x = time => gutter + (time - from) / (to - from) * (width - gutter);
  const time = px => from + (px - gutter) / (width - gutter) * (to - from);

  function redraw() {
    if (!asked) requestAnimationFrame(() => { asked = false; draw(); });
    asked = true;
  }

  function measure() {
    const style = getComputedStyle(box), scale = window.devicePixelRatio || 1;
    for (const name of [...kinds, "ink", "faint", "paper"])
      colours[name] = style.getPropertyValue("--" + name).trim();
    width = canvas.parentElement.clientWidth;
    gutter = Math.min(120, width * 0.26);
    canvas.style.height = height + "px";
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    redraw();
  }

  // First bar that can reach beyond `when`: bars are in order of their begin.
  function firstAfter(bars, when) {
    let low = 0, high = bars.begin.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (bars.begin[middle] < when) low = middle + 1; else high = middle;
    }
    return low;
  }

  function drawBars(lane, kind, bars) {
    const [over, under] = PLACE[kind], y = lane.top + over * lane.height;
    const tall = (under - over) * lane.height;
    pen.fillStyle = colours[kind];
    let left = -1, right = -1;
    for (let i = firstAfter(bars, from - bars.longest); i < bars.begin.length; i++) {
      if (bars.begin[i] > to) break;
      if (bars.end[i] < from) continue;
      const a = Math.max(gutter, x(bars.begin[i])), b = Math.max(a + 1, Math.min(width, x(bars.end[i])));
      if (a > right + 0.5) {
        if (right > left) pen.fillRect(left, y, right - left, tall);
        left = a;
        right = b;
      } else right = Math.max(right, b); // less than a pixel between them: one bar
    }
    if (right > left) pen.fillRect(left, y, right - left, tall);
  }

  function draw() {
    pen.clearRect(0, 0, width, height);
    pen.font = "12px system-ui, sans-serif";
    drawAxis();
    for (const lane of data.lanes) {
      pen.fillStyle = colours.faint;
      if (!lane.level) pen.fillRect(0, lane.top, width, 1);
      for (const kind of kinds) if (lane.bars[kind]) drawBars(lane, kind, lane.bars[kind]);
      pen.fillStyle = colours.ink;
      pen.textAlign = "left";
      pen.textBaseline = "middle";
      pen.font = lane.level ? "11px system-ui, sans-serif" : "600 12px system-ui, sans-serif";
      const indent = lane.level ? 10 : 0, middle = lane.top + lane.height / 2;
      pen.fillText(cut(lane.name, gutter - indent - 6), indent, middle);
    }
    range.textContent = `${clock(from)} to ${clock(to)}, from ${utc(from)}`;
    box.dataset.from = from;
    box.dataset.to = to;
  }

  function cut(text, room) {
    if (pen.measureText(text).width <= room) return text;
    // In the middle: names of satellites differ at their ends.
    let kept = text.length, short = text;
    while (kept && pen.measureText(short).width > room) {
      kept -= 1;
      short = text.slice(0, Math.floor(kept / 2)) + "…" + text.slice(text.length - Math.ceil(kept / 2));
    }
    return short;
  }

  const STEPS = [0.01, 0.1, 1, 5, 10, 30, 60, 300, 600, 1800, 3600, 7200, 21600, 43200, 86400,
    172800, 432000, 864000, 2592000, 8640000];

  function drawAxis() {
    const wanted = (to - from) * 90 / (width - gutter);
    const step = STEPS.find(s => s >= wanted) || STEPS[STEPS.length - 1];
    pen.font = "11px system-ui, sans-serif";
    pen.textAlign = "center";
    pen.textBaseline = "top";
    for (let n = Math.ceil(from / step); n * step <= to; n++) {
      const at = x(n * step);
      pen.fillStyle = colours.faint;
      pen.fillRect(at, 0, 1, top);
      pen.fillStyle = colours.ink;
      const text = clock(n * step, step), half = pen.measureText(text).width / 2;
      if (at - half >= 0) pen.fillText(text, Math.min(at, width - half), top + 8);
    }
  }

  const utc = seconds => new Date(Date.parse(data.start_utc) + seconds * 1000)
    .toISOString().slice(0, 19).replace("T", " ") + " UTC";

  // Days of simulation, and the time of day as far as `step` needs it.
  function clock(seconds, step = (to - from) / 50) {
    const days = Math.floor(seconds / 86400 + 1e-9), rest = Math.max(0, seconds - days * 86400);
    if (step >= 86400) return `day ${days}`;
    const decimals = step < 0.1 ? 2 : step < 1 ? 1 : 0;
    const whole = Number(rest.toFixed(decimals));
    const two = n => String(n).padStart(2, "0");
    const minutes = `${two(Math.floor(whole / 3600))}:${two(Math.floor(whole / 60) % 60)}`;
    const part = (whole % 60).toFixed(decimals).padStart(decimals ? decimals + 3 : 2, "0");
    const day = WHOLE >= 86400 ? `day ${days} ` : "";
    return day + (step < 60 ? `${minutes}:${part}` : minutes);
  }

  function show(left, span) {
    span = Math.min(WHOLE, Math.max(LEAST, span));
    from = Math.min(Math.max(0, left), WHOLE - span);
    to = from + span;
    tip.hidden = true;
    redraw();
  }

  function zoom(factor, around = (from + to) / 2) {
    const span = Math.min(WHOLE, Math.max(LEAST, (to - from) * factor));
    show(around - (around - from) * span / (to - from), span);
  }

  const move = share => show(from + share * (to - from), to - from);
  const acts = {in: () => zoom(0.5), out: () => zoom(2), left: () => move(-0.5),
    right: () => move(0.5), all: () => show(0, WHOLE)};
  for (const button of box.querySelectorAll("button"))
    button.addEventListener("click", acts[button.dataset.do]);

  // The wheel alone is the page's; a pinch on a touchpad comes as one with Ctrl.
  canvas.addEventListener("wheel", event => {
    if (!event.ctrlKey) return;
    event.preventDefault();
    if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) move(event.deltaX / width);
    else zoom(Math.pow(1.002, event.deltaY), time(Math.max(gutter, event.offsetX)));
  }, {passive: false});

  canvas.addEventListener("keydown", event => {
    const keys = {"+": "in", "=": "in", "-": "out", ArrowLeft: "left", ArrowRight: "right",
      "0": "all", Home: "all"};
    if (!(event.key in keys) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    acts[keys[event.key]]();
  });

  // One pointer moves, two pinch.
  const held = new Map();
  canvas.addEventListener("pointerdown", event => {
    canvas.setPointerCapture(event.pointerId);
    held.set(event.pointerId, event.offsetX);
  });
  for (const name of ["pointerup", "pointercancel"])
    canvas.addEventListener(name, event => held.delete(event.pointerId));
  canvas.addEventListener("pointermove", event => {
    const before = held.get(event.pointerId);
    if (before === undefined) return say(event);
    const others = [...held].filter(([id]) => id !== event.pointerId);
    if (!others.length) show(from - (event.offsetX - before) / (width - gutter) * (to - from), to - from);
    else {
      const other = others[0][1], now = Math.max(8, Math.abs(event.offsetX - other));
      zoom(Math.max(8, Math.abs(before - other)) / now, time(other));
    }
    held.set(event.pointerId, event.offsetX);
  });
  canvas.addEventListener("pointerleave", () => { tip.hidden = true; });

  function say(event) {
    const lane = data.lanes.find(l => event.offsetY >= l.top && event.offsetY < l.top + l.height);
    const lines = lane && event.offsetX >= gutter ? found(lane, event) : [];
    tip.hidden = !lines.length;
    if (tip.hidden) return;
    tip.replaceChildren(...lines.map(text => {
      const line = document.createElement("div");
      line.textContent = text;
      return line;
    }));
    tip.style.left = `${Math.max(0, Math.min(event.offsetX + 12, width - tip.offsetWidth))}px`;
    tip.style.top = `${lane.top + lane.height + 4}px`;
  }

  function found(lane, event) {
    const reach = (to - from) / (width - gutter) * 1.5, at = time(event.offsetX), lines = [];
    for (const kind of kinds.slice().reverse()) {
      const bars = lane.bars[kind];
      if (!bars) continue;
      const hits = [];
      for (let i = firstAfter(bars, at - reach - bars.longest); i < bars.begin.length; i++) {
        if (bars.begin[i] > at + reach) break;
        if (bars.end[i] >= at - reach) hits.push(i);
      }
      if (hits.length) lines.push(about(kind, bars, hits));
    }
    return lines.length ? [lane.name, ...lines] : [];
  }

  function about(kind, bars, hits) {
    const count = hits.reduce((sum, i) => sum + (bars.count ? bars.count[i] : 1), 0);
    const begin = bars.begin[hits[0]], end = Math.max(...hits.map(i => bars.end[i]));
    const said = data.words[bars.says[hits[0]]];
    const what = count > 1 ? `${count} times` : said;
    return `${data.kinds[kind]}${what ? ": " + what : ""}, ${clock(begin, 1)} for ${lasting(end - begin)}`;
  }

  function lasting(seconds) {
    if (seconds >= 5400) return `${(seconds / 3600).toFixed(1)} h`;
    if (seconds >= 90) return `${(seconds / 60).toFixed(1)} min`;
    return seconds >= 0.995 ? `${seconds.toFixed(1)} s` : `${Math.round(seconds * 1000)} ms`;
  }

  new ResizeObserver(measure).observe(canvas.parentElement);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", measure);
  measure();
}
