// Answers: what outputs mean, as cnntrain/parts/tasks has it. `asked` is what the task says of itself: `as` names one of
// these, and the numbers beside it are the task's own.

const sigmoid = (x) => 1 / (1 + Math.exp(-x));

export const ANSWERS = {ranked, separate, values, boxes, mask};

// Classes with their probabilities, the softmax of the outputs, likeliest first.
function ranked(outputs, {names}) {
  const powers = softmax(outputs), total = powers.reduce((a, b) => a + b, 0);
  return byShare(names.map((name, k) => ({name, share: powers[k] / total})));
}

// Answers to separate questions, each with the probability of yes, in their order.
function separate(outputs, {names}) {
  return names.map((name, k) => ({name, share: sigmoid(outputs[k])}));
}

function values(outputs, {names}) {
  return Array.from(outputs, (value, k) => ({name: names[k] ?? `value ${k + 1}`, value}));
}

function softmax(outputs) {
  const largest = outputs.reduce((a, b) => Math.max(a, b), -Infinity);
  return Array.from(outputs, (value) => Math.exp(value - largest));
}

function byShare(rows) {
  return rows.sort((a, b) => b.share - a.share);
}

// The boxes in a picture, the surest first: {box, score, name, colour}. The network saw the picture where `led` says,
// (x, y) at (x * right + left, y * down + top); `picture` is its [height, width]. What lies in bars beside it is none.
function boxes(outputs, {names, colours, fixed, least, candidates, overlap, most, thin}, {led, picture}) {
  const row = fixed + names.length, found = [];
  const [height, width] = picture, within = (value, side) => Math.min(Math.max(value, 0), side);
  for (let at = 0; at < outputs.length; at += row) {
    const [x1, y1, x2, y2] = outputs.subarray(at, at + 4);
    const box = [
      within((x1 - led.left) / led.right, width), within((y1 - led.top) / led.down, height),
      within((x2 - led.left) / led.right, width), within((y2 - led.top) / led.down, height),
    ];
    if (!(box[2] - box[0] >= thin && box[3] - box[1] >= thin)) continue;
    const quality = sigmoid(outputs[at + fixed - 1]);
    for (let label = 0; label < names.length; label++) {
      const score = Math.sqrt(sigmoid(outputs[at + fixed + label]) * quality);
      if (score > least) found.push({score, label, box});
    }
  }
  found.sort((a, b) => b.score - a.score);
  const kept = [];
  for (const one of found.slice(0, candidates)) {
    if (!kept.some((other) => other.label === one.label && shared(other.box, one.box) > overlap)) kept.push(one);
  }
  return kept.slice(0, most).map(({box, score, label}) => ({box, score, name: names[label], colour: colours[label % colours.length]}));
}

// The intersection of two boxes over their union.
export function shared(a, b) {
  const area = ([x1, y1, x2, y2]) => (x2 - x1) * (y2 - y1);
  const wide = Math.min(a[2], b[2]) - Math.max(a[0], b[0]), tall = Math.min(a[3], b[3]) - Math.max(a[1], b[1]);
  const common = Math.max(wide, 0) * Math.max(tall, 0);
  return common / (area(a) + area(b) - common);
}

// The class of every pixel of the picture, that of the largest output there, -1 where the network saw none; and each
// class's share of those that it saw.
function mask(outputs, {names, colours}, {shape, led, picture}) {
  const [height, width, classes] = shape, seen = new Uint8Array(height * width), counts = new Array(classes).fill(0);
  for (let pixel = 0; pixel < seen.length; pixel++) {
    let best = 0;
    for (let k = 1; k < classes; k++) if (outputs[pixel * classes + k] > outputs[pixel * classes + best]) best = k;
    seen[pixel] = best;
  }
  const labels = ledBack(seen, [height, width], led, picture);
  let total = 0;
  for (const label of labels) if (label >= 0) { counts[label]++; total++; }
  const rows = byShare(names.map((name, k) => ({name, share: counts[k] / (total || 1), colour: k ? colours[k] : null})));
  return {labels, rows: rows.filter((row) => row.share)};
}

// The label at the middle of each pixel of a picture, which the network saw where `led` says; -1 where it saw none.
function ledBack(labels, [height, width], led, picture) {
  const found = new Int16Array(picture[0] * picture[1]).fill(-1);
  for (let row = 0; row < picture[0]; row++) for (let column = 0; column < picture[1]; column++) {
    const y = Math.floor((row + 0.5) * led.down + led.top), x = Math.floor((column + 0.5) * led.right + led.left);
    if (y >= 0 && y < height && x >= 0 && x < width) found[row * picture[1] + column] = labels[y * width + x];
  }
  return found;
}

export function measured(value) { // as core/figures.py has it: six digits, and all before the point
  const size = Math.abs(value);
  if (!(size >= 1e4 && size < 1e12)) return String(Number(value.toPrecision(6)));
  return value.toLocaleString("en", size < 99999.95 ? {maximumSignificantDigits: 6} : {maximumFractionDigits: 0});
}
