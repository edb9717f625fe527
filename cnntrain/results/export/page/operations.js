// Operations: what each step of a trace computes. Values are Float32Arrays of one sample in memory order (height, width,
// channels); sums are taken in double precision and rounded when they are stored. The list is that of
// cnntrain/ops/trace.py; each entry is given a step {inputs, shape, numbers}, looks at its shapes once, and returns
// a function that overwrites `out`.

const ONE = {
  exp: Math.exp, log: Math.log, tanh: Math.tanh, sqrt: Math.sqrt, abs: Math.abs, erf,
  neg: (x) => -x, sigmoid: (x) => 1 / (1 + Math.exp(-x)),
  sin: Math.sin, cos: Math.cos, tan: Math.tan, sinh: Math.sinh, cosh: Math.cosh,
  arcsin: Math.asin, arccos: Math.acos, arctan: Math.atan,
  arcsinh: Math.asinh, arccosh: Math.acosh, arctanh: Math.atanh,
  asin: Math.asin, acos: Math.acos, atan: Math.atan, asinh: Math.asinh, acosh: Math.acosh, atanh: Math.atanh,
  floor: Math.floor, ceil: Math.ceil, trunc: Math.trunc, rint: halfToEven, sign: Math.sign, cbrt: Math.cbrt,
  square: (x) => x * x, reciprocal: (x) => 1 / x, exp2: (x) => 2 ** x,
  expm1: Math.expm1, log1p: Math.log1p, log2: Math.log2, log10: Math.log10,
  absolute: Math.abs, fabs: Math.abs, negative: (x) => -x, positive: (x) => x,
  degrees: (x) => x * 180 / Math.PI, rad2deg: (x) => x * 180 / Math.PI,
  radians: (x) => x * Math.PI / 180, deg2rad: (x) => x * Math.PI / 180,
};
const TWO = {
  add: (a, b) => a + b, sub: (a, b) => a - b, mul: (a, b) => a * b, div: (a, b) => a / b, pow: Math.pow,
  max: Math.max, min: Math.min, maximum: Math.max, minimum: Math.min, hypot: Math.hypot, arctan2: Math.atan2,
};

const product = (sizes) => sizes.reduce((a, b) => a * b, 1);

export const OPERATIONS = {
  mean: (step) => reduced(step, (total, count) => total / count, (a, b) => a + b, 0),
  sum: (step) => reduced(step, (total) => total, (a, b) => a + b, 0),
  amax: (step) => reduced(step, (total) => total, Math.max, -Infinity),
  conv, conv_transpose,
  max_pool: (step) => pooled(step, Math.max, -Infinity),
  sum_pool: (step) => pooled(step, (a, b) => a + b, 0),
  matmul, along, pad, slice, concat, transpose,
  reshape: () => (out, x) => out.set(x),
};
for (const [kind, of] of Object.entries(ONE)) OPERATIONS[kind] = () => (out, x) => {
  for (let i = 0; i < out.length; i++) out[i] = of(x[i]);
};
for (const [kind, of] of Object.entries(TWO)) OPERATIONS[kind] = (step) => {
  const [a, b] = step.inputs.map((input) => places(input.shape, step.shape));
  return (out, x, y) => { for (let i = 0; i < out.length; i++) out[i] = of(x[a ? a[i] : i], y[b ? b[i] : i]); };
};

// Where each value of a result lies in an operand that NumPy's broadcasting stretches; null where that is the same
// place.
function places(shape, whole) {
  if (product(shape) === product(whole)) return null;
  const full = [...Array(whole.length - shape.length).fill(1), ...shape];
  const strides = stridesOf(full).map((stride, axis) => (full[axis] === 1 ? 0 : stride));
  return indices(whole, strides, 0);
}

function stridesOf(shape) {
  return shape.map((_, axis) => product(shape.slice(axis + 1)));
}

// The places start + sum of index * stride, in the memory order of a shape.
function indices(shape, strides, start) {
  let found = [start];
  shape.forEach((size, axis) => {
    found = found.flatMap((place) => Array.from({length: size}, (_, index) => place + index * strides[axis]));
  });
  return Int32Array.from(found);
}

function gathered(place) {
  return (out, x) => { for (let i = 0; i < out.length; i++) out[i] = x[place[i]]; };
}

