// A field is the part of the network's picture that one value of a map depends on, found by walking back over the steps.

const ALL = null; // everything

// The rows and columns [[first, last], [first, last]] of the input (both included) that pixel (row, column) of a value
// depends on; what lies outside the picture is cut off. Where a step mixes all places, that is the whole input.
export function field(network, value, row, column) {
  const needed = new Map([[value, [[row, row], [column, column]]]]);
  for (let number = value; number > 0; number--) {
    if (!needed.has(number)) continue;
    const step = network.steps[number - 1], part = needed.get(number);
    for (const operand of step.operands) {
      if (!Array.isArray(operand) || operand[0] !== "value") continue;
      const shape = network.shapes[operand[1]];
      const before = part && shape.length === 3 && step.shape.length === 3 ? within(reach(network, step, part, shape), shape) : ALL;
      const known = needed.has(operand[1]) ? joined(needed.get(operand[1]), before) : before;
      needed.set(operand[1], known);
    }
  }
  const [height, width] = network.shapes[0];
  return needed.get(0) ?? [[0, height - 1], [0, width - 1]];
}

function joined(a, b) {
  return a && b && a.map(([first, last], axis) => [Math.min(first, b[axis][0]), Math.max(last, b[axis][1])]);
}

function within(part, shape) {
  return part && part.map(([first, last], axis) => [Math.max(first, 0), Math.min(last, shape[axis] - 1)]);
}

// What one step reads for a part of its result.
function reach(network, {kind, shape, numbers, operands}, part, before) {
  const each = (of) => part.map(([first, last], axis) => of(first, last, axis));
  if (kind === "conv" || kind === "max_pool" || kind === "sum_pool") {
    const size = numbers.kernel ?? network.operand(operands[1]).shape, wide = numbers.dilation ?? [1, 1];
    return each((first, last, axis) => {
      const start = (index) => index * numbers.stride[axis] - numbers.padding[axis][0];
      return [start(first), start(last) + (size[axis] - 1) * wide[axis]];
    });
  }
  if (kind === "conv_transpose") {
    const size = network.operand(operands[1]).shape;
    return each((first, last, axis) => {
      const extent = (size[axis] - 1) * numbers.dilation[axis], start = numbers.padding[axis][0];
      return [Math.ceil((first + start - extent) / numbers.stride[axis]), Math.floor((last + start) / numbers.stride[axis])];
    });
  }
  if (kind === "pad") return each((first, last, axis) => [first - numbers.sides[axis][0], last - numbers.sides[axis][0]]);
  if (kind === "slice") {
    return each((first, last, axis) => {
      const [start, , step] = numbers.parts[axis];
      return [start + first * step, start + last * step];
    });
  }
  if (kind === "along" && numbers.axis < 2) {
    const matrix = network.operand(operands[1]), size = before[numbers.axis];
    return each((first, last, axis) => {
      if (axis !== numbers.axis) return [first, last];
      const used = [...Array(size).keys()].filter((k) => {
        for (let m = first; m <= last; m++) if (matrix.values[m * size + k]) return true;
        return false;
      });
      return used.length ? [used[0], used[used.length - 1]] : [first, last];
    });
  }
  if (kind === "concat" && numbers.axis < 2) return ALL;
  return ["reshape", "transpose", "mean", "sum", "amax"].includes(kind) && !alike(kind, numbers) ? ALL : part.map((ends, axis) =>
    before[axis] === shape[axis] ? ends : [0, before[axis] - 1]);
}

// Whether a reduction leaves places apart.
function alike(kind, numbers) {
  return numbers.axes !== undefined && numbers.axes.every((axis) => axis === 2);
}
