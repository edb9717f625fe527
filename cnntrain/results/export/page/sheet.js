// A sheet shows all maps of a value (height, width, channels) as small pictures on one canvas, or numbers (k) as
// squares. Zero is clear, so that a sheet suits light pages and dark ones; values above it are red, those below blue,
// the stronger the nearer to the largest of the sheet.

const ABOVE = [214, 60, 50], BELOW = [50, 105, 225];
const SMALLEST = 30, SQUARE = 14, GAP = 1; // screen pixels of a map's side, of a number's; of the space between them
const FINE = 16; // canvas pixels that a map has at least on its longer side, lest the space between small ones be wide

// How maps of this shape lie on a sheet at most `width` wide: tiles of `tall` by `wide` values, each `times` canvas pixels
// and `times` by `scale` screen pixels large, in rows of `columns`.
export function layout(shape, width, smallest = SMALLEST) {
  const maps = shape.length === 3 && shape[0] * shape[1] > 1;
  const [tall, wide] = maps ? shape : [1, 1], count = maps ? shape[2] : shape.reduce((a, b) => a * b, 1);
  const times = maps ? Math.max(1, Math.floor(FINE / Math.max(tall, wide))) : SQUARE;
  const scale = Math.max(1, Math.ceil((maps ? smallest : SQUARE) / (times * Math.max(tall, wide))));
  const columns = Math.max(1, Math.min(count, Math.floor((width / scale + GAP) / (times * wide + GAP))));
  return {tall, wide, times, count, scale, columns, rows: Math.ceil(count / columns)};
}

// Make a canvas as large as a sheet.
export function fit(canvas, {tall, wide, times, scale, columns, rows}) {
  const across = columns * (times * wide + GAP) - GAP, down = rows * (times * tall + GAP) - GAP;
  if (canvas.width === across && canvas.height === down) return;
  Object.assign(canvas, {width: across, height: down});
  canvas.style.width = `${across * scale}px`;
}

// Show values on a canvas.
export function show(canvas, values, place) {
  fit(canvas, place);
  const {tall, wide, times, count, columns} = place, {width: across, height: down} = canvas;
  const picture = new ImageData(across, down), pixels = new Uint32Array(picture.data.buffer);
  const [above, below] = [ABOVE, BELOW].map(([red, green, blue]) => red | green << 8 | blue << 16);
  let largest = 0;
  for (const value of values) if (Math.abs(value) > largest && Math.abs(value) < Infinity) largest = Math.abs(value);
  for (let map = 0; map < count; map++) {
    const left = map % columns * (times * wide + GAP), top = Math.floor(map / columns) * (times * tall + GAP);
    for (let row = 0; row < tall; row++) for (let column = 0; column < wide; column++) {
      const value = values[(row * wide + column) * count + map], at = (top + times * row) * across + left + times * column;
      const strength = largest ? Math.max(18, Math.round(255 * Math.min(Math.abs(value) / largest, 1))) : 18;
      const ink = (value > 0 ? above : below) | strength << 24;
      for (let i = 0; i < times; i++) pixels.fill(ink, at + i * across, at + i * across + times);
    }
  }
  canvas.getContext("2d").putImageData(picture, 0, 0);
}

// Which map lies under a pointer; -1 where none does.
export function under(canvas, event, {tall, wide, times, count, columns}) {
  const box = canvas.getBoundingClientRect();
  const column = Math.floor((event.clientX - box.left) / box.width * canvas.width / (times * wide + GAP));
  const row = Math.floor((event.clientY - box.top) / box.height * canvas.height / (times * tall + GAP));
  const map = row * columns + column;
  return column >= 0 && column < columns && row >= 0 && map < count ? map : -1;
}