function reduced({inputs, numbers}, end, join, first) {
  const shape = inputs[0].shape, strides = stridesOf(shape), over = shape.map((_, axis) => numbers.axes.includes(axis));
  const kept = indices(shape.filter((_, axis) => !over[axis]), strides.filter((_, axis) => !over[axis]), 0);
  const within = indices(shape.filter((_, axis) => over[axis]), strides.filter((_, axis) => over[axis]), 0);
  return (out, x) => {
    for (let i = 0; i < out.length; i++) {
      let total = first;
      for (let k = 0; k < within.length; k++) total = join(total, x[kept[i] + within[k]]);
      out[i] = end(total, within.length);
    }
  };
}

// Cross-correlation; the weight is (height, width, channels / groups, filters).
function conv({inputs, shape, numbers}) {
  const [height, width, channels] = inputs[0].shape, [rows, columns, filters] = shape;
  const [tall, wide, within] = inputs[1].shape, {stride, dilation, groups} = numbers;
  const [[top], [left]] = numbers.padding, each = filters / groups, sums = new Float64Array(each);
  return (out, x, weight, bias) => {
    for (let row = 0; row < rows; row++) for (let column = 0; column < columns; column++) {
      const to = (row * columns + column) * filters;
      for (let group = 0; group < groups; group++) {
        for (let f = 0; f < each; f++) sums[f] = bias ? bias[group * each + f] : 0;
        for (let i = 0; i < tall; i++) {
          const y = row * stride[0] - top + i * dilation[0];
          if (y < 0 || y >= height) continue;
          for (let j = 0; j < wide; j++) {
            const z = column * stride[1] - left + j * dilation[1];
            if (z < 0 || z >= width) continue;
            const from = (y * width + z) * channels + group * within;
            for (let c = 0; c < within; c++) {
              const value = x[from + c];
              if (value === 0) continue; // as half of all values are after a rectifier
              const at = ((i * wide + j) * within + c) * filters + group * each;
              for (let f = 0; f < each; f++) sums[f] += value * weight[at + f];
            }
          }
        }
        out.set(sums, to + group * each);
      }
    }
  };
}

// The adjoint: every pixel adds its filters to the result, `stride` apart, less the padding. The weight is (height,
// width, filters / groups, channels).
function conv_transpose({inputs, shape, numbers}) {
  const [height, width, channels] = inputs[0].shape, [rows, columns, filters] = shape;
  const [tall, wide, each] = inputs[1].shape, {stride, dilation, groups} = numbers, within = channels / groups;
  const [[top], [left]] = numbers.padding, sums = new Float64Array(rows * columns * filters);
  return (out, x, weight, bias) => {
    for (let i = 0; i < sums.length; i++) sums[i] = bias ? bias[i % filters] : 0;
    for (let row = 0; row < height; row++) for (let column = 0; column < width; column++) {
      for (let i = 0; i < tall; i++) for (let j = 0; j < wide; j++) {
        const y = row * stride[0] - top + i * dilation[0], z = column * stride[1] - left + j * dilation[1];
        if (y < 0 || y >= rows || z < 0 || z >= columns) continue;
        for (let f = 0; f < filters; f++) {
          const group = Math.floor(f / each), at = ((i * wide + j) * each + f % each) * channels + group * within;
          const from = (row * width + column) * channels + group * within;
          let sum = 0;
          for (let c = 0; c < within; c++) sum += x[from + c] * weight[at + c];
          sums[(y * columns + z) * filters + f] += sum;
        }
      }
    }
    out.set(sums);
  };
}

function pooled({inputs, shape, numbers}, join, first) {
  const [height, width] = inputs[0].shape, [rows, columns, channels] = shape, {kernel, stride} = numbers;
  const [[top], [left]] = numbers.padding;
  return (out, x) => {
    for (let row = 0; row < rows; row++) for (let column = 0; column < columns; column++) for (let c = 0; c < channels; c++) {
      let total = first;
      for (let i = 0; i < kernel[0]; i++) for (let j = 0; j < kernel[1]; j++) {
        const y = row * stride[0] - top + i, z = column * stride[1] - left + j;
        if (y >= 0 && y < height && z >= 0 && z < width) total = join(total, x[(y * width + z) * channels + c]);
      }
      out[(row * columns + column) * channels + c] = total;
    }
  };
}

