// Lanes: contacts and transfers of each place, of the whole run and round the time of the replay.
const MOST_LANES = 24, NAMES = 120, HALF_A_DAY_S = 43200;

// Places share lanes where they are many.
class Rows {
  constructor({places, contacts}) {
    this.places = places;
    this.contacts = contacts;
    this.shared = Math.ceil(places.length / MOST_LANES) || 1;
    this.count = Math.ceil(places.length / this.shared) || 1;
  }

  of(place) {
    return Math.floor(place / this.shared);
  }

  ofContact(number) {
    return this.of(this.contacts.place[number]);
  }

  name(row) {
    const first = this.places[row * this.shared], last = this.places[Math.min(this.places.length, (row + 1) * this.shared) - 1];
    return !first ? "" : first === last ? first.name : `${first.name} to ${last.name}`;
  }
}

// All contacts of the run above the slider: a picture that is drawn once, and a cursor.
class Overview {
  constructor(canvas, world, rows) {
    Object.assign(this, {canvas, world, rows, edge: 8}); // half of the slider's thumb
    this.picture = document.createElement("canvas");
  }

  measure(colours) {
    const {rows: {count}} = this;
    Object.assign(this, fit(this.canvas, Math.min(48, Math.max(14, 5 * Math.min(count, 9)))), {colours});
    this.picture.width = this.canvas.width;
    this.picture.height = this.canvas.height;
    const pen = this.picture.getContext("2d"), scale = this.canvas.width / this.width;
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    this.drawContacts(pen);
    this.drawFaults(pen);
  }

  x(time) {
    return this.edge + time / this.world.end * (this.width - 2 * this.edge);
  }

  time(x) {
    return (x - this.edge) / (this.width - 2 * this.edge) * this.world.end;
  }

  drawContacts(pen) {
    const {colours, rows, world: {contacts, runs, end}} = this, tall = this.height / rows.count;
    for (const served of [false, true]) {
      pen.fillStyle = served ? colours.served : colours.pass;
      const reached = new Float64Array(rows.count).fill(-1);
      for (let i = 0; i < contacts.begins.length; i++) {
        if (runs.some(run => run.served(i)) !== served) continue;
        const row = rows.ofContact(i), begin = this.x(contacts.begins[i]);
        const from = Math.max(begin, reached[row]), to = Math.max(begin + 1, this.x(Math.min(end, contacts.ends[i])));
        if (to <= from) continue;
        pen.fillRect(from, row * tall + 0.5, to - from, Math.max(1, tall - 1));
        reached[row] = to;
      }
    }
  }

  // A fault at no place, such as an outage of a satellite, is marked from top to bottom.
  drawFaults(pen) {
    const {rows, height} = this, tall = height / rows.count;
    pen.fillStyle = this.colours.fault;
    for (const {faults} of this.world.runs)
      faults.time.forEach((time, i) => {
        const place = faults.place[i];
        pen.fillRect(this.x(time) - 0.5, place < 0 ? 0 : rows.of(place) * tall, 1, place < 0 ? height : tall);
      });
  }

  draw(now) {
    const {pen, width, height} = this;
    pen.clearRect(0, 0, width, height);
    pen.drawImage(this.picture, 0, 0, width, height);
    pen.fillStyle = this.colours.cursor;
    pen.fillRect(this.x(now) - 0.75, 0, 1.5, height);
  }
}

// How much of the run lanes show: a few contacts.
function windowOf({contacts, starts, end}) {
  const lasts = contacts.ends.map((to, i) => to - contacts.begins[i]), gap = starts.length ? end / starts.length : end;
  const round = [600, 1800, 3600, 7200, 14400, 28800, 57600, 86400, 172800, 432000].find(one => one >= 6 * gap) || end;
  return Math.min(end, Math.max(4 * median(lasts), round));
}

// Canvases with a name on the left of each row, and a window of time on the right.
class Timed {
  constructor(canvas, world, words, window_s) {
    Object.assign(this, {canvas, world, words, window_s, from: 0});
  }

  fit(height, colours) {
    Object.assign(this, fit(this.canvas, height), {colours});
    this.left = Math.min(NAMES, this.width * 0.26);
  }

  see(now) {
    this.from = Math.max(0, Math.min(this.world.end - this.window_s, now - this.window_s * 0.4));
    this.to = this.from + this.window_s;
  }

  x(time) {
    return this.left + (time - this.from) / this.window_s * (this.width - this.left - 4);
  }

