// Race: what each run has reached by now, in front of what it will reach.

// Round numbers between two values.
function ticks(low, high, count) {
  const rough = (high - low) / count, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map(one => one * power).find(one => one >= rough * 0.999), found = [];
  for (let n = Math.ceil(low / step - 1e-9); n * step <= high + step * 1e-9; n++) found.push(n * step);
  return found;
}

// Make a canvas as wide as its box and so high, at the screen's own pixels.
function fit(canvas, height) {
  const scale = window.devicePixelRatio || 1, width = canvas.parentElement.clientWidth, pen = canvas.getContext("2d");
  canvas.style.height = `${height}px`;
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  return {pen, width, height};
}

class Race {
  constructor(canvas, world) {
    Object.assign(this, {canvas, world});
    // Accuracy or loss in steps, as it was measured; of runs without any the bytes that were moved.
    this.measured = world.runs.some(run => run.steps.time.length);
    this.curves = world.runs.map(run => this.measured
      ? [...run.steps.time].map((time, i) => [time, run.steps.value[i]])
      : [...run.bytes.time].map((time, i) => [time, Object.values(run.bytes.ways).reduce((sum, way) => sum + way[i], 0)]));
    const every = this.curves.flat().map(([, value]) => value);
    const least = every.length ? every.reduce((a, b) => Math.min(a, b)) : 0, most = every.length ? every.reduce((a, b) => Math.max(a, b)) : 1;
    const pad = (most - least || Math.abs(most) || 1) * 0.06;
    this.least = this.measured ? least - pad : 0;
    this.most = most + pad;
    const {end} = world;
    this.time = end >= 172800 ? ["days", 86400] : end >= 7200 ? ["hours", 3600] : ["minutes", 60];
    this.unit = this.measured ? ["", 1] : most >= 1e9 ? ["GB", 1e9] : most >= 1e6 ? ["MB", 1e6] : most >= 1e3 ? ["kB", 1e3] : ["bytes", 1];
  }

  get caption() {
    const ticks = this.world.runs.some(run => run.aggregations.time.length) ? "; marks at the foot are aggregations" : "";
    const what = this.measured ? `${this.world.figure} over simulated ${this.time[0]}: a step at each evaluation` : `${this.unit[0]} moved over simulated ${this.time[0]}, all directions together`;
    return what + ticks;
  }

  measure(height, colours) {
    Object.assign(this, fit(this.canvas, height), {colours});
    Object.assign(this, {left: 40, right: this.width - 10, top: 8, bottom: height - 20});
    this.paths = this.curves.map((points, number) => this.path(points, this.world.runs[number].end_s));
  }

  x(time) {
    return this.left + time / this.world.end * (this.right - this.left);
  }

  y(value) {
    return this.bottom - (value - this.least) / (this.most - this.least) * (this.bottom - this.top);
  }

  path(points, end) {
    const path = new Path2D();
    points.forEach(([time, value], i) => {
      if (!i) return path.moveTo(this.x(time), this.y(value));
      if (this.measured) path.lineTo(this.x(time), this.y(points[i - 1][1]));
      path.lineTo(this.x(time), this.y(value));
    });
    if (points.length && this.measured) path.lineTo(this.x(end), this.y(points[points.length - 1][1]));
    return path;
  }

  draw(now) {
    const {pen, world, colours, left, top, bottom} = this;
    pen.clearRect(0, 0, this.width, this.height);
    this.drawScales();
    world.runs.forEach((run, number) => this.drawRun(run, number, now));
    pen.fillStyle = colours.cursor;
    pen.fillRect(this.x(now) - 0.75, top, 1.5, bottom - top);
  }

  drawScales() {
    const {pen, colours, left, right, bottom, unit: [, unit], time: [, span]} = this, {end} = this.world;
    pen.font = "11px system-ui, sans-serif";
    pen.textBaseline = "middle";
    pen.textAlign = "right";
    const values = ticks(this.least / unit, this.most / unit, 4);
    const digits = values.length > 1 ? Math.max(0, Math.min(4, Math.ceil(-Math.log10(values[1] - values[0]) - 1e-9))) : 2;
    for (const value of values) {
      pen.fillStyle = colours.hair;
      pen.fillRect(left, Math.round(this.y(value * unit)), right - left, 1);
      pen.fillStyle = colours.quiet;
      pen.fillText(value.toFixed(digits), left - 6, this.y(value * unit));
    }
    pen.textAlign = "center";
    pen.textBaseline = "top";
    for (const value of ticks(0, end / span, Math.max(3, Math.round((right - left) / 70)))) pen.fillText(String(Number(value.toFixed(3))), this.x(value * span), bottom + 6);
  }

  drawRun(run, number, now) {
    const {pen, bottom, top, left} = this, stop = Math.min(now, run.end_s);
    pen.strokeStyle = pen.fillStyle = run.colour;
    pen.lineWidth = 2;
    pen.globalAlpha = 0.4;
    pen.stroke(this.paths[number]);
    pen.globalAlpha = 1;
    pen.save();
    pen.beginPath();
    pen.rect(left - 2, top - 4, this.x(stop) - left + 2, bottom - top + 8);
    pen.clip();
    pen.stroke(this.paths[number]);
    pen.restore();
    const here = this.measured ? run.learnt(stop) : run.allMoved(stop);
    if (here !== null) {
      pen.beginPath();
      pen.arc(this.x(stop), this.y(here), 4, 0, TURN);
      pen.fill();
    }
    pen.globalAlpha = 0.75;
    for (const time of run.aggregations.time) {
      if (time > now) break;
      pen.fillRect(this.x(time), bottom - 3 - 4 * number, 1, 4);
    }
    pen.globalAlpha = 1;
  }
}
