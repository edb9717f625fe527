// The page: a picture goes in, the network computes, and what it says is shown, with every layer's part in it.
import {ANSWERS, measured} from "./answers.js";
import {Layers, element} from "./layers.js";
import {Network, decoded} from "./network.js";
import {coloured, fitted, placement} from "./pillow.js";
import {Camera, Drawing, read} from "./picture.js";

const TOP = 5; // answers shown with a bar
const facts = JSON.parse(document.getElementById("facts").textContent);
const network = new Network(facts.trace, decoded(document.getElementById("weights").textContent));
const find = (id) => document.getElementById(id);
const [height, width, channels] = facts.trace.input, asked = facts.asked;
const shown = find("picture"), over = find("over");
shown.getContext("2d", {willReadFrequently: true}); // as each stroke is
const seen = element("canvas", {width, height});
let current = null; // the picture that is asked about, as ImageData

// Where the network sees what a picture [height, width] shows: x * right + left, y * down + top.
function ledTo(picture) {
  const {box, size, place} = placement(picture, [height, width], facts.fit), {moved} = facts;
  const right = size[1] / (box[2] - box[0]), down = size[0] / (box[3] - box[1]);
  return {
    right: right * moved.right, left: (place[1] - right * box[0]) * moved.right + moved.left,
    down: down * moved.down, top: (place[0] - down * box[1]) * moved.down + moved.top,
  };
}

// The outputs for a picture.
function computed(picture) {
  const given = coloured(picture.data, channels);
  const bytes = fitted(given, [picture.height, picture.width], channels, [height, width], facts.fit, facts.pillow);
  const image = new ImageData(width, height), pixels = new Float32Array(bytes.length);
  for (let i = 0; i < bytes.length; i++) pixels[i] = bytes[i] / 255;
  for (let i = 0; i < width * height; i++) {
    for (let c = 0; c < 3; c++) image.data[4 * i + c] = bytes[i * channels + (channels === 3 ? c : 0)];
    image.data[4 * i + 3] = 255;
  }
  seen.getContext("2d").putImageData(image, 0, 0);
  return network.run(pixels);
}

function answer(outputs, picture) {
  const size = [picture.height, picture.width];
  return ANSWERS[asked.as](outputs, asked, {led: ledTo(size), picture: size, shape: network.shapes[network.output]});
}

function update() {
  if (!current) return;
  const start = performance.now(), outputs = computed(current), done = performance.now();
  layers.update();
  if (document.body.classList.contains("empty")) {
    over.getContext("2d").clearRect(0, 0, over.width, over.height);
    find("time").textContent = "";
    return bars([], "no picture yet");
  }
  show(answer(outputs, current));
  const words = (time) => (time < 10 ? time.toFixed(1) : Math.round(time));
  find("time").textContent = `${words(performance.now() - start)} ms, of which ${words(done - start)} for the network.`;
}

let waiting = false;
function soon() {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => { waiting = false; update(); });
}

// -- what is shown of an answer

function show(found) {
  const context = over.getContext("2d");
  const fine = asked.as === "boxes" ? Math.max(1, Math.ceil(over.clientWidth * devicePixelRatio / shown.width)) : 1; // for letters
  Object.assign(over, {width: fine * shown.width, height: fine * shown.height});
  context.clearRect(0, 0, over.width, over.height);
  if (asked.as === "boxes") {
    const sure = found.filter(({score}) => score >= asked.shown);
    for (const one of [...sure].reverse()) frame(context, one, fine);
    bars(sure.slice(0, 12).map(({name, score, colour}) => ({name, share: score, colour})), "nothing found");
  } else if (asked.as === "mask") {
    context.putImageData(inked(found), 0, 0);
    bars(found.rows);
  } else bars(asked.as === "ranked" ? found.slice(0, TOP) : found);
}