function matmul({inputs}) {
  const [size, units] = inputs[1].shape, sums = new Float64Array(units);
  return (out, x, weight) => {
    for (let row = 0; row * units < out.length; row++) {
      sums.fill(0);
      for (let i = 0; i < size; i++) {
        const value = x[row * size + i];
        if (value === 0) continue;
        for (let unit = 0; unit < units; unit++) sums[unit] += value * weight[i * units + unit];
      }
      out.set(sums, row * units);
    }
  };
}

// A matrix (new size, size) times the values along an axis.
function along({inputs, shape, numbers}) {
  const size = inputs[0].shape[numbers.axis], made = shape[numbers.axis];
  const inner = product(shape.slice(numbers.axis + 1)), outer = product(shape.slice(0, numbers.axis));
  return (out, x, matrix) => {
    for (let o = 0; o < outer; o++) for (let m = 0; m < made; m++) for (let i = 0; i < inner; i++) {
      let sum = 0;
      for (let k = 0; k < size; k++) sum += matrix[m * size + k] * x[(o * size + k) * inner + i];
      out[(o * made + m) * inner + i] = sum;
    }
  };
}

function pad({inputs, shape, numbers}) {
  const strides = stridesOf(shape), start = numbers.sides.reduce((sum, [before], axis) => sum + before * strides[axis], 0);
  const place = indices(inputs[0].shape, strides, start);
  return (out, x) => {
    out.fill(0);
    for (let i = 0; i < place.length; i++) out[place[i]] = x[i];
  };
}

function slice({inputs, shape, numbers}) {
  const strides = stridesOf(inputs[0].shape), start = numbers.parts.reduce((sum, [first], axis) => sum + first * strides[axis], 0);
  return gathered(indices(shape, numbers.parts.map(([, , step], axis) => step * strides[axis]), start));
}

function concat({inputs, shape, numbers}) {
  const inner = product(shape.slice(numbers.axis + 1)), whole = shape[numbers.axis] * inner;
  const sizes = inputs.map((input) => input.shape[numbers.axis] * inner);
  return (out, ...parts) => {
    for (let start = 0, row = 0; start < out.length; row++) parts.forEach((x, k) => {
      out.set(x.subarray(row * sizes[k], (row + 1) * sizes[k]), start);
      start += sizes[k];
    });
  };
}

function transpose({inputs, shape, numbers}) {
  const strides = stridesOf(inputs[0].shape);
  return gathered(indices(shape, numbers.order.map((axis) => strides[axis]), 0));
}

function halfToEven(x) {
  const down = Math.floor(x), rest = x - down;
  return rest > 0.5 || (rest === 0.5 && down % 2 !== 0) ? down + 1 : down;
}

// The error function by Cody's rational approximations (1969), as in cnntrain/ops/erf.py.
const ERF_P = [1.85777706184603153e-1, 3.16112374387056560, 1.13864154151050156e2, 3.77485237685302021e2, 3.20937758913846947e3];
const ERF_Q = [1, 2.36012909523441209e1, 2.44024637934444173e2, 1.28261652607737228e3, 2.84423683343917062e3];
const ERF_R = [2.15311535474403846e-8, 5.64188496988670089e-1, 8.88314979438837594, 6.61191906371416295e1,
  2.98635138197400131e2, 8.81952221241769090e2, 1.71204761263407058e3, 2.05107837782607147e3, 1.23033935479799725e3];
const ERF_S = [1, 1.57449261107098347e1, 1.17693950891312499e2, 5.37181101862009858e2, 1.62138957456669019e3,
  3.29079923573345963e3, 4.36261909014324716e3, 3.43936767414372164e3, 1.23033935480374942e3];

function erf(x) {
  const size = Math.min(Math.abs(x), 6), horner = (terms, z) => terms.reduce((sum, term) => sum * z + term, 0);
  if (size <= 0.46875) return x * horner(ERF_P, x * x) / horner(ERF_Q, x * x);
  return Math.sign(x) * (1 - Math.exp(-size * size) * horner(ERF_R, size) / horner(ERF_S, size));
}