  time(x) {
    return this.from + (x - this.left) / (this.width - this.left - 4) * this.window_s;
  }

  bar(begin, end, y, tall) {
    this.pen.fillRect(this.x(begin), y, Math.max(1.5, this.x(end) - this.x(begin)), tall);
  }

  // Names and hair lines; then `paint` within the window, and the cursor.
  frame(now, rows, tall, name, bottom, paint) {
    const {pen, colours, left, width} = this;
    pen.clearRect(0, 0, width, this.height);
    pen.font = "12px system-ui, sans-serif";
    pen.textBaseline = "middle";
    pen.textAlign = "left";
    for (let row = 0; row < rows; row++) {
      pen.fillStyle = colours.hair;
      pen.fillRect(left, row * tall + tall - 1, width - left, 1);
      pen.fillStyle = colours.ink;
      pen.fillText(cut(pen, name(row), left - 8), 0, row * tall + tall / 2);
    }
    pen.save();
    pen.beginPath();
    pen.rect(left, 0, width - left, bottom);
    pen.clip();
    paint();
    pen.restore();
    pen.fillStyle = colours.cursor;
    pen.fillRect(this.x(now) - 0.75, 0, 1.5, bottom);
  }

  drawTimes(bottom) {
    const {pen, colours, left, width} = this, {start} = this.world, day = new Date(start);
    const midnight = (start - Date.UTC(day.getUTCFullYear(), day.getUTCMonth(), day.getUTCDate())) / 1000;
    const step = [60, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400, 172800].find(one => one >= this.window_s * 64 / (width - left)) || 432000;
    pen.fillStyle = colours.quiet;
    pen.textAlign = "center";
    pen.textBaseline = "top";
    for (let at = Math.ceil((this.from + midnight) / step) * step; at - midnight <= this.to; at += step) {
      const clock = new Date(start + (at - midnight) * 1000);
      const text = step >= 86400 ? `${clock.getUTCDate()} ${MONTHS[clock.getUTCMonth()].slice(0, 3)}` : `${two(clock.getUTCHours())}:${two(clock.getUTCMinutes())}`;
      const place = this.x(at - midnight), half = pen.measureText(text).width / 2;
      if (place - half > left - 8 && place + half < width) pen.fillText(text, place, bottom + 4);
    }
    pen.textAlign = "left";
    pen.fillText("UTC", 0, bottom + 4);
  }
}

class Lanes extends Timed {
  constructor(canvas, world, words, rows) {
    super(canvas, world, words, windowOf(world));
    this.rows = rows;
    this.tall = rows.count <= 8 ? 24 : 16;
    // Below the places, a lane for what satellites send each other.
    this.count = rows.count + world.runs.some(run => run.hops.begins.length);
  }

  measure(colours) {
    this.fit(this.count * this.tall + 24, colours);
  }

  draw(now) {
    const bottom = this.height - 20;
    this.see(now);
    this.frame(now, this.count, this.tall, row => row < this.rows.count ? this.rows.name(row) : "Between satellites", bottom, () => {
      this.drawContacts();
      this.world.runs.forEach((run, number) => {
        this.drawRun(run, number);
        this.drawHops(run, number);
        this.drawFaults(run);
      });
    });
    this.drawTimes(bottom);
  }

  drawHops({hops, colour}, number) {
    const bar = (this.tall - 7) / this.world.runs.length, y = this.rows.count * this.tall + 3 + bar * number;
    let reached = -1;
    this.pen.fillStyle = colour;
    hops.between(this.from, this.to, i => {
      const to = this.x(hops.ends[i]);
      if (to <= reached) return;
      this.bar(hops.begins[i], hops.ends[i], y + 0.5, Math.max(1.5, bar - 1));
      reached = to;
    });
  }

  drawContacts() {
    const {pen, colours, rows, tall, world: {contacts, runs}} = this, bar = tall - 7;
    contacts.between(this.from, this.to, i => {
      const y = rows.ofContact(i) * tall + 3;
      pen.fillStyle = colours.pass;
      this.bar(contacts.begins[i], contacts.ends[i], y + bar * 0.35, bar * 0.3);
      pen.fillStyle = colours.served;
      for (const run of runs) if (run.served(i)) this.bar(run.from(i), run.to(i), y, bar);
    });
  }

