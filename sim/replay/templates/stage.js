// Stage: the Earth as a globe or a map, who flies over it, who is served, and what is being sent.
const MOST_NAMES = 30, MOST_CIRCLES = 16, TRAIL_POINTS = 22, TWILIGHT_DEG = 12, COARSE_DEG = 2, FINE_DEG = 1;

class Stage {
  // `world` has orbits, satellites, places, land; `colours` are those of the page by name.
  constructor(canvas, world) {
    Object.assign(this, {canvas, world, flat: false, longitude: 0.3, latitude: 0.35, colours: {}});
    this.pen = canvas.getContext("2d");
    this.base = document.createElement("canvas");
    this.land = landOf(world.land);
    const far = Math.max(EARTH_KM, ...world.orbits.flat().map(arc => arc[11] * (1 + arc[10])));
    this.room = Math.min(3.2, Math.max(1.16, far / EARTH_KM * 1.04));
    this.trail = world.orbits.length > 12 ? 0.12 : 0.33;
    for (const place of world.places)
      if ("longitude_deg" in place) {
        place.at = [place.longitude_deg * RADIANS, place.latitude_deg * RADIANS];
        place.v = onSphere(...place.at);
      }
  }

  measure(width, tallest, colours) {
    const scale = window.devicePixelRatio || 1, height = Math.round(this.flat ? width / 2 : Math.min(width, tallest));
    Object.assign(this, {width, height, scale, colours});
    this.canvas.style.height = `${height}px`;
    for (const one of [this.canvas, this.base]) {
      one.width = Math.round(width * scale);
      one.height = Math.round(height * scale);
    }
    this.drawn = "";
  }

  look(longitude, latitude) {
    this.longitude = longitude;
    this.latitude = Math.max(-1.5, Math.min(1.5, latitude));
  }

  // Where a place in km or in radii is on the canvas, and whether it is behind the Earth.
  at(v) {
    if (!this.flat) return this.view.seen(v);
    const [longitude, latitude] = below(v);
    return [(longitude / TURN + 0.5) * this.width, (0.5 - latitude / Math.PI) * this.height, 1];
  }

  hidden(v) {
    return !this.flat && this.view.hides(v);
  }

  draw(moment) {
    const {pen, width, height, scale, world} = this;
    this.view = new View(this.longitude, this.latitude, width / 2, height / 2, Math.min(width, height) / 2 / this.room);
    this.sun = sunAt(moment.utc);
    const satellites = world.orbits.map(arcs => {
      const place = placeAt(arcs, moment.time);
      return place && {place, v: place.map(part => part / EARTH_KM), dark: inShadow(place, this.sun)};
    });
    this.drawBase();
    pen.setTransform(1, 0, 0, 1, 0, 0);
    pen.clearRect(0, 0, this.canvas.width, this.canvas.height);
    pen.drawImage(this.base, 0, 0);
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    pen.lineJoin = pen.lineCap = "round";
    this.drawNight();
    // Names cover no point of who is served.
    this.labels = satellites.filter((one, number) => one && !this.hidden(one.v) && moment.serving.some(contact => contact.satellite === number))
      .map(one => this.at(one.v)).map(([x, y]) => [x - 6, y, 12]);
    this.drawCircles(moment, satellites);
    this.drawTrails(moment, satellites);
    this.drawLinks(moment, satellites);
    this.drawBeams(moment, satellites);
    this.drawPlaces(moment);
    this.drawSatellites(moment, satellites);
    this.satellites = satellites;
  }

  // The satellite or the place that is shown close to a point of the canvas, by number.
  near(x, y) {
    let found = null, least = 14;
    const look = (kind, number, v) => {
      if (this.hidden(v)) return;
      const [a, b] = this.at(v), off = Math.hypot(a - x, b - y);
      if (off < least) [found, least] = [{kind, number}, off];
    };
    this.satellites.forEach((one, number) => one && look("satellite", number, one.v));
    this.world.places.forEach((place, number) => place.v && look("place", number, place.v.map(part => part * 1.0001)));
    return found;
  }

  // Sea, land and grid change with the camera only: they are kept as a picture.
  drawBase() {
    const key = [this.flat, this.longitude, this.latitude, this.width, this.height, this.colours.land].join();
    if (key === this.drawn) return;
    this.drawn = key;
    const pen = this.base.getContext("2d"), {colours, width, height, view} = this;
    pen.setTransform(this.scale, 0, 0, this.scale, 0, 0);
    pen.clearRect(0, 0, width, height);
    pen.lineWidth = 0.7;
    const line = new Path2D();
    let land;
    if (this.flat) {
      pen.fillStyle = colours.sea;
      pen.fillRect(0, 0, width, height);
      land = this.mapLand();
    } else {
      this.drawAir(pen);
      land = view.land(this.land.rings, this.land.flat, line);
    }
    pen.strokeStyle = colours.grid;
    pen.stroke(this.grid());
    pen.fillStyle = colours.land;
    pen.fill(land, "evenodd");
    pen.strokeStyle = colours.coast;
    pen.stroke(this.flat ? land : line);
    if (!this.flat) {
      pen.strokeStyle = colours.limb;
      pen.lineWidth = 1;
      pen.beginPath();
      pen.arc(view.x, view.y, view.radius, 0, TURN);
      pen.stroke();
    }
  }

