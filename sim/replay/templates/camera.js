// Camera: it turns the globe to who is served, or will be next, and looks from the side.
class Camera {
  constructor(world, stage) {
    Object.assign(this, {world, stage, follows: world.satellites.length < 12});
  }

  target(time) {
    const number = this.world.served(time), place = number < 0 ? null : this.world.places[this.world.contacts.place[number]];
    if (!place || !place.at) return null;
    // From right above a beam would be a dot.
    const [longitude, latitude] = place.at;
    return [longitude + 0.3, latitude + (latitude > 0 ? -0.62 : 0.62)];
  }

  // Turn by a share of the way.
  turn(time, share) {
    const target = this.target(time);
    if (!target) return;
    const {stage} = this, east = target[0] - stage.longitude;
    stage.look(stage.longitude + (east - TURN * Math.round(east / TURN)) * share, stage.latitude + (target[1] - stage.latitude) * share);
  }
}