// A box with its class and score, `fine` pixels to one of the picture; text is of one size on the screen, however large
// the picture.
function frame(context, {box, name, score, colour}, fine) {
  const [x1, y1, x2, y2] = box.map((place) => place * fine);
  const scale = over.width / (over.clientWidth || over.width), ink = `rgb(${colour})`, words = `${name} ${score.toFixed(2)}`;
  Object.assign(context, {strokeStyle: ink, lineWidth: 2 * scale, font: `600 ${12 * scale}px system-ui, sans-serif`, textBaseline: "bottom"});
  context.strokeRect(x1, y1, x2 - x1, y2 - y1);
  const wide = context.measureText(words).width + 6 * scale, tall = 16 * scale, top = Math.max(y1, tall);
  const left = Math.max(0, Math.min(x1, over.width - wide));
  context.fillStyle = ink;
  context.fillRect(left - scale, top - tall, wide, tall);
  context.fillStyle = "white";
  context.fillText(words, left + 2 * scale, top - scale);
}

function inked({labels}) {
  const image = new ImageData(over.width, over.height);
  labels.forEach((label, i) => {
    if (label > 0) image.data.set([...asked.colours[label], 255 * asked.ink], 4 * i);
  });
  return image;
}

function bars(rows, nothing = "") {
  const made = rows.map(({name, share, value, colour}) => {
    const number = share === undefined ? measured(value) : share.toFixed(4);
    const bar = element("span", {class: "level"}, element("i"));
    bar.firstChild.style.width = `${100 * (share ?? 0)}%`;
    if (colour !== undefined) bar.firstChild.style.background = colour ? `rgb(${colour})` : "var(--quiet)"; // clear in the picture
    return element("li", {}, element("bdi", {}, name), element("b", {}, number), ...(share === undefined ? [] : [bar]));
  });
  find("answers").replaceChildren(...(made.length || !nothing ? made : [element("li", {class: "quiet"}, nothing)]));
}

// -- where pictures come from

function ask(picture) {
  document.body.classList.remove("empty");
  if (drawing) drawing.active = false;
  put(picture);
}

function put(picture) {
  Object.assign(shown, {width: picture.width, height: picture.height});
  shown.getContext("2d").putImageData(picture, 0, 0);
  current = picture;
  update();
}

async function open(blob) {
  camera.stop();
  told();
  try {
    ask(await read(blob));
  } catch {
    find("told").textContent = `${blob.name ?? "This"} is not a picture that the browser can read.`;
  }
}

function told() {
  find("told").textContent = "";
  find("camera").textContent = camera.on ? "Stop camera" : "Camera";
}

const camera = new Camera(ask);
const drawing = channels === 1 && new Drawing(shown, [height, width], () => {
  camera.stop();
  told();
  document.body.classList.toggle("empty", drawing.blank);
  current = shown.getContext("2d").getImageData(0, 0, shown.width, shown.height);
  soon();
});
const layers = new Layers(find("layers"), find("detail"), network, facts.layers, asked.names, () => seen);

find("file").addEventListener("change", ({target}) => { if (target.files[0]) open(target.files[0]); target.value = ""; });
find("camera").addEventListener("click", async () => {
  if (camera.on) camera.stop();
  else await camera.start().catch((error) => { find("told").textContent = `No camera: ${error.message}.`; });
  if (camera.on || !find("told").textContent) told();
});
addEventListener("dragover", (event) => event.preventDefault());
addEventListener("drop", (event) => {
  event.preventDefault();
  if (event.dataTransfer.files[0]) open(event.dataTransfer.files[0]);
});
addEventListener("paste", (event) => {
  const file = [...event.clipboardData.files].find(({type}) => type.startsWith("image/"));
  if (file) open(file);
});
if (drawing) {
  drawing.light = find("paper").checked = facts.light;
  find("clear").addEventListener("click", () => drawing.clear());
  find("paper").addEventListener("change", ({target}) => { drawing.light = target.checked; drawing.clear(); });
  drawing.clear();
} else {
  const empty = new ImageData(width, height);
  empty.data.fill(127);
  for (let i = 3; i < empty.data.length; i += 4) empty.data[i] = 255;
  document.body.classList.add("empty");
  put(empty);
}

// For programs that drive the page: the outputs for an image file, and the answer.
globalThis.cnntrain = {
  async ask(blob) {
    const picture = await read(blob), outputs = computed(picture);
    return {outputs: [...outputs], answer: answer(outputs, picture)};
  },
  open,
};