  drawAir(pen) {
    const {colours, view: {x, y, radius}} = this;
    const air = pen.createRadialGradient(x, y, radius * 0.97, x, y, radius * 1.14);
    air.addColorStop(0, colours.air);
    air.addColorStop(1, colours.airEnd);
    pen.fillStyle = air;
    pen.beginPath();
    pen.arc(x, y, radius * 1.14, 0, TURN);
    pen.fill();
    const sea = pen.createRadialGradient(x - radius * 0.35, y - radius * 0.4, radius * 0.1, x, y, radius);
    sea.addColorStop(0, colours.seaNear);
    sea.addColorStop(1, colours.sea);
    pen.fillStyle = sea;
    pen.beginPath();
    pen.arc(x, y, radius, 0, TURN);
    pen.fill();
  }

  mapLand() {
    const path = new Path2D(), {width, height} = this;
    for (const ring of this.land.flat) {
      for (let i = 0; i < ring.length; i += 2) {
        const x = (ring[i] / TURN + 0.5) * width, y = (0.5 - ring[i + 1] / Math.PI) * height;
        if (i) path.lineTo(x, y); else path.moveTo(x, y);
      }
      path.closePath();
    }
    return path;
  }

  // Meridians and parallels every 30 degrees.
  grid() {
    const path = new Path2D(), step = 6 * RADIANS;
    const run = points => {
      let open = false;
      for (const [longitude, latitude] of points) {
        const v = onSphere(longitude, latitude);
        const shown = this.flat || dot(v, this.view.toward) >= 0;
        const [x, y] = this.flat ? [(longitude / TURN + 0.5) * this.width, (0.5 - latitude / Math.PI) * this.height] : this.view.seen(v);
        if (shown) open ? path.lineTo(x, y) : path.moveTo(x, y);
        open = shown;
      }
    };
    for (let k = -6; k < 6; k++)
      run(Array.from({length: 31}, (_, i) => [k * 5 * step, (i - 15) * step]));
    for (let k = -2; k <= 2; k++)
      run(Array.from({length: 61}, (_, i) => [(i - 30) * step, k * 5 * step]));
    return path;
  }

  // A cap as a path to fill by parity; on the map it may reach round the edges, and over a pole.
  cap(centre, angle, line) {
    if (!this.flat) return this.view.cap(centre, angle, line);
    const {width, height} = this, ring = ringAround(centre, angle, 120), points = [];
    let before = null;
    for (let i = 0; i <= ring.length; i += 3) {
      let [longitude, latitude] = below(ring.subarray(i % ring.length, i % ring.length + 3));
      if (before !== null) longitude += TURN * Math.round((before - longitude) / TURN);
      before = longitude;
      points.push([(longitude / TURN + 0.5) * width, (0.5 - latitude / Math.PI) * height]);
    }
    const around = Math.round((points[points.length - 1][0] - points[0][0]) / width), path = new Path2D();
    const pole = Math.asin(Math.max(-1, Math.min(1, centre[2]))) > 0 ? 0 : height;
    for (const shift of [-width, 0, width]) {
      points.forEach(([x, y], i) => i ? path.lineTo(x + shift, y) : path.moveTo(x + shift, y));
      if (line) points.forEach(([x, y], i) => i ? line.lineTo(x + shift, y) : line.moveTo(x + shift, y));
      if (around) {
        path.lineTo(points[points.length - 1][0] + shift, pole);
        path.lineTo(points[0][0] + shift, pole);
      }
      path.closePath();
    }
    return path;
  }

  drawNight() {
    const {pen, colours, sun} = this, dark = sun.map(part => -part);
    // Twilight in steps, half as fine where there is much else to draw.
    const step = this.world.orbits.length > 40 ? COARSE_DEG : FINE_DEG;
    pen.fillStyle = colours.night;
    pen.globalAlpha = step / COARSE_DEG;
    for (let degrees = 0; degrees <= TWILIGHT_DEG; degrees += step)
      pen.fill(this.cap(dark, Math.PI / 2 - degrees * RADIANS), this.flat ? "nonzero" : "evenodd");
    pen.globalAlpha = 1;
  }

