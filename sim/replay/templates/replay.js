// Replay: one clock for the stage, the curves, the lanes and the numbers; and their controls.
const STEP_S = 60, SETTLED_MS = 700;

function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

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

class Replay {
  constructor(box) {
    const find = name => box.querySelector(name);
    const world = new World(JSON.parse(find(".data").textContent)), words = new Words(world), rows = new Rows(world);
    Object.assign(this, {box, find, world, words, beat: 0, calm: matchMedia("(prefers-reduced-motion: reduce)")});
    box.hidden = false;
    this.clock = new Clock(world, seconds => this.moved(seconds));
    this.stage = world.land ? new Stage(find(".globe"), world) : null;
    this.camera = this.stage && new Camera(world, this.stage);
    this.race = new Race(find(".race"), world);
    this.overview = new Overview(find(".whole"), world, rows);
    this.lanes = new Lanes(find(".lanes"), world, words, rows);
    this.charges = world.batteries.length ? new Charges(find(".charges"), world, words) : null;
    this.slider = find("input[type=range]");
    this.labels = [...box.querySelectorAll(".run")];
    say(find("figcaption"), this.race.caption);
    this.control();
    this.point();
    if (this.camera && (this.camera.follows || world.places.length < 4)) this.camera.turn(this.clock.now, 1);
    new ResizeObserver(() => this.measure()).observe(box);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.measure());
    this.measure();
  }

  // The time has changed: by playing for some seconds, or by a jump (null).
  moved(seconds) {
    const {clock: {now, playing}, calm, camera} = this, jumped = seconds === null;
    if (!jumped) this.beat = (this.beat + seconds * 0.9) % 1;
    const share = jumped ? (playing ? 0.35 : 1) : 1 - Math.exp(-3 * seconds);
    if (camera && camera.follows) camera.turn(now, calm.matches ? 1 : share);
    this.draw();
  }

  measure() {
    const {box, world, stage} = this;
    if (box.clientWidth < 120) return; // on paper, or folded away
    const style = getComputedStyle(box), named = name => style.getPropertyValue(`--${name}`).trim();
    const colours = Object.fromEntries(["sea", "land", "coast", "grid", "limb", "air", "night", "circle", "foot", "trail", "orbit", "beam", "view", "link", "place",
      "satellite", "dark", "halo", "pass", "cursor", "hair", "tint", "fault", "shadow", "sunlit"].map(name => [name, named(name)]));
    Object.assign(colours, {ink: named("ink-on"), quiet: named("quiet-on"), seaNear: named("sea-near"), airEnd: named("air-end"), footLine: named("foot-line"), served: named("pass-served")});
    world.runs.forEach((run, number) => {
      run.colour = named(`hue-${run.hue}`);
      this.labels[number].querySelector(".swatch").style.background = run.colour;
    });
    if (stage) stage.measure(this.find(".earth").clientWidth, 620, colours);
    this.race.measure(stage && box.clientWidth > 880 && !stage.flat ? 300 : 220, colours);
    for (const part of [this.overview, this.lanes, this.charges]) if (part) part.measure(colours);
    this.draw();
  }

  draw() {
    const {clock: {now}, stage} = this;
    if (!this.race.pen) return;
    this.moment = {...this.world.at(now), beat: this.calm.matches ? 0.5 : this.beat};
    if (stage) stage.draw(this.moment);
    for (const part of [this.race, this.overview, this.lanes, this.charges]) if (part) part.draw(now);
    this.tell();
    this.hint();
  }

  // --- Text ---
  tell() {
    const {clock: {now, playing, end}, find, words, slider, moment} = this;
    say(find(".elapsed"), words.elapsed(now));
    say(find(".utc"), words.utc(now));
    say(find(".who"), words.who(moment));
    say(find(".play"), playing ? "Pause" : "Play");
    slider.value = now / end * 1000;
    this.world.runs.forEach((run, number) => {
      const value = run.learnt(now);
      say(this.labels[number].querySelector(".big"), value === null ? "" : value.toFixed(3));
      say(this.labels[number].querySelector(".said"), words.done(run, now));
    });
    this.box.dataset.now = now;
    this.box.dataset.serving = moment.serving.map(contact => contact.number).join(" ");
    // What is read aloud: the moment at which the clock has come to rest, not all on the way.
    clearTimeout(this.settling);
    if (!playing) {
      slider.setAttribute("aria-valuetext", `${words.elapsed(now)}, ${words.utc(now)}`);
      if (this.touched) this.settling = setTimeout(() => say(find(".live"), this.aloud()), SETTLED_MS);
    }
  }

  aloud() {
    const {clock: {now}, words, world} = this;
    const runs = world.runs.map(run => {
      const value = run.learnt(now);
      return `${run.label}: ${value === null ? "" : `${world.judged} ${value.toFixed(3)}, `}${words.done(run, now)}`;
    });
    return [words.elapsed(now), words.who(this.moment), ...runs].join(". ");
  }

  // --- What is under the pointer ---
  point() {
    const under = {
      globe: (x, y) => {
        const found = this.stage.near(x, y);
        if (!found) return null;
        return found.kind === "place" ? this.words.place(found.number, this.moment) : this.words.satellite(found.number, this.stage.satellites[found.number], this.moment);
      },
      lanes: (x, y) => this.lanes.under(x, y),
      charges: (x, y) => this.charges.under(x, y),
    };
    for (const [name, look] of Object.entries(under)) {
      const canvas = this.find(`.${name}`);
      if (!canvas) continue;
      const here = event => {
        this.pointed = {canvas, look, x: event.offsetX, y: event.offsetY};
        this.hint();
      };
      // A finger points where it taps; while it drags nothing is shown.
      canvas.addEventListener("pointermove", event => { if (event.pointerType === "mouse" && !event.buttons) here(event); });
      canvas.addEventListener("click", here);
      canvas.addEventListener("pointerdown", () => this.unpoint());
      canvas.addEventListener("pointerleave", event => { if (event.pointerType === "mouse") this.unpoint(); });
    }
  }

  unpoint() {
    this.pointed = null;
    this.hint();
  }

  hint() {
    const tip = this.find(".tip"), {pointed, box} = this, lines = pointed && pointed.look(pointed.x, pointed.y);
    tip.hidden = !lines;
    if (!lines) return;
    if (tip.textContent !== lines.join("")) tip.replaceChildren(...lines.map(text => Object.assign(document.createElement("span"), {textContent: text})));
    const outer = box.getBoundingClientRect(), inner = pointed.canvas.getBoundingClientRect();
    const x = inner.left - outer.left + pointed.x, y = inner.top - outer.top + pointed.y;
    tip.style.left = `${Math.max(4, Math.min(x + 14, outer.width - tip.offsetWidth - 6))}px`;
    tip.style.top = `${y + 18 + tip.offsetHeight > outer.height ? y - tip.offsetHeight - 10 : y + 18}px`;
  }

  // --- Controls ---
  control() {
    const {box, find, clock, slider, world} = this, select = find("select");
    const user = act => (...args) => {
      this.touched = true;
      act(...args);
    };
    for (const [value, text] of PACES) if (value !== TOUR || clock.tours) select.add(new Option(text, value));
    select.value = clock.pace;
    select.addEventListener("change", () => { clock.pace = select.value === TOUR ? TOUR : Number(select.value); });
    const acts = {play: () => clock.play(!clock.playing), previous: () => clock.jump(-1), next: () => clock.jump(1), flat: () => this.flatten()};
    for (const button of box.querySelectorAll("[data-do]")) button.addEventListener("click", user(acts[button.dataset.do]));
    slider.addEventListener("input", user(() => clock.go(slider.value / 1000 * world.end)));
    const by = seconds => () => clock.go(clock.now + seconds);
    const keys = {" ": acts.play, ArrowLeft: by(-STEP_S), ArrowRight: by(STEP_S), ArrowDown: by(-STEP_S), ArrowUp: by(STEP_S),
      PageUp: acts.previous, PageDown: acts.next, Home: () => clock.go(0), End: () => clock.go(world.end)};
    box.addEventListener("keydown", event => {
      const own = event.target.closest("button, select, input[type=checkbox]");
      if (!(event.key in keys) || own || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      user(keys[event.key])();
    });
    const seek = event => clock.go(this.overview.time(event.offsetX));
    drags(find(".whole"), (x, y, event) => seek(event), seek);
    for (const part of [this.lanes, this.charges])
      if (part) drags(part.canvas, user(x => clock.go(clock.now - x / (part.width - part.left) * part.window_s)));
    if (this.stage) this.controlGlobe();
  }

  controlGlobe() {
    const {stage, camera, clock} = this, follow = this.find(".follow");
    follow.checked = camera.follows;
    follow.addEventListener("change", () => {
      camera.follows = follow.checked;
      clock.go(clock.now);
    });
    drags(this.find(".globe"), (x, y, event) => {
      if (stage.flat) return;
      follow.checked = camera.follows = false;
      // A finger that moves up or down scrolls the page.
      stage.look(stage.longitude - x / stage.view.radius, stage.latitude + (event.pointerType === "touch" ? 0 : y) / stage.view.radius);
      this.draw();
    });
  }

  flatten() {
    const {stage, find} = this;
    stage.flat = !stage.flat;
    find("[data-do=flat]").setAttribute("aria-pressed", stage.flat);
    find(".parts").classList.toggle("flat", stage.flat);
    find(".follow").closest("label").hidden = stage.flat;
    this.measure();
  }
}

for (const box of document.querySelectorAll(".replay")) new Replay(box);
