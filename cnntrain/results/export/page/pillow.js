// Pillow: a picture brought to the network's size as `predict` does it, to the byte. After Pillow's Resample.c
// (fixed-point filters with 22 bits, along the rows and down the columns, each rounded to 8 bits) and Convert.c (ITU-R
// 601 luma).

const FILTERS = { // half width, and weight at a distance
  box: [0.5, (x) => (x > -0.5 && x <= 0.5 ? 1 : 0)],
  bilinear: [1, (x) => Math.max(1 - Math.abs(x), 0)],
  bicubic: [2, (x) => {
    const a = -0.5, d = Math.abs(x);
    return d < 1 ? ((a + 2) * d - (a + 3)) * d * d + 1 : d < 2 ? (((d - 5) * d + 8) * d - 4) * a : 0;
  }],
  lanczos: [3, (x) => (x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0)],
};
const BITS = 22;
const FRAME = 114; // the grey around a letterboxed picture

function sinc(x) {
  return x === 0 ? 1 : Math.sin(x * Math.PI) / (x * Math.PI);
}

// The bytes (height, width, channels) of a picture given as red, green, blue, opacity, which is ignored.
export function coloured(rgba, channels) {
  const pixels = new Uint8Array(rgba.length / 4 * channels);
  for (let i = 0, k = 0; i < rgba.length; i += 4) {
    const [r, g, b] = [rgba[i], rgba[i + 1], rgba[i + 2]];
    if (channels === 3) { pixels[k++] = r; pixels[k++] = g; pixels[k++] = b; }
    else pixels[k++] = (r * 19595 + g * 38470 + b * 7471 + 0x8000) >> 16;
  }
  return pixels;
}

// How a picture of one [height, width] is brought to another: the part `box` (left, top, right, bottom) of it becomes
// `size` pixels of the result, the first at `place`. As `fitted` in cnntrain/reading/pictures.py.
export function placement(picture, size, fit) {
  const [height, width] = picture, whole = [0, 0, width, height];
  if (fit === "letterbox") {
    const scale = Math.min(size[0] / height, size[1] / width);
    const part = picture.map((side, axis) => Math.min(Math.max(rounded(side * scale), 1), size[axis]));
    return {box: whole, size: part, place: part.map((side, axis) => Math.floor((size[axis] - side) / 2))};
  }
  if (fit === "cover") {
    const scale = Math.max(size[0] / height, size[1] / width);
    const tall = Math.min(size[0] / scale, height), wide = Math.min(size[1] / scale, width);
    const left = (width - wide) / 2, top = (height - tall) / 2;
    return {box: [left, top, left + wide, top + tall], size, place: [0, 0]};
  }
  return {box: whole, size, place: [0, 0]};
}

// As Python rounds: halves to the even number.
function rounded(x) {
  const down = Math.floor(x), rest = x - down;
  return rest > 0.5 || (rest === 0.5 && down % 2 === 1) ? down + 1 : down;
}

// A picture at another size, as the network was trained to see pictures.
export function fitted(pixels, picture, channels, size, fit, pillow) {
  const part = placement(picture, size, fit);
  const small = resized(pixels, picture, channels, part.size, part.box, "bilinear", pillow);
  if (part.size[0] === size[0] && part.size[1] === size[1]) return small;
  const whole = new Uint8Array(size[0] * size[1] * channels).fill(FRAME), [top, left] = part.place;
  for (let row = 0; row < part.size[0]; row++) {
    const line = small.subarray(row * part.size[1] * channels, (row + 1) * part.size[1] * channels);
    whole.set(line, ((top + row) * size[1] + left) * channels);
  }
  return whole;
}

// The part `box` of a picture as `size` pixels: Image.resize(size, filter, box). From Pillow 13 on, a picture that
// loses far more rows than columns is resized down the columns first.
export function resized(pixels, picture, channels, size, box, filter, pillow) {
  const [height, width] = picture, [rows, columns] = size, [left, top, right, bottom] = box.map(Math.fround);
  const passes = [];
  if (columns !== width || left !== 0 || right !== width) passes.push(({height: tall, pixels: given}) => {
    const taps = weighted(width, left, right, columns, FILTERS[filter]);
    const made = passed(given, tall, columns, taps, {line: width * channels, tap: channels, channels});
    return {pixels: made, height: tall, width: columns};
  });
  if (rows !== height || top !== 0 || bottom !== height) passes.push(({width: wide, pixels: given}) => {
    const taps = weighted(height, top, bottom, rows, FILTERS[filter]);
    const made = passed(given, rows, wide, taps, {line: 0, tap: wide * channels, channels, down: true});
    return {pixels: made, height: rows, width: wide};
  });
  if (pillow >= 13 && rows < height && height - rows > 2 * (width - columns)) passes.reverse();
  return passes.reduce((picture, pass) => pass(picture), {pixels: pixels.slice(), height, width}).pixels;
}

// For each pixel of a result, which pixels of `size` it is made of and their weights in fixed point.
function weighted(size, start, end, count, [half, weight]) {
  const scale = Math.fround(end - start) / count, stretch = Math.max(scale, 1), reach = half * stretch;
  return Array.from({length: count}, (_, index) => {
    const center = start + (index + 0.5) * scale;
    const first = Math.max(Math.trunc(center - reach + 0.5), 0), last = Math.min(Math.trunc(center + reach + 0.5), size);
    const weights = Array.from({length: last - first}, (_, k) => weight((k + first - center + 0.5) * (1 / stretch)));
    const total = weights.reduce((a, b) => a + b, 0);
    const fixed = weights.map((one) => {
      const exact = (total ? one / total : one) * 2 ** BITS;
      return Math.trunc(exact < 0 ? exact - 0.5 : exact + 0.5);
    });
    return {first, fixed};
  });
}

// One pass: along the rows, or `down` the columns.
function passed(pixels, rows, columns, taps, {line, tap, channels, down = false}) {
  const made = new Uint8ClampedArray(rows * columns * channels);
  for (let row = 0, to = 0; row < rows; row++) for (let column = 0; column < columns; column++) {
    const {first, fixed} = taps[down ? row : column], start = down ? column * channels : row * line;
    for (let c = 0; c < channels; c++, to++) {
      let sum = 2 ** (BITS - 1);
      for (let k = 0; k < fixed.length; k++) sum += pixels[start + (first + k) * tap + c] * fixed[k];
      made[to] = Math.floor(sum / 2 ** BITS);
    }
  }
  return new Uint8Array(made.buffer);
}