  // From where places see a satellite, and what satellites that serve see.
  drawCircles({serving}, satellites) {
    const {pen, colours, world} = this, sites = world.places.filter(place => place.v);
    const known = satellites.filter(Boolean);
    const mean = known.reduce((sum, one) => sum + Math.hypot(...one.place), 0) / (known.length || 1);
    if (sites.length <= MOST_CIRCLES && known.length) {
      pen.strokeStyle = colours.circle;
      pen.lineWidth = 1;
      pen.setLineDash([2, 4]);
      const line = new Path2D();
      for (const site of sites) this.cap(site.v, reach(mean, site.mask_deg * RADIANS), line);
      pen.stroke(line);
      pen.setLineDash([]);
    }
    const shown = new Set(serving.map(contact => contact.satellite));
    if (shown.size > MOST_CIRCLES) return;
    for (const number of shown) {
      const one = satellites[number];
      if (!one) continue;
      const distance = Math.hypot(...one.place), line = new Path2D();
      const area = this.cap(one.place.map(part => part / distance), reach(distance, world.mask_deg * RADIANS), line);
      pen.fillStyle = colours.foot;
      if (shown.size <= 3) pen.fill(area, this.flat ? "nonzero" : "evenodd");
      pen.strokeStyle = colours.footLine;
      pen.lineWidth = 1;
      pen.stroke(line);
    }
  }

  // Where satellites come from: a part of a turn, fainter with its age.
  drawTrails({time}, satellites) {
    const {pen, colours, world} = this, few = world.orbits.length <= 12;
    const pieces = few ? 3 : 1, paths = Array.from({length: pieces}, () => new Path2D());
    world.orbits.forEach((arcs, number) => {
      if (!satellites[number]) return;
      const period = TURN / (arcs.find(one => time <= one[1]) || arcs[0])[8];
      let before = null;
      const points = few ? 48 : TRAIL_POINTS;
      for (let i = points; i >= 0; i--) {
        const then = time - period * this.trail * i / points;
        // Before the run, where the first arc comes from.
        const there = then < arcs[0][0] ? place(arcs[0], then) : placeAt(arcs, then);
        if (!there) { before = null; continue; }
        const v = there.map(part => part / EARTH_KM), shown = !this.hidden(v), here = shown ? this.at(v) : null;
        const jump = this.flat && here && before && Math.abs(here[0] - before[0]) > this.width / 2;
        if (here && before && !jump) {
          const path = paths[Math.min(pieces - 1, Math.floor(pieces * (points - i) / points))];
          path.moveTo(before[0], before[1]);
          path.lineTo(here[0], here[1]);
        }
        before = here;
      }
    });
    pen.strokeStyle = few ? colours.trail : colours.orbit;
    paths.forEach((path, i) => {
      pen.globalAlpha = few ? 0.2 + 0.3 * i : 1;
      pen.lineWidth = few ? 1 + 0.4 * i : 1;
      pen.stroke(path);
    });
    pen.globalAlpha = 1;
  }

  // A straight line between two places in radii, without what is behind the Earth.
  stretch(path, one, other) {
    if (this.flat) {
      const a = this.at(one), b = this.at(other);
      if (Math.abs(a[0] - b[0]) > this.width / 2) {
        const [left, right] = a[0] < b[0] ? [a, b] : [b, a];
        path.moveTo(left[0] + this.width, left[1]);
        path.lineTo(right[0], right[1]);
        path.moveTo(left[0], left[1]);
        path.lineTo(right[0] - this.width, right[1]);
      } else {
        path.moveTo(a[0], a[1]);
        path.lineTo(b[0], b[1]);
      }
      return;
    }
    let open = false;
    const steps = 10;
    for (let i = 0; i <= steps; i++) {
      const v = one.map((part, k) => part + (other[k] - part) * i / steps);
      if (this.view.hides(v)) { open = false; continue; }
      const [x, y] = this.view.seen(v);
      if (open) path.lineTo(x, y); else path.moveTo(x, y);
      open = true;
    }
  }

  drawLinks({links, hops}, satellites) {
    const {pen, colours} = this;
    const lines = (pairs, colour, width) => {
      const path = new Path2D();
      for (const [a, b] of pairs) if (satellites[a] && satellites[b]) this.stretch(path, satellites[a].v, satellites[b].v);
      pen.strokeStyle = colour;
      pen.lineWidth = width;
      pen.stroke(path);
    };
    lines(links, colours.link, 0.8);
    for (const [number, pairs] of hops.entries()) lines(pairs, this.world.runs[number].colour, 2.2);
  }

