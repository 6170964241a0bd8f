// Words: what a replay says of times, sizes, and who is where.
const MONTHS = "January February March April May June July August September October November December".split(" ");
const WORDS = {uplink: "up", downlink: "down", isl: "between satellites", sidelink: "between devices"};

const counted = (number, word) => `${number} ${word}${number === 1 ? "" : "s"}`;
const two = n => String(n).padStart(2, "0");
const percent = share => `${(100 * share).toFixed(1)} %`;

function amount(value, unit) {
  for (const [prefix, scale] of [["T", 1e12], ["G", 1e9], ["M", 1e6], ["k", 1e3]])
    if (value >= scale) return `${(value / scale).toFixed(2)} ${prefix}${unit}`;
  return `${Math.round(value)} ${unit}`;
}

function cut(pen, text, room) {
  if (pen.measureText(text).width <= room) return text;
  let kept = text.length;
  while (kept && pen.measureText(`${text.slice(0, kept)}…`).width > room) kept--;
  return `${text.slice(0, kept)}…`;
}

class Words {
  constructor(world) {
    this.world = world;
  }

  clock(time) {
    const at = new Date(this.world.start + time * 1000);
    return [at.getUTCHours(), at.getUTCMinutes(), at.getUTCSeconds()].map(two).join(":");
  }

  utc(time) {
    const at = new Date(this.world.start + time * 1000);
    return `${at.getUTCDate()} ${MONTHS[at.getUTCMonth()]} ${at.getUTCFullYear()}, ${this.clock(time)} UTC`;
  }

  elapsed(time) {
    const whole = Math.floor(time + 1e-6), days = Math.floor(whole / 86400), hours = Math.floor(whole / 3600) % 24, minutes = Math.floor(whole / 60) % 60;
    const parts = this.world.end >= 86400 ? [counted(days, "day"), `${hours} h`, `${minutes} min`] : [`${hours} h`, `${minutes} min`, `${whole % 60} s`];
    return `${parts.join(" ")} after the start`;
  }

  pair({satellite, place}) {
    const flies = this.world.satellites[satellite], {name} = this.world.places[place];
    return flies ? `${flies} and ${name}` : name;
  }

  // Who is served, or in view, or will be served next.
  who({time, serving, seen}) {
    if (serving.length > 2) return `${serving.length} contacts are served`;
    if (serving.length) return `In contact: ${serving.map(contact => this.pair(contact)).join("; ")}`;
    if (seen.length) return `In view, not served: ${seen.slice(0, 3).map(contact => this.pair(contact)).join("; ")}`;
    const next = this.world.starts[above(this.world.starts, time)];
    if (next === undefined) return "No contact follows";
    const minutes = Math.round((next - time) / 60);
    return `No contact; the next one in ${minutes >= 120 ? `${(minutes / 60).toFixed(1)} h` : `${Math.max(1, minutes)} min`}`;
  }

  // What a run has done by a time.
  done(run, time) {
    const parts = Object.keys(run.bytes.ways).map(way => `${amount(run.moved(way, time), "B")} ${WORDS[way]}`);
    if (run.aggregations.time.length) parts.push(counted(run.aggregations.upTo(time), "aggregation"));
    if (run.faults.time.length) parts.push(counted(run.faults.upTo(time), "fault"));
    if (run.joules(time)) parts.push(`${amount(run.joules(time), "J")} of energy until the last evaluation`);
    const held = this.world.batteries.map((_, lane) => run.charge(lane, time)).filter(charge => charge !== null);
    if (held.length) parts.push(`batteries shown at ${percent(Math.min(...held))} or more`);
    if (time > run.end_s) parts.push("this run has ended");
    return parts.join(", ");
  }

  // A contact, and when each run serves it.
  contact(number) {
    const {contacts, runs} = this.world, span = (from, to) => `${this.clock(from)} to ${this.clock(to)}`;
    const lines = [this.pair(this.world.contact(number)), `in view ${span(contacts.begins[number], contacts.ends[number])}`];
    const said = runs.map(run => run.served(number) ? `served ${span(run.from(number), run.to(number))}` : "not served");
    if (new Set(said).size === 1) lines.push(said[0]);
    else said.forEach((text, i) => lines.push(`${runs[i].label}: ${text}`));
    return lines;
  }

  hop({a, b, begins, ends}, i) {
    const {satellites} = this.world;
    return `${satellites[a[i]]} to ${satellites[b[i]]}, ${this.clock(begins[i])} to ${this.clock(ends[i])}`;
  }

  fault(run, i) {
    const {time, cause, causes, count} = run.faults, times = count[i] > 1 ? `${count[i]} times ` : "";
    return `${this.clock(time[i])}: ${times}${causes[cause[i]]}${this.world.runs.length > 1 ? ` (${run.label})` : ""}`;
  }

  // A satellite: how high it is, whether the Sun shines on it, what its battery holds, who it serves.
  satellite(number, one, moment) {
    const lane = this.world.batteries.indexOf(number), own = moment.seen.filter(contact => contact.satellite === number);
    const lines = [`${this.world.satellites[number]}, ${Math.round(Math.hypot(...one.place) - EARTH_KM)} km high, ${one.dark ? "in the Earth's shadow" : "in sunlight"}`];
    if (lane >= 0) for (const run of this.world.runs) if (run.charge(lane, moment.time) !== null) lines.push(`battery at ${percent(run.charge(lane, moment.time))}`);
    for (const {place, served} of own.slice(0, 5)) lines.push(`${this.world.places[place].name}: ${served ? "served" : "in view, not served"}`);
    return lines;
  }

  place(number, moment) {
    const own = moment.seen.filter(contact => contact.place === number), lines = [this.world.places[number].name];
    for (const {satellite, served} of own.slice(0, 8)) lines.push(`${this.world.satellites[satellite] ?? "a satellite"}: ${served ? "served" : "in view, not served"}`);
    if (!own.length) lines.push("no satellite in view");
    return lines;
  }

  // The battery of a lane at a time, and whether its satellite is in the shadow.
  battery(lane, time) {
    const {world} = this, dark = [];
    world.shadows.at(time, i => { if (world.shadows.battery[i] === lane) dark.push(i); });
    const lines = [`${world.satellites[world.batteries[lane]]}, ${this.utc(time)}`];
    for (const run of world.runs) {
      const charge = run.charge(lane, time);
      if (charge === null) continue;
      const text = `battery at ${percent(charge)}, ${(charge * run.battery.capacity_wh).toPrecision(3)} of ${run.battery.capacity_wh} Wh`;
      lines.push(world.runs.length > 1 ? `${run.label}: ${text}` : text);
    }
    lines.push(dark.length ? `in the Earth's shadow until ${this.clock(world.shadows.ends[dark[0]])}` : "in sunlight");
    return lines;
  }
}
