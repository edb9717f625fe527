// A sheet shows all maps of a value (height, width, channels) as small pictures on one canvas, or numbers (k) as
// squares. Zero is clear, so that a sheet suits light pages and dark ones; values above it are red, those below blue,
// the stronger the nearer to the largest of the sheet.

const ABOVE = [214, 60, 50], BELOW = [50, 105, 225];
const SMALLEST = 30, SQUARE = 14, GAP = 1; // screen pixels of a map's side, of a number's; of the space between them

// How maps of this shape lie on a sheet at most `width` wide: tiles of `tall` by `wide` pixels, each enlarged `scale`
// times on the screen, in rows of `columns`.
export function layout(shape, width, smallest = SMALLEST) {
  const maps = shape.length === 3 && shape[0] * shape[1] > 1;
  const [tall, wide] = maps ? shape : [1, 1], count = maps ? shape[2] : shape.reduce((a, b) => a * b, 1);
  const scale = Math.max(1, Math.ceil((maps ? smallest : SQUARE) / Math.max(tall, wide)));
  const columns = Math.max(1, Math.min(count, Math.floor((width / scale + GAP) / (wide + GAP))));
  return {tall, wide, count, scale, columns, rows: Math.ceil(count / columns)};
}

// Make a canvas as large as a sheet.
export function fit(canvas, {tall, wide, scale, columns, rows}) {
  const across = columns * (wide + GAP) - GAP, down = rows * (tall + GAP) - GAP;
  if (canvas.width === across && canvas.height === down) return;
  Object.assign(canvas, {width: across, height: down});
  canvas.style.width = `${across * scale}px`;
}

// Show values on a canvas.
export function show(canvas, values, place) {
  fit(canvas, place);
  const {tall, wide, count, columns} = place, {width: across, height: down} = canvas, picture = new ImageData(across, down);
  let largest = 0;
  for (const value of values) if (Math.abs(value) > largest && Math.abs(value) < Infinity) largest = Math.abs(value);
  for (let map = 0; map < count; map++) {
    const left = map % columns * (wide + GAP), top = Math.floor(map / columns) * (tall + GAP);
    for (let row = 0; row < tall; row++) for (let column = 0; column < wide; column++) {
      const value = values[(row * wide + column) * count + map], at = 4 * ((top + row) * across + left + column);
      picture.data.set(value > 0 ? ABOVE : BELOW, at);
      picture.data[at + 3] = largest ? Math.max(18, 255 * Math.min(Math.abs(value) / largest, 1)) : 18;
    }
  }
  canvas.getContext("2d").putImageData(picture, 0, 0);
}

// Which map lies under a pointer; -1 where none does.
export function under(canvas, event, {tall, wide, count, columns}) {
  const box = canvas.getBoundingClientRect();
  const column = Math.floor((event.clientX - box.left) / box.width * canvas.width / (wide + GAP));
  const row = Math.floor((event.clientY - box.top) / box.height * canvas.height / (tall + GAP));
  const map = row * columns + column;
  return column >= 0 && column < columns && row >= 0 && map < count ? map : -1;
}
