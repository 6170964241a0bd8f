// Replay: one clock for the stage, the curves, the lanes and the numbers.
const PACES = [["tour", "slow in contacts"], [60, "1 minute a second"], [600, "10 minutes a second"], [3600, "1 hour a second"], [21600, "6 hours a second"]];
const IN_CONTACT_S = 4, BETWEEN_S = 1.3, MOST_LANES = 24, STEP_S = 60, MONTHS = "January February March April May June July August September October November December".split(" ");
const WORDS = {uplink: "up", downlink: "down", isl: "between satellites", sidelink: "between devices"};

// First place in rising numbers that is above a value.
function above(numbers, value) {
  let low = 0, high = numbers.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (numbers[middle] <= value) low = middle + 1; else high = middle;
  }
  return low;
}

const counted = (number, word) => `${number} ${word}${number === 1 ? "" : "s"}`;

function size(bytes) {
  for (const [unit, scale] of [["TB", 1e12], ["GB", 1e9], ["MB", 1e6], ["kB", 1e3]])
    if (bytes >= scale) return `${(bytes / scale).toFixed(2)} ${unit}`;
  return `${Math.round(bytes)} B`;
}

function cut(pen, text, room) {
  if (pen.measureText(text).width <= room) return text;
  let kept = text.length;
  while (kept && pen.measureText(`${text.slice(0, kept)}…`).width > room) kept--;
  return `${text.slice(0, kept)}…`;
}

// Round numbers between two values.
function ticks(low, high, count) {
  const rough = (high - low) / count, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map(one => one * power).find(one => one >= rough * 0.999), found = [];
  for (let n = Math.ceil(low / step - 1e-9); n * step <= high + step * 1e-9; n++) found.push(n * step);
  return found;
}

// Spans of time in order of their begin; `at` calls back for those that hold a time.
class Spans {
  constructor(begins, ends) {
    Object.assign(this, {begins, ends});
    this.longest = ends.reduce((most, end, i) => Math.max(most, end - begins[i]), 0);
  }

  static of(packed, unit) {
    const begins = summed(packed.begins, unit), lasts = unpacked(packed.lasts);
    return new Spans(begins, begins.map((begin, i) => begin + lasts[i] * unit));
  }

  between(from, to, use) {
    for (let i = above(this.begins, from - this.longest - 1e-9); i < this.begins.length && this.begins[i] <= to; i++)
      if (this.ends[i] > from) use(i);
  }

  at(time, use) {
    this.between(time, time, use);
  }
}

// What is in the page, out of its packed lists.
function opened(data) {
  const unit = data.unit_s, rise = summed(data.contacts.rise, unit), lasts = unpacked(data.contacts.lasts);
  const contacts = new Spans(rise, rise.map((begin, i) => begin + lasts[i] * unit));
  contacts.satellite = unpacked(data.contacts.satellite);
  contacts.place = unpacked(data.contacts.place);
  const pairs = packed => Object.assign(Spans.of(packed, unit), {a: unpacked(packed.a), b: unpacked(packed.b)});
  const runs = data.runs.map(run => {
    const late = unpacked(run.service.late), early = unpacked(run.service.early);
    const bytes = {time: summed(run.bytes.time, unit), ways: {}};
    for (const way of Object.keys(WORDS)) if (way in run.bytes) bytes.ways[way] = summed(run.bytes[way]);
    return {...run, late, early, bytes, hops: pairs(run.hops),
      spans: Object.assign(Spans.of(run.spans, unit), {contact: unpacked(run.spans.contact), toward: unpacked(run.spans.toward)}),
      served: i => late[i] >= 0,
      from: i => rise[i] + late[i] * unit,
      to: i => contacts.ends[i] - early[i] * unit,
      steps: {time: summed(run.accuracy.time, unit), value: summed(run.accuracy.value, 1e-6)},
      aggregations: summed(run.aggregations, unit)};
  });
  return {...data, contacts, runs, links: pairs(data.links)};
}

function median(numbers) {
  return [...numbers].sort((a, b) => a - b)[numbers.length >> 1] || 0;
}

// Spans in which anybody is served, joined where they touch.
function busyOf({contacts, runs, end_s}) {
  const spans = [];
  for (const run of runs)
    run.late.forEach((_, i) => run.served(i) && run.from(i) < end_s && spans.push([run.from(i), Math.min(end_s, run.to(i))]));
  spans.sort((a, b) => a[0] - b[0]);
  const joined = [];
  for (const span of spans) {
    const last = joined[joined.length - 1];
    if (last && span[0] <= last[1]) last[1] = Math.max(last[1], span[1]); else joined.push([...span]);
  }
  return joined;
}

