// A network: the steps of a trace in order, each with a buffer of its own, so that every value can be looked at.

import {OPERATIONS} from "./operations.js";

const product = (sizes) => sizes.reduce((a, b) => a * b, 1);

export class Network {
  // `trace` is {input, constants, steps, output}; a step has an operation's kind, shape and numbers, and its operands: the number
  // of a value (0 is the input), the number of a constant, a plain number, or null. `weights` are all constants, one
  // after the other.
  constructor(trace, weights) {
    this.steps = trace.steps;
    this.shapes = [trace.input, ...trace.steps.map((step) => step.shape)];
    this.values = this.shapes.map((shape) => new Float32Array(product(shape)));
    this.constants = [];
    let start = 0;
    for (const shape of trace.constants) {
      this.constants.push({shape, values: weights.subarray(start, start += product(shape))});
    }
    this.output = trace.output;
    this.tasks = trace.steps.map((step, number) => this.#prepared(step, this.values[number + 1]));
  }

  #prepared(step, out) {
    const operands = step.operands.map((operand) => this.operand(operand));
    const run = OPERATIONS[step.kind]({...step, inputs: operands.map((one) => one && {shape: one.shape})});
    const given = operands.map((one) => one && one.values);
    return () => run(out, ...given);
  }

  operand(operand) {
    if (operand === null) return null;
    if (typeof operand === "number") return {shape: [], values: Float32Array.of(operand)};
    const [kind, number] = operand;
    return kind === "value" ? {shape: this.shapes[number], values: this.values[number]} : this.constants[number];
  }

  // The outputs for one picture; every value is in `values` until the next call.
  run(pixels) {
    this.values[0].set(pixels);
    for (const task of this.tasks) task();
    return this.values[this.output];
  }
}

// The numbers of an array of float32 written in base 64, lowest byte first.
export function decoded(text) {
  const bytes = atob(text.trim()), array = new Uint8Array(bytes.length);
  for (let i = 0; i < array.length; i++) array[i] = bytes.charCodeAt(i);
  return new Float32Array(array.buffer);
}