  // What a run sends, above toward the satellite and below from it.
  drawRun(run, number) {
    const {pen, rows, tall} = this, {runs} = this.world, bar = (tall - 7) / runs.length, half = bar / 2;
    pen.fillStyle = run.colour;
    run.spans.between(this.from, this.to, i => {
      const y = rows.ofContact(run.spans.contact[i]) * tall + 3 + bar * number + (run.spans.toward[i] ? 0 : half);
      this.bar(run.spans.begins[i], run.spans.ends[i], y + 0.5, Math.max(1.5, half - 1));
    });
  }

  drawFaults(run) {
    const {pen, rows, tall} = this;
    pen.fillStyle = this.colours.fault;
    for (const i of this.faultsNear(run, this.from, this.to)) {
      const x = this.x(run.faults.time[i]), place = run.faults.place[i], y = place < 0 ? 0 : rows.of(place) * tall;
      pen.beginPath();
      pen.moveTo(x - 4, y);
      pen.lineTo(x + 4, y);
      pen.lineTo(x, y + 7);
      pen.fill();
      if (place < 0) pen.fillRect(x - 0.5, 0, 1, rows.count * tall);
    }
  }

  faultsNear({faults}, from, to) {
    const found = [];
    for (let i = above(faults.time, from); i < faults.time.length && faults.time[i] <= to; i++) found.push(i);
    return found;
  }

  // What is under a point: contacts of that place and time, and faults close by.
  under(x, y) {
    const time = this.time(x), near_s = this.window_s / (this.width - this.left) * 4, row = Math.floor(y / this.tall), lines = [];
    if (x < this.left || row >= this.count) return null;
    if (row === this.rows.count) return this.hopsNear(time, near_s);
    this.world.contacts.between(time - near_s / 2, time + near_s / 2, i => {
      if (this.rows.ofContact(i) === row && lines.length < 9) lines.push(...this.words.contact(i));
    });
    for (const run of this.world.runs)
      for (const i of this.faultsNear(run, time - near_s, time + near_s)) {
        const place = run.faults.place[i];
        if (lines.length < 12 && (place < 0 || this.rows.of(place) === row)) lines.push(this.words.fault(run, i));
      }
    return lines.length ? lines : null;
  }

  hopsNear(time, near_s) {
    const lines = [];
    for (const {hops} of this.world.runs)
      hops.between(time - near_s / 2, time + near_s / 2, i => { if (lines.length < 9) lines.push(this.words.hop(hops, i)); });
    return lines.length ? [...new Set(lines)] : null;
  }
}

// What batteries hold, in front of when their satellites are in the Earth's shadow.
class Charges extends Timed {
  constructor(canvas, world, words) {
    super(canvas, world, words, Math.min(world.end, HALF_A_DAY_S));
  }

  measure(colours) {
    const count = this.world.batteries.length;
    this.tall = count <= 4 ? 36 : count <= 8 ? 26 : 20;
    this.fit(count * this.tall + 24, colours);
  }

  draw(now) {
    const {world, tall, pen, colours} = this, bottom = this.height - 20;
    this.see(now);
    this.frame(now, world.batteries.length, tall, row => world.satellites[world.batteries[row]], bottom, () => {
      pen.fillStyle = colours.sunlit;
      world.batteries.forEach((_, row) => this.bar(0, world.end, row * tall, tall - 1));
      pen.fillStyle = colours.shadow;
      world.shadows.between(this.from, this.to, i => this.bar(world.shadows.begins[i], world.shadows.ends[i], world.shadows.battery[i] * tall, tall - 1));
      for (const run of world.runs) if (run.battery) run.battery.charges.forEach((one, row) => this.drawCharge(run, one, row));
    });
    this.drawTimes(bottom);
  }

  drawCharge(run, {time, charge}, row) {
    const {pen, tall} = this, first = Math.max(0, above(time, this.from) - 1), y = share => row * tall + (1 - share) * (tall - 4) + 1.5;
    if (first >= time.length) return;
    pen.beginPath();
    pen.moveTo(this.x(time[first]), y(charge[first]));
    let last = first;
    while (last + 1 < time.length && time[last] < this.to) {
      last += 1;
      pen.lineTo(this.x(time[last]), y(charge[last]));
    }
    pen.strokeStyle = run.colour;
    pen.lineWidth = 1.8;
    pen.stroke();
    pen.fillStyle = this.colours.quiet;
    for (let x = this.left; x < this.width; x += 6) pen.fillRect(x, y(run.battery.reserve), 2, 1);
  }

  under(x, y) {
    const row = Math.floor(y / this.tall), time = this.time(x);
    return x < this.left || row >= this.world.batteries.length || time > this.world.end ? null : this.words.battery(row, time);
  }
}