  // Lines to who is in view, thicker to who is served, and dots along them while bytes are sent.
  drawBeams({seen, sending, beat}, satellites) {
    const {pen, colours, world} = this;
    const ends = contact => {
      const place = world.places[contact.place], one = satellites[contact.satellite];
      const other = place.v || (satellites[place.satellite] || {}).v;
      return one && other ? [other, one.v] : null;
    };
    for (const served of [false, true]) {
      const path = new Path2D();
      for (const contact of seen) if (contact.served === served && ends(contact)) this.stretch(path, ...ends(contact));
      pen.strokeStyle = served ? colours.beam : colours.view;
      pen.lineWidth = served && seen.length <= 12 ? 1.8 : 1;
      pen.setLineDash(served ? [] : [3, 4]);
      pen.stroke(path);
    }
    pen.setLineDash([]);
    for (const {contact, toward, run} of sending) {
      const line = ends(contact);
      if (!line) continue;
      const [a, b] = line.map(v => this.at(v)), long = Math.hypot(b[0] - a[0], b[1] - a[1]);
      if (this.flat && Math.abs(a[0] - b[0]) > this.width / 2) continue;
      // Runs and directions side by side.
      const side = (2.5 + 5 * run) * (toward ? 1 : -1), across = [-(b[1] - a[1]) / (long || 1) * side, (b[0] - a[0]) / (long || 1) * side];
      const dots = Math.max(2, Math.round(long / 13));
      pen.fillStyle = world.runs[run].colour;
      pen.strokeStyle = colours.halo;
      pen.lineWidth = 0.8;
      for (let i = 0; i < dots; i++) {
        const share = (i + (toward ? beat : 1 - beat)) / dots;
        const v = line[0].map((part, k) => part + (line[1][k] - part) * share);
        if (this.hidden(v)) continue;
        pen.beginPath();
        pen.arc(a[0] + (b[0] - a[0]) * share + across[0], a[1] + (b[1] - a[1]) * share + across[1], 2.6, 0, TURN);
        pen.fill();
        pen.stroke();
      }
    }
  }

  drawPlaces({serving}) {
    const {pen, colours, world} = this, sites = world.places.filter(place => place.v);
    const active = new Set(serving.map(contact => world.places[contact.place]));
    const order = [...sites].sort((a, b) => active.has(b) - active.has(a));
    for (const site of order) {
      if (this.hidden(site.v.map(part => part * 1.0001))) continue;
      const [x, y] = this.at(site.v), on = active.has(site);
      pen.beginPath();
      pen.arc(x, y, on ? 4.5 : sites.length > 100 ? 1.5 : 3, 0, TURN);
      pen.fillStyle = on ? colours.beam : colours.place;
      pen.fill();
      pen.lineWidth = 1.5;
      pen.strokeStyle = colours.halo;
      pen.stroke();
      if (on ? active.size <= MOST_NAMES : sites.length <= MOST_NAMES) this.name(site.name, x, y, on);
    }
  }

  drawSatellites({serving}, satellites) {
    const {pen, colours, world} = this, active = new Set(serving.map(contact => contact.satellite));
    const many = world.orbits.length > 40, size = many ? 2 : 3;
    satellites.forEach((one, number) => {
      if (!one || this.hidden(one.v)) return;
      const [x, y] = this.at(one.v), on = active.has(number);
      if (!many || on) {
        pen.beginPath();
        pen.arc(x, y, size + (on ? 3 : 1.6), 0, TURN);
        pen.fillStyle = colours.halo;
        pen.fill();
      }
      pen.beginPath();
      pen.arc(x, y, size + (on ? 1.2 : 0), 0, TURN);
      pen.fillStyle = on ? colours.beam : one.dark ? colours.dark : colours.satellite;
      pen.fill();
      if (world.orbits.length <= 6 || (on && active.size <= 6)) this.name(world.satellites[number], x, y, on);
    });
  }

  // Write a name beside a point where it covers no other one.
  name(text, x, y, strong) {
    const {pen, colours} = this;
    pen.font = `${strong ? "600 " : ""}13px system-ui, sans-serif`;
    pen.textBaseline = "middle";
    pen.textAlign = "left";
    const wide = pen.measureText(text).width;
    const spots = [[x + 9, y], [x - 9 - wide, y], [x + 9, y - 15], [x + 9, y + 15], [x - 9 - wide, y - 15], [x - 9 - wide, y + 15]];
    const free = spots.find(([left, middle]) => left > 0 && left + wide < this.width && middle > 8 && middle < this.height - 8
      && !this.labels.some(([l, m, w]) => left < l + w + 4 && l < left + wide + 4 && Math.abs(m - middle) < 15));
    if (!free) return;
    this.labels.push([...free, wide]);
    pen.lineWidth = 3;
    pen.strokeStyle = colours.halo;
    pen.strokeText(text, ...free);
    pen.fillStyle = colours.ink;
    pen.fillText(text, ...free);
  }
}