function replay(box) {
  const world = opened(JSON.parse(box.querySelector(".data").textContent));
  const {contacts, runs, places, end_s: END} = world, START = Date.parse(world.start_utc);
  const $ = name => box.querySelector(name), calm = matchMedia("(prefers-reduced-motion: reduce)");
  box.hidden = false;
  const stage = world.land ? new Stage($(".globe"), world) : null;
  const busy = busyOf(world), busyFrom = busy.map(span => span[0]);
  const share = busy.reduce((sum, [from, to]) => sum + to - from, 0) / END;
  const starts = [...new Set(runs.flatMap(run => run.late.flatMap((_, i) => run.served(i) && run.from(i) < END ? [run.from(i)] : [])))].sort((a, b) => a - b);
  const seenEach = contacts.ends.map((end, i) => end - contacts.begins[i]);
  const slow = Math.max(1, median(busy.map(([from, to]) => to - from)) / IN_CONTACT_S);
  const tour = busy.length > 1 && share < 0.5;
  const LANDED_S = Math.min(1, world.unit_s);
  let now = 0, playing = false, pace = tour ? "tour" : 0, beat = 0, before = 0, colours = {}, shape = {};

  // --- Words ---
  const utc = time => {
    const at = new Date(START + time * 1000), two = n => String(n).padStart(2, "0");
    return `${at.getUTCDate()} ${MONTHS[at.getUTCMonth()]} ${at.getUTCFullYear()}, ${two(at.getUTCHours())}:${two(at.getUTCMinutes())}:${two(at.getUTCSeconds())} UTC`;
  };
  function elapsed(time) {
    const whole = Math.floor(time + 1e-6), days = Math.floor(whole / 86400), hours = Math.floor(whole / 3600) % 24, minutes = Math.floor(whole / 60) % 60;
    const parts = END >= 86400 ? [counted(days, "day"), `${hours} h`, `${minutes} min`] : [`${hours} h`, `${minutes} min`, `${whole % 60} s`];
    return `${parts.join(" ")} after the start`;
  }

  // --- What is so at a time ---
  function counter(run, way, time) {
    const {time: times, ways} = run.bytes, i = above(times, time), values = ways[way];
    if (!i) return 0;
    if (i === times.length) return values[i - 1];
    return values[i - 1] + (values[i] - values[i - 1]) * (time - times[i - 1]) / (times[i] - times[i - 1]);
  }
  function accuracy(run, time) {
    const i = above(run.steps.time, time);
    return i ? run.steps.value[i - 1] : null;
  }
  function momentAt(time) {
    const seen = [], serving = [], sending = [], links = [], hops = new Map();
    contacts.at(time, i => {
      const served = runs.some(run => run.served(i) && run.from(i) <= time && time < run.to(i));
      const contact = {number: i, satellite: contacts.satellite[i], place: contacts.place[i], served};
      seen.push(contact);
      if (served) serving.push(contact);
    });
    runs.forEach((run, number) => {
      run.spans.at(time, i => sending.push({run: number, toward: run.spans.toward[i],
        contact: {satellite: contacts.satellite[run.spans.contact[i]], place: contacts.place[run.spans.contact[i]]}}));
      const own = [];
      run.hops.at(time, i => own.push([run.hops.a[i], run.hops.b[i]]));
      hops.set(number, own);
    });
    world.links.at(time, i => links.push([world.links.a[i], world.links.b[i]]));
    return {time, utc: START + time * 1000, seen, serving, sending, links, hops, beat: calm.matches ? 0.5 : beat};
  }

  // --- The camera: turns to who is served, or will be next, and looks from the side ---
  function camera() {
    let number = -1;
    for (const run of runs) contacts.at(now, i => { if (number < 0 && run.served(i) && run.from(i) <= now && now < run.to(i)) number = i; });
    if (number < 0) {
      const from = starts[above(starts, now)];
      number = runs.reduce((found, run) => found >= 0 ? found : run.late.findIndex((_, i) => run.served(i) && run.from(i) === from), -1);
    }
    const place = number < 0 ? null : places[contacts.place[number]];
    if (!place || !place.at) return null;
    const [longitude, latitude] = place.at;
    return [longitude + 0.3, latitude + (latitude > 0 ? -0.62 : 0.62)];
  }
  function turn(share) {
    const target = stage && $(".follow").checked && camera();
    if (!target) return;
    const east = target[0] - stage.longitude;
    stage.look(stage.longitude + (east - TURN * Math.round(east / TURN)) * share, stage.latitude + (target[1] - stage.latitude) * share);
  }

  // --- Drawing ---
  function fit(canvas, height) {
    const scale = window.devicePixelRatio || 1, width = canvas.parentElement.clientWidth, pen = canvas.getContext("2d");
    canvas.style.height = `${height}px`;
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    return {pen, width, height};
  }
  function measure() {
    if (box.clientWidth < 120) return; // on paper, or folded away
    const style = getComputedStyle(box);
    const named = name => style.getPropertyValue(`--${name}`).trim();
    colours = Object.fromEntries(["sea", "land", "coast", "grid", "limb", "air", "night", "circle", "foot", "trail", "beam", "view", "link", "place",
      "satellite", "dark", "halo", "pass", "cursor", "hair", "tint"].map(name => [name, named(name)]));
    Object.assign(colours, {ink: named("ink-on"), quiet: named("quiet-on"), seaNear: named("sea-near"), airEnd: named("air-end"), footLine: named("foot-line"), served: named("pass-served")});
    runs.forEach((run, number) => {
      if (run.hue !== null) run.colour = named(`hue-${run.hue}`);
      labels[number].querySelector(".key").style.background = run.colour;
    });
    if (stage) stage.measure($(".earth").clientWidth, 620, colours);
    shape.race = fit($(".race"), stage && box.clientWidth > 880 && !stage.flat ? 300 : 220);
    shape.whole = fit($(".whole"), Math.min(48, Math.max(14, 5 * Math.min(rows, 9))));
    shape.lanes = fit($(".lanes"), rows * ROW + 24);
    draw();
  }
  function draw() {
    if (!shape.race) return;
    const moment = momentAt(now);
    if (stage) stage.draw(moment);
    drawRace();
    drawWhole();
    drawLanes();
    tell(moment);
  }

  // Places share lanes where they are many.
  const shared = Math.ceil(places.length / MOST_LANES), rows = Math.ceil(places.length / shared) || 1;
  const ROW = rows <= 8 ? 24 : 16, BAR = ROW - 7;
  const lane = i => Math.floor(contacts.place[i] / shared);
  const laneName = row => {
    const first = places[row * shared], last = places[Math.min(places.length, (row + 1) * shared) - 1];
    return first === last ? first.name : `${first.name} to ${last.name}`;
  };

  // Accuracy in steps, as it was measured; of runs without any the bytes that were moved.
  const measured = runs.some(run => run.steps.time.length);
  const curves = runs.map(run => {
    if (measured) return [...run.steps.time].map((time, i) => [time, run.steps.value[i]]);
    return [...run.bytes.time].map((time, i) => [time, Object.values(run.bytes.ways).reduce((sum, way) => sum + way[i], 0)]);
  });
  const every = curves.flat().map(([, value]) => value);
  let least = every.length ? Math.min(...every) : 0, most = every.length ? Math.max(...every) : 1;
  const pad = (most - least || Math.abs(most) || 1) * 0.06;
  least = measured ? least - pad : 0;
  most += pad;
  const DAY = END >= 172800 ? ["days", 86400] : END >= 7200 ? ["hours", 3600] : ["minutes", 60];
  const scale = most >= 1e9 ? ["GB", 1e9] : most >= 1e6 ? ["MB", 1e6] : most >= 1e3 ? ["kB", 1e3] : ["bytes", 1];
  $("figcaption").textContent = measured ? `Accuracy over simulated ${DAY[0]}: a step at each evaluation` : `${scale[0]} moved over simulated ${DAY[0]}, all directions together`;

  function drawRace() {
    const {pen, width, height} = shape.race, left = 40, right = width - 10, top = 8, bottom = height - 20;
    const x = time => left + time / END * (right - left), y = value => bottom - (value - least) / (most - least) * (bottom - top);
    pen.clearRect(0, 0, width, height);
    pen.font = "11px system-ui, sans-serif";
    pen.lineWidth = 1;
    pen.textBaseline = "middle";
    pen.textAlign = "right";
    const unit = measured ? 1 : scale[1], values = ticks(least / unit, most / unit, 4);
    const digits = values.length > 1 ? Math.max(0, Math.min(4, Math.ceil(-Math.log10(values[1] - values[0]) - 1e-9))) : 2;
    for (const value of values) {
      pen.fillStyle = colours.hair;
      pen.fillRect(left, Math.round(y(value * unit)), right - left, 1);
      pen.fillStyle = colours.quiet;
      pen.fillText(value.toFixed(digits), left - 6, y(value * unit));
    }
    pen.textAlign = "center";
    pen.textBaseline = "top";
    for (const value of ticks(0, END / DAY[1], Math.max(3, Math.round((right - left) / 70)))) pen.fillText(String(Number(value.toFixed(3))), x(value * DAY[1]), bottom + 6);
    curves.forEach((points, number) => {
      const run = runs[number], stop = Math.min(now, run.end_s);
      pen.strokeStyle = pen.fillStyle = run.colour;
      pen.lineWidth = 2;
      for (const [alpha, until] of [[0.28, run.end_s], [1, stop]]) {
        pen.globalAlpha = alpha;
        pen.beginPath();
        let last = null;
        for (const [time, value] of points) {
          if (time > until) break;
          if (last === null) pen.moveTo(x(time), y(value));
          else {
            if (measured) pen.lineTo(x(time), y(last));
            pen.lineTo(x(time), y(value));
          }
          last = value;
        }
        if (last !== null && measured) pen.lineTo(x(until), y(last));
        pen.stroke();
      }
      const here = measured ? accuracy(run, stop) : Object.keys(run.bytes.ways).reduce((sum, way) => sum + counter(run, way, stop), 0);
      if (here !== null) {
        pen.beginPath();
        pen.arc(x(stop), y(here), 4, 0, TURN);
        pen.fill();
      }
      // Aggregations as marks below.
      pen.globalAlpha = 0.75;
      for (const time of run.aggregations) if (time <= now) pen.fillRect(x(time), bottom - 3 - 4 * number, 1, 4);
      pen.globalAlpha = 1;
    });
    pen.fillStyle = colours.cursor;
    pen.fillRect(x(now) - 0.75, top, 1.5, bottom - top);
  }

  const EDGE = 8; // half of the slider's thumb
  function drawWhole() {
    const {pen, width, height} = shape.whole, x = time => EDGE + time / END * (width - 2 * EDGE), tall = height / rows;
    pen.clearRect(0, 0, width, height);
    for (const served of [false, true]) {
      pen.fillStyle = served ? colours.served : colours.pass;
      const reached = new Float64Array(rows).fill(-1);
      for (let i = 0; i < contacts.begins.length; i++) {
        if (runs.some(run => run.served(i)) !== served) continue;
        const row = lane(i), from = Math.max(x(contacts.begins[i]), reached[row]), to = Math.max(x(contacts.begins[i]) + 1, x(Math.min(END, contacts.ends[i])));
        if (to <= from) continue;
        pen.fillRect(from, row * tall + 0.5, to - from, Math.max(1, tall - 1));
        reached[row] = to;
      }
    }
    pen.fillStyle = colours.cursor;
    pen.fillRect(x(now) - 0.75, 0, 1.5, height);
  }

  // How much of the run the lanes show: a few contacts.
  const window_s = Math.min(END, Math.max(4 * median(seenEach), stretchOf(starts.length ? END / starts.length : END)));
  function stretchOf(gap) {
    return [600, 1800, 3600, 7200, 14400, 28800, 57600, 86400, 172800, 432000].find(one => one >= 6 * gap) || END;
  }
  function laneFrom() {
    return Math.max(0, Math.min(END - window_s, now - window_s * 0.4));
  }
  function drawLanes() {
    const {pen, width, height} = shape.lanes, from = laneFrom(), to = from + window_s, left = Math.min(120, width * 0.26), bottom = height - 20;
    const x = time => left + (time - from) / window_s * (width - left - 4);
    pen.clearRect(0, 0, width, height);
    pen.font = "12px system-ui, sans-serif";
    pen.textBaseline = "middle";
    pen.textAlign = "left";
    for (let row = 0; row < rows; row++) {
      pen.fillStyle = colours.hair;
      pen.fillRect(left, row * ROW + ROW - 1, width - left, 1);
      pen.fillStyle = colours.ink;
      if (places.length) pen.fillText(cut(pen, laneName(row), left - 8), 0, row * ROW + ROW / 2);
    }
    pen.save();
    pen.beginPath();
    pen.rect(left, 0, width - left, bottom);
    pen.clip();
    contacts.between(from, to, i => {
      const y = lane(i) * ROW, served = runs.filter(run => run.served(i));
      pen.fillStyle = colours.pass;
      pen.fillRect(x(contacts.begins[i]), y + 3 + BAR * 0.35, Math.max(1.5, x(contacts.ends[i]) - x(contacts.begins[i])), BAR * 0.3);
      pen.fillStyle = colours.served;
      for (const run of served) pen.fillRect(x(run.from(i)), y + 3, Math.max(1.5, x(run.to(i)) - x(run.from(i))), BAR);
    });
    runs.forEach((run, number) => {
      const tall = BAR / runs.length / 2;
      pen.fillStyle = run.colour;
      run.spans.between(from, to, i => {
        const y = lane(run.spans.contact[i]) * ROW + 3 + BAR / runs.length * number + (run.spans.toward[i] ? 0 : tall);
        pen.fillRect(x(run.spans.begins[i]), y + 0.5, Math.max(1.5, x(run.spans.ends[i]) - x(run.spans.begins[i])), Math.max(1.5, tall - 1));
      });
    });
    pen.restore();
    pen.fillStyle = colours.quiet;
    pen.textAlign = "center";
    pen.textBaseline = "top";
    const day = new Date(START);
    const midnight = (START - Date.UTC(day.getUTCFullYear(), day.getUTCMonth(), day.getUTCDate())) / 1000;
    const step = [60, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400, 172800].find(one => one >= window_s * 64 / (width - left)) || 432000;
    for (let at = Math.ceil((from + midnight) / step) * step; at - midnight <= to; at += step) {
      const clock = new Date(START + (at - midnight) * 1000), two = n => String(n).padStart(2, "0");
      const text = step >= 86400 ? `${clock.getUTCDate()} ${MONTHS[clock.getUTCMonth()].slice(0, 3)}` : `${two(clock.getUTCHours())}:${two(clock.getUTCMinutes())}`;
      const place = x(at - midnight), half = pen.measureText(text).width / 2;
      if (place - half > left - 8 && place + half < width) pen.fillText(text, place, bottom + 4);
    }
    pen.textAlign = "left";
    pen.fillText("UTC", 0, bottom + 4);
    pen.fillStyle = colours.cursor;
    pen.fillRect(x(now) - 0.75, 0, 1.5, bottom);
  }

  const slider = $("input[type=range]"), labels = [...box.querySelectorAll(".run")];
  function say(element, text) {
    if (element.textContent !== text) element.textContent = text;
  }
  function whoText({serving, seen}) {
    const name = contact => {
      const satellite = world.satellites[contact.satellite], place = places[contact.place].name;
      return satellite ? `${satellite} and ${place}` : place;
    };
    if (serving.length > 3) return `${serving.length} contacts are served`;
    if (serving.length) return `In contact: ${serving.map(name).join("; ")}`;
    if (seen.length) return `In view, not served: ${seen.slice(0, 3).map(name).join("; ")}`;
    const next = starts[above(starts, now)];
    if (next === undefined) return "No contact follows";
    const minutes = Math.round((next - now) / 60);
    return `No contact; the next one in ${minutes >= 120 ? `${(minutes / 60).toFixed(1)} h` : `${Math.max(1, minutes)} min`}`;
  }
  function tell(moment) {
    say($(".elapsed"), elapsed(now));
    say($(".utc"), utc(now));
    say($(".who"), whoText(moment));
    slider.value = now / END * 1000;
    slider.setAttribute("aria-valuetext", `${elapsed(now)}, ${utc(now)}`);
    runs.forEach((run, number) => {
      const value = accuracy(run, now), moved = Object.keys(run.bytes.ways).map(way => `${size(counter(run, way, now))} ${WORDS[way]}`);
      say(labels[number].querySelector(".big"), value === null ? "" : value.toFixed(3));
      const made = above(run.aggregations, now), ended = now > run.end_s ? ["this run has ended"] : [];
      say(labels[number].querySelector(".said"), [...moved, ...(run.aggregations.length ? [counted(made, "aggregation")] : []), ...ended].join(", "));
    });
    box.dataset.now = now;
    box.dataset.serving = moment.serving.map(contact => contact.number).join(" ");
  }

  // --- The clock ---
  function go(time, jumped = true) {
    now = Math.max(0, Math.min(END, time));
    if (jumped) turn(calm.matches || !playing ? 1 : 0.35);
    draw();
  }
  // To just after the begin of the next contact; back to that of this one, or from there before it.
  function jump(way) {
    const after = above(starts, way > 0 ? now : now - 2 * LANDED_S), place = way > 0 ? after : after - 1;
    if (starts[place] !== undefined) go(starts[place] + LANDED_S);
    else if (way < 0) go(0);
  }
  function advance(seconds) {
    if (pace !== "tour") return now + seconds * pace;
    let time = now, left = seconds;
    for (let guard = 0; left > 0 && guard < 50 && time < END; guard++) {
      const i = above(busyFrom, time) - 1, inside = i >= 0 && time < busy[i][1] - 1e-6;
      const edge = inside ? busy[i][1] : busyFrom[i + 1] ?? END;
      const gap = inside ? 0 : edge - (i >= 0 ? busy[i][1] : 0), rate = inside ? slow : Math.max(slow, gap / BETWEEN_S);
      const span = Math.min(left, (edge - time) / rate);
      time = span < left ? edge + 1e-6 : time + span * rate;
      left -= span;
    }
    return time;
  }
  function frame(stamp) {
    if (!playing) return;
    const seconds = Math.min(0.1, (stamp - before) / 1000);
    before = stamp;
    beat = (beat + seconds * 0.9) % 1;
    turn(calm.matches ? 1 : 1 - Math.exp(-3 * seconds));
    go(advance(seconds), false);
    if (now >= END) play(false);
    requestAnimationFrame(frame);
  }
  function play(on) {
    if (on && now >= END) now = 0;
    playing = on;
    say($(".play"), on ? "Pause" : "Play");
    if (on) {
      before = performance.now();
      requestAnimationFrame(frame);
    }
  }

  // --- Controls ---
  const select = $("select");
  for (const [value, words] of PACES) if (value !== "tour" || tour) select.add(new Option(words, value));
  if (!tour) pace = [60, 600, 3600, 21600].find(one => one * 100 >= END) || 21600;
  select.value = pace;
  select.addEventListener("change", () => { pace = select.value === "tour" ? "tour" : Number(select.value); });
  $(".play").addEventListener("click", () => play(!playing));
  const acts = {previous: () => jump(-1), next: () => jump(1), flat: () => {
    stage.flat = !stage.flat;
    const button = $("[data-do=flat]");
    button.setAttribute("aria-pressed", stage.flat);
    $(".parts").classList.toggle("flat", stage.flat);
    $(".follow").closest("label").hidden = stage.flat;
    measure();
  }};
  for (const button of box.querySelectorAll("[data-do]")) button.addEventListener("click", acts[button.dataset.do]);
  slider.addEventListener("input", () => go(slider.value / 1000 * END));
  const keys = {" ": () => play(!playing), ArrowLeft: () => go(now - STEP_S), ArrowRight: () => go(now + STEP_S), ArrowDown: () => go(now - STEP_S), ArrowUp: () => go(now + STEP_S),
    PageUp: () => jump(-1), PageDown: () => jump(1), Home: () => go(0), End: () => go(END)};
  box.addEventListener("keydown", event => {
    const own = event.target.closest("button, select, input[type=checkbox]");
    if (!(event.key in keys) || own || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    keys[event.key]();
  });
  // Dragging: `move` gets how far in pixels.
  function drags(canvas, move, begin = () => {}) {
    let held = null;
    canvas.addEventListener("pointerdown", event => {
      canvas.setPointerCapture(event.pointerId);
      held = [event.clientX, event.clientY];
      begin(event);
    });
    canvas.addEventListener("pointermove", event => {
      if (!held) return;
      move(event.clientX - held[0], event.clientY - held[1], event);
      held = [event.clientX, event.clientY];
    });
    for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, () => { held = null; });
  }
  const seek = event => go((event.offsetX - EDGE) / (shape.whole.width - 2 * EDGE) * END);
  drags($(".whole"), (x, y, event) => seek(event), seek);
  drags($(".lanes"), x => go(now - x / (shape.lanes.width * 0.85) * window_s));
  if (stage) {
    const follow = $(".follow");
    follow.checked = world.satellites.length < 12;
    follow.addEventListener("change", () => go(now));
    drags($(".globe"), (x, y, event) => {
      if (stage.flat) return;
      follow.checked = false;
      stage.look(stage.longitude - x / stage.view.radius, stage.latitude + (event.pointerType === "touch" ? 0 : y) / stage.view.radius);
      draw();
    });
  }
  new ResizeObserver(measure).observe(box);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", measure);
  // It begins in the middle of the first contact, so that a still page shows one.
  if (busy.length && tour) now = (busy[0][0] + busy[0][1]) / 2;
  turn(1);
  measure();
}

for (const box of document.querySelectorAll(".replay")) replay(box);
