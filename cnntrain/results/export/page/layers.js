// Layers: what every layer makes of the picture, and on a closer look one filter with what it responds to.
import {field} from "./field.js";
import {fit, layout, show, under} from "./sheet.js";

const SIDE = 110, AROUND = 90; // pixels of a picture's side on a closer look; beside three of them, where the window is narrow
const product = (sizes) => sizes.reduce((a, b) => a * b, 1);

// An element with attributes and content; text in it is only ever text.
export function element(tag, attributes = {}, ...content) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...content);
  return made;
}

export class Layers {
  // `layers` are {name, type, value}; `seen()` gives what the network sees as a canvas.
  constructor(root, detail, network, layers, names, seen) {
    Object.assign(this, {root, detail, network, names, seen, looked: null});
    this.visible = new Set();
    this.rows = layers.map((layer) => this.#row(layer));
    const watcher = new IntersectionObserver((entries) => {
      for (const {target, isIntersecting} of entries) {
        const row = this.rows.find((one) => one.figure === target);
        if (isIntersecting) { this.visible.add(row); this.#show(row); } else this.visible.delete(row);
      }
    }, {rootMargin: "200px"});
    this.#arrange();
    for (const row of this.rows) watcher.observe(row.figure);
    addEventListener("resize", () => this.#arrange());
    addEventListener("beforeprint", () => { for (const row of this.rows) this.#show(row); });
    detail.querySelector("button").addEventListener("click", () => this.#close());
  }

  #row(layer) {
    const shape = this.network.shapes[layer.value], canvas = element("canvas", {class: "sheet"});
    const size = element("span", {}, `${layer.type}, ${shape.join(" × ")}`);
    const figure = element("figure", {}, element("figcaption", {}, element("b", {}, layer.name), size), canvas);
    const row = {...layer, shape, canvas, figure};
    canvas.addEventListener("pointermove", (event) => this.#look(row, under(canvas, event, row.place)));
    canvas.addEventListener("pointerdown", (event) => this.#look(row, under(canvas, event, row.place)));
    canvas.addEventListener("pointerleave", (event) => { if (event.pointerType === "mouse") this.#close(); });
    this.root.append(figure);
    return row;
  }

  // Show what the network has just computed, as far as it is on the screen.
  update() {
    for (const row of this.visible) this.#show(row);
    if (this.looked) this.#detail();
  }

  // Give each sheet the room that there is.
  #arrange() {
    for (const row of this.rows) {
      row.place = layout(row.shape, this.root.clientWidth);
      fit(row.canvas, row.place);
    }
    this.update();
  }

  #show(row) {
    show(row.canvas, this.network.values[row.value], row.place);
  }

  #close() {
    this.looked = null;
    this.detail.hidden = true;
  }

  #look(row, map) {
    if (map < 0 || (this.looked && this.looked.row === row && this.looked.map === map)) return;
    this.looked = {row, map};
    this.#detail();
  }

  #detail() {
    const {row, map} = this.looked, body = this.detail.querySelector("div");
    const maps = row.shape.length === 3 && row.shape[0] * row.shape[1] > 1;
    this.detail.hidden = false;
    this.detail.querySelector("b").textContent = `${row.name}, ${maps ? "filter" : "number"} ${map} of 0 to ${row.place.count - 1}`;
    body.replaceChildren(...(maps ? this.#place(row, map) : this.#number(row, map)), ...this.#weights(row, map));
  }

  // A map, and the part of the picture to which it responds most.
  #place({value, shape}, map) {
    const [height, width, count] = shape, values = this.network.values[value], own = new Float32Array(height * width);
    let best = 0;
    for (let i = 0; i < own.length; i++) {
      own[i] = values[i * count + map];
      if (own[i] > own[best]) best = i;
    }
    const row = Math.floor(best / width), column = best % width, picture = element("canvas", {class: "sheet"});
    const side = Math.min(SIDE, Math.floor((innerWidth - AROUND) / 3));
    show(picture, own, layout([height, width, 1], 150, side));
    picture.style.width = `${side * width / Math.max(height, width)}px`;
    const [[top, bottom], [left, right]] = field(this.network, value, row, column);
    const tall = bottom - top + 1, wide = right - left + 1, seen = this.seen();
    const whole = element("canvas", {width: seen.width, height: seen.height}), part = element("canvas", {width: wide, height: tall});
    whole.getContext("2d").drawImage(seen, 0, 0);
    const scale = side / Math.max(seen.width, seen.height);
    whole.style.width = `${seen.width * scale}px`;
    part.getContext("2d").drawImage(seen, left, top, wide, tall, 0, 0, wide, tall);
    part.style.width = `${side * wide / Math.max(wide, tall)}px`;
    const marked = element("div", {class: "marked"}, whole, element("i"));
    Object.assign(marked.lastChild.style, {
      left: `${left * scale}px`, top: `${top * scale}px`, width: `${wide * scale}px`, height: `${tall * scale}px`,
    });
    const words = `${own[best].toPrecision(3)} at its strongest`;
    const all = tall === seen.height && wide === seen.width;
    return [captioned(words, picture), captioned(all ? "sees the whole picture" : "what it sees there", marked),
      ...(all ? [] : [captioned(`${tall} × ${wide} pixels`, part)])];
  }

  #number({value}, map) {
    const output = value === this.network.output && this.names[map] !== undefined;
    const words = this.network.values[value][map].toPrecision(4);
    return [element("p", {}, ...(output ? [element("bdi", {}, this.names[map]), `: ${words}`] : [words]))];
  }

  // The weights of a filter or a unit, a picture for each map that it reads.
  #weights(row, map) {
    const step = row.steps.map((number) => this.network.steps[number]).find(({kind}) => kind === "conv" || kind === "matmul");
    if (!step) return [];
    const {shape, values} = this.network.operand(step.operands[1]), filters = shape[shape.length - 1];
    let read = step.kind === "conv" ? shape.slice(0, 3) : this.#before(step.operands[0]);
    if (product(read) * filters !== values.length) read = [shape[0]];
    const own = Float32Array.from({length: product(read)}, (_, i) => values[i * filters + map]), canvas = element("canvas", {class: "sheet"});
    show(canvas, own, layout(read, 250, read.length === 3 && read[2] > 3 ? 20 : 80));
    const many = read.length === 3 && read[2] > 1;
    const words = many ? `its weights for ${read[2]} maps: red adds, blue subtracts` : "its weights: red adds, blue subtracts";
    const figure = captioned(words, canvas);
    figure.className = "weights";
    return [figure];
  }

  // The shape of a value, or of the maps that were flattened into it.
  #before([, number]) {
    const step = this.network.steps[number - 1];
    return step && step.kind === "reshape" ? this.network.operand(step.operands[0]).shape : this.network.shapes[number];
  }
}

function captioned(words, ...content) {
  return element("figure", {}, ...content, element("figcaption", {}, words));
}
