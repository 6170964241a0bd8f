// Sky: where satellites and the Sun are, and shapes on a globe seen from afar.
// Vectors are Earth-fixed, [x, y, z], x through longitude 0 and z through the north pole.
const RADIANS = Math.PI / 180, TURN = 2 * Math.PI, EARTH_KM = 6371;

const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];

function onSphere(longitude, latitude) {
  const level = Math.cos(latitude);
  return [level * Math.cos(longitude), level * Math.sin(longitude), Math.sin(latitude)];
}

function below(v) {
  return [Math.atan2(v[1], v[0]), Math.atan2(v[2], Math.hypot(v[0], v[1]))];
}

// Where a satellite is, in km, by the arc of its orbit at that time; null where there is none.
function placeAt(arcs, time) {
  const arc = arcs.find(one => time <= one[1]);
  return !arc || time < arc[0] ? null : place(arc, time);
}

function place(arc, time) {
  const [first, , inclination, node0, nodeRate, perigee, turning, anomaly, motion, change, e, axis] = arc;
  const t = time - first, mean = anomaly + motion * t + change * t * t;
  let excentric = mean + e * Math.sin(mean);
  for (let step = e > 0.1 ? 8 : 3; step; step--)
    excentric -= (excentric - e * Math.sin(excentric) - mean) / (1 - e * Math.cos(excentric));
  const along = perigee + turning * t, node = node0 + nodeRate * t;
  const p = axis * (Math.cos(excentric) - e), q = axis * Math.sqrt(1 - e * e) * Math.sin(excentric);
  const forward = Math.cos(along) * p - Math.sin(along) * q;
  const across = Math.sin(along) * p + Math.cos(along) * q, level = across * Math.cos(inclination);
  return [
    Math.cos(node) * forward - Math.sin(node) * level,
    Math.sin(node) * forward + Math.cos(node) * level,
    across * Math.sin(inclination),
  ];
}

// Toward the Sun, within a few hundredths of a degree (the Astronomical Almanac's low precision).
function sunAt(milliseconds) {
  const days = milliseconds / 86400000 - 10957.5;
  const anomaly = (357.528 + 0.9856003 * days) * RADIANS;
  const ecliptic = (280.46 + 0.9856474 * days + 1.915 * Math.sin(anomaly) + 0.02 * Math.sin(2 * anomaly)) * RADIANS;
  const tilt = (23.439 - 4e-7 * days) * RADIANS;
  const declination = Math.asin(Math.sin(tilt) * Math.sin(ecliptic));
  const ascension = Math.atan2(Math.cos(tilt) * Math.sin(ecliptic), Math.cos(ecliptic));
  const sidereal = (280.46062 + 360.98564737 * days) * RADIANS;
  return onSphere(ascension - sidereal, declination);
}

// Whether the Earth hides the Sun from a place in km.
function inShadow(place, sun) {
  const toward = dot(place, sun);
  return toward < 0 && dot(place, place) - toward * toward < 6378.137 ** 2;
}

// How far from below it, in radians, a satellite at a distance from the Earth's centre is seen.
function reach(distance, mask) {
  return Math.acos(Math.min(1, EARTH_KM / distance * Math.cos(mask))) - mask;
}

// A circle on the sphere about a unit vector, as a closed ring x, y, z, x, y, z, ...
function ringAround(centre, angle, points = 72) {
  const [longitude, latitude] = below(centre), ring = new Float64Array(3 * points);
  const east = [-Math.sin(longitude), Math.cos(longitude), 0];
  const north = [-Math.sin(latitude) * Math.cos(longitude), -Math.sin(latitude) * Math.sin(longitude), Math.cos(latitude)];
  for (let i = 0; i < points; i++) {
    const turn = TURN * i / points, c = Math.cos(angle), e = Math.sin(angle) * Math.sin(turn), n = Math.sin(angle) * Math.cos(turn);
    for (let k = 0; k < 3; k++) ring[3 * i + k] = c * centre[k] + e * east[k] + n * north[k];
  }
  return ring;
}

// Whether a place lies within rings of longitude, latitude in radians (their parity).
function within(rings, longitude, latitude) {
  let inside = false;
  for (const ring of rings)
    for (let i = 0, j = ring.length - 2; i < ring.length; j = i, i += 2) {
      const a = ring[i + 1], b = ring[j + 1];
      if (a > latitude !== b > latitude && longitude < (ring[j] - ring[i]) * (latitude - a) / (b - a) + ring[i])
        inside = !inside;
    }
  return inside;
}

