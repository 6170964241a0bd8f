// Clock: the time of a replay, how fast it goes, and the jumps from contact to contact.
const IN_CONTACT_S = 4, BETWEEN_S = 1.3, TOUR = "tour";
const PACES = [[TOUR, "slow in contacts"], [60, "1 minute a second"], [600, "10 minutes a second"], [3600, "1 hour a second"], [21600, "6 hours a second"]];

class Clock {
  // `moved` is called with the seconds that were played, or with null after a jump.
  constructor(world, moved) {
    const {busy, end} = world;
    Object.assign(this, {world, moved, end, now: 0, playing: false, before: 0});
    this.busyFrom = busy.map(span => span[0]);
    this.slow = Math.max(1, median(busy.map(([from, to]) => to - from)) / IN_CONTACT_S);
    const share = busy.reduce((sum, [from, to]) => sum + to - from, 0) / end;
    // Where somebody is always served, a tour has no rhythm.
    this.tours = busy.length > 1 && share < 0.5;
    this.pace = this.tours ? TOUR : [60, 600, 3600, 21600].find(one => one * 100 >= end) || 21600;
    // A tour begins in the middle of the first contact, so that a still page shows one.
    if (this.tours) this.now = (busy[0][0] + busy[0][1]) / 2;
  }

  go(time) {
    this.now = Math.max(0, Math.min(this.end, time));
    this.moved(null);
  }

  // To just after the begin of the next contact; back to that of this one, or from there before it.
  jump(way) {
    const {starts, unit} = this.world, landed = Math.min(1, unit);
    const after = above(starts, way > 0 ? this.now : this.now - 2 * landed), place = way > 0 ? after : after - 1;
    if (starts[place] !== undefined) this.go(starts[place] + landed);
    else if (way < 0) this.go(0);
  }

  // The time after some seconds of playing.
  after(seconds) {
    if (this.pace !== TOUR) return this.now + seconds * this.pace;
    const {busy} = this.world;
    let time = this.now, left = seconds;
    for (let guard = 0; left > 0 && guard < 50 && time < this.end; guard++) {
      const i = above(this.busyFrom, time) - 1, inside = i >= 0 && time < busy[i][1] - 1e-6;
      const edge = inside ? busy[i][1] : this.busyFrom[i + 1] ?? this.end;
      const gap = inside ? 0 : edge - (i >= 0 ? busy[i][1] : 0), rate = inside ? this.slow : Math.max(this.slow, gap / BETWEEN_S);
      const span = Math.min(left, (edge - time) / rate);
      time = span < left ? edge + 1e-6 : time + span * rate;
      left -= span;
    }
    return time;
  }

  play(on) {
    if (on && this.now >= this.end) this.now = 0;
    if (on && !this.playing) {
      this.before = performance.now();
      requestAnimationFrame(stamp => this.#frame(stamp));
    }
    this.playing = on;
    this.moved(0);
  }

  #frame(stamp) {
    if (!this.playing) return;
    const seconds = Math.max(0, Math.min(0.1, (stamp - this.before) / 1000));
    this.before = stamp;
    this.now = Math.min(this.end, this.after(seconds));
    if (this.now >= this.end) this.playing = false;
    else requestAnimationFrame(next => this.#frame(next));
    this.moved(seconds);
  }
}
