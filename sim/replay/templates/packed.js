// Whole numbers that `sim.replay.packing` has written: bytes of seven bits, or NUMBER*COUNT.
function unpacked(text) {
  const [value, count] = text.split("*");
  if (count) return new Array(Number(count)).fill(Number(value));
  const bytes = atob(text), numbers = [];
  for (let at = 0; at < bytes.length;) {
    let value = 0, scale = 1, byte;
    do {
      byte = bytes.charCodeAt(at++);
      value += (byte & 127) * scale;
      scale *= 128;
    } while (byte > 127);
    numbers.push(value % 2 ? -(value + 1) / 2 : value / 2);
  }
  return numbers;
}

// Packed steps as what they lead to, in units.
function summed(text, unit = 1) {
  let sum = 0;
  return Float64Array.from(unpacked(text), step => (sum += step) * unit);
}