// A sphere seen from far away: what is right, up and toward the eye, and where that is on a canvas.
class View {
  constructor(longitude, latitude, x, y, radius) {
    this.toward = onSphere(longitude, latitude);
    this.right = [-Math.sin(longitude), Math.cos(longitude), 0];
    this.up = [-Math.sin(latitude) * Math.cos(longitude), -Math.sin(latitude) * Math.sin(longitude), Math.cos(latitude)];
    Object.assign(this, {x, y, radius});
  }

  // On the canvas, and how near (in radii before the centre).
  seen(v) {
    return [this.x + this.radius * dot(v, this.right), this.y - this.radius * dot(v, this.up), dot(v, this.toward)];
  }

  // Whether the sphere hides a place given in radii.
  hides(v) {
    const depth = dot(v, this.toward);
    return depth < 0 && dot(v, v) - depth * depth < 1;
  }

  // Add a ring to a path that is filled by parity, and the part of it that is seen to another one.
  // What is behind goes along the limb. A shape that holds the point opposite the eye gets a whole
  // disc as well: see `disc`.
  trace(ring, area, line) {
    const {right, up, toward, x: cx, y: cy, radius} = this, count = ring.length / 3;
    let x, y, z, angle;
    const look = i => {
      const a = ring[3 * i], b = ring[3 * i + 1], c = ring[3 * i + 2];
      x = a * right[0] + b * right[1];
      y = -(a * up[0] + b * up[1] + c * up[2]);
      z = a * toward[0] + b * toward[1] + c * toward[2];
    };
    const along = to => {
      let turn = to - angle;
      turn -= TURN * Math.round(turn / TURN);
      if (Math.abs(turn) > 1e-9) area.arc(cx, cy, radius, angle, angle + turn, turn < 0);
      angle = to;
    };
    look(count - 1);
    angle = Math.atan2(y, x);
    if (z >= 0) area.moveTo(cx + radius * x, cy + radius * y);
    else area.moveTo(cx + radius * Math.cos(angle), cy + radius * Math.sin(angle));
    if (line && z >= 0) line.moveTo(cx + radius * x, cy + radius * y);
    for (let i = 0; i < count; i++) {
      const px = x, py = y, pz = z;
      look(i);
      if (pz >= 0 !== z >= 0) { // over the limb, on the straight line between both
        const share = pz / (pz - z), edge = Math.atan2(py + share * (y - py), px + share * (x - px));
        const ex = cx + radius * Math.cos(edge), ey = cy + radius * Math.sin(edge);
        if (z < 0) {
          area.lineTo(ex, ey);
          if (line) line.lineTo(ex, ey);
          angle = edge;
        } else {
          along(edge);
          if (line) line.moveTo(ex, ey);
        }
      }
      if (z >= 0) {
        area.lineTo(cx + radius * x, cy + radius * y);
        if (line) line.lineTo(cx + radius * x, cy + radius * y);
      } else along(Math.atan2(y, x));
    }
    area.closePath();
  }

  disc(area) {
    area.moveTo(this.x + this.radius, this.y);
    area.arc(this.x, this.y, this.radius, 0, TURN);
    area.closePath();
  }

  // The path of a cap about a unit vector, which is filled by parity.
  cap(centre, angle, line) {
    const area = new Path2D();
    this.trace(ringAround(centre, angle), area, line);
    if (-dot(centre, this.toward) > Math.cos(angle)) this.disc(area);
    return area;
  }

  // Land: rings of vectors, and the same rings of longitude and latitude.
  land(rings, flat, line) {
    const area = new Path2D(), [longitude, latitude] = below(this.toward.map(part => -part));
    for (const ring of rings) this.trace(ring, area, line);
    if (within(flat, longitude, latitude)) this.disc(area);
    return area;
  }
}

// The land of a page: rings of unit vectors, and of longitude and latitude in radians.
function landOf(packed) {
  const longitude = summed(packed.longitude, 0.1 * RADIANS), latitude = summed(packed.latitude, 0.1 * RADIANS);
  const flat = [], rings = [];
  let at = 0;
  for (const points of unpacked(packed.points)) {
    const plain = new Float64Array(2 * points), ring = new Float64Array(3 * points);
    for (let i = 0; i < points; i++, at++) {
      plain[2 * i] = longitude[at];
      plain[2 * i + 1] = latitude[at];
      ring.set(onSphere(longitude[at], latitude[at]), 3 * i);
    }
    flat.push(plain);
    rings.push(ring);
  }
  return {flat, rings};
}
