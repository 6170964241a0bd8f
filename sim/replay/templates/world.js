// World: what the page carries, opened, and what is so at a time of it.

// First place in rising numbers that is above a value.
function above(numbers, value) {
  let low = 0, high = numbers.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (numbers[middle] <= value) low = middle + 1; else high = middle;
  }
  return low;
}

function median(numbers) {
  return [...numbers].sort((a, b) => a - b)[numbers.length >> 1] || 0;
}

// The last value that was measured by a time; null before there is one.
function valueAt({time: times, value}, time) {
  const i = above(times, time);
  return i ? value[i - 1] : null;
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

// Marks in order of time, of which each stands for some; `upTo` counts those by a time.
class Marks {
  constructor(packed, unit) {
    this.time = summed(packed.time, unit);
    this.count = unpacked(packed.count);
    let sum = 0;
    this.sums = this.count.map(count => sum += count);
  }

  upTo(time) {
    const i = above(this.time, time);
    return i ? this.sums[i - 1] : 0;
  }
}

// What one run did, out of its packed lists.
class Run {
  constructor(data, contacts, unit, pairs) {
    const late = unpacked(data.service.late), early = unpacked(data.service.early);
    Object.assign(this, {label: data.label, hue: data.hue, end_s: data.end_s, contacts, late, early});
    this.bytes = {time: summed(data.bytes.time, unit), ways: {}};
    for (const way of Object.keys(WORDS)) if (way in data.bytes) this.bytes.ways[way] = summed(data.bytes[way]);
    this.hops = pairs(data.hops);
    this.spans = Object.assign(Spans.of(data.spans, unit), {contact: unpacked(data.spans.contact), toward: unpacked(data.spans.toward)});
    this.steps = {time: summed(data.learnt.time, unit), value: summed(data.learnt.value, 1e-6)};
    this.energy = {time: summed(data.energy.time, unit), value: summed(data.energy.joules)};
    this.aggregations = new Marks(data.aggregations, unit);
    this.faults = new Marks(data.faults, unit);
    Object.assign(this.faults, {causes: data.faults.causes, place: unpacked(data.faults.place), cause: unpacked(data.faults.cause)});
    this.battery = data.battery && {...data.battery, charges: Run.charges(data.battery, unit)};
  }

  // Times and charges of each battery, in one list after the other.
  static charges(battery, unit) {
    const time = summed(battery.time, unit), charge = summed(battery.charge, 1e-3);
    let at = 0;
    return unpacked(battery.bends).map(bends => ({time: time.subarray(at, at + bends), charge: charge.subarray(at, at += bends)}));
  }

  served(contact) {
    return this.late[contact] >= 0;
  }

  from(contact) {
    return this.contacts.begins[contact] + this.late[contact] * this.contacts.unit;
  }

  to(contact) {
    return this.contacts.ends[contact] - this.early[contact] * this.contacts.unit;
  }

  serves(contact, time) {
    return this.served(contact) && this.from(contact) <= time && time < this.to(contact);
  }

  // Bytes moved one way by a time.
  moved(way, time) {
    const {time: times, ways} = this.bytes, i = above(times, time), values = ways[way];
    if (!i) return 0;
    if (i === times.length) return values[i - 1];
    return values[i - 1] + (values[i] - values[i - 1]) * (time - times[i - 1]) / (times[i] - times[i - 1]);
  }

  allMoved(time) {
    return Object.keys(this.bytes.ways).reduce((sum, way) => sum + this.moved(way, time), 0);
  }

  // The accuracy, or the loss by which runs are judged.
  learnt(time) {
    return valueAt(this.steps, time);
  }

  joules(time) {
    return valueAt(this.energy, time);
  }

  // The share that a battery (by its lane) holds; null where there is none.
  charge(lane, time) {
    if (!this.battery || !this.battery.charges[lane].time.length) return null;
    const {time: times, charge} = this.battery.charges[lane], i = above(times, time);
    if (!i || i === times.length) return charge[Math.max(0, i - 1)];
    return charge[i - 1] + (charge[i] - charge[i - 1]) * (time - times[i - 1]) / (times[i] - times[i - 1]);
  }
}

class World {
  constructor(data) {
    const unit = data.unit_s;
    const {satellites, orbits, places, mask_deg, land, batteries} = data;
    Object.assign(this, {unit, satellites, orbits, places, mask_deg, land, batteries, end: data.end_s, start: Date.parse(data.start_utc)});
    this.contacts = Spans.of({begins: data.contacts.rise, lasts: data.contacts.lasts}, unit);
    Object.assign(this.contacts, {unit, satellite: unpacked(data.contacts.satellite), place: unpacked(data.contacts.place)});
    const pairs = packed => Object.assign(Spans.of(packed, unit), {a: unpacked(packed.a), b: unpacked(packed.b)});
    this.links = pairs(data.links);
    this.judged = data.judged_by;
    this.figure = data.figure;
    this.runs = data.runs.map(run => new Run(run, this.contacts, unit, pairs));
    this.shadows = Object.assign(Spans.of(data.shadows, unit), {battery: unpacked(data.shadows.battery)});
    this.busy = this.#busy();
    // When anybody begins to be served.
    this.starts = [...new Set(this.runs.flatMap(run => run.late.flatMap((_, i) => run.served(i) && run.from(i) < this.end ? [run.from(i)] : [])))].sort((a, b) => a - b);
  }

  // Spans in which anybody is served, joined where they touch.
  #busy() {
    const spans = [], joined = [];
    for (const run of this.runs)
      run.late.forEach((_, i) => run.served(i) && run.from(i) < this.end && spans.push([run.from(i), Math.min(this.end, run.to(i))]));
    spans.sort((a, b) => a[0] - b[0]);
    for (const span of spans) {
      const last = joined[joined.length - 1];
      if (last && span[0] <= last[1]) last[1] = Math.max(last[1], span[1]); else joined.push([...span]);
    }
    return joined;
  }

  contact(number) {
    return {number, satellite: this.contacts.satellite[number], place: this.contacts.place[number]};
  }

  // Who is in view and who of them is served, what is sent by which run, and who has a link.
  at(time) {
    const seen = [], sending = [], links = [], hops = new Map();
    this.contacts.at(time, i => seen.push({...this.contact(i), served: this.runs.some(run => run.serves(i, time))}));
    this.runs.forEach((run, number) => {
      run.spans.at(time, i => sending.push({run: number, toward: run.spans.toward[i], contact: this.contact(run.spans.contact[i])}));
      const own = [];
      run.hops.at(time, i => own.push([run.hops.a[i], run.hops.b[i]]));
      hops.set(number, own);
    });
    this.links.at(time, i => links.push([this.links.a[i], this.links.b[i]]));
    return {time, utc: this.start + time * 1000, seen, serving: seen.filter(contact => contact.served), sending, links, hops};
  }

  // The contact that is served at a time, or else the next one that will be; -1 for none.
  served(time) {
    let number = -1;
    for (const run of this.runs) this.contacts.at(time, i => { if (number < 0 && run.serves(i, time)) number = i; });
    if (number >= 0) return number;
    const from = this.starts[above(this.starts, time)];
    for (const run of this.runs) if (number < 0) number = run.late.findIndex((_, i) => run.served(i) && run.from(i) === from);
    return number;
  }
}
