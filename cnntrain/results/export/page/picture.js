// A picture is what the network is asked about: drawn here, or read from a file, the clipboard or a camera.

// The pixels of an image file as `predict` reads it: turned as EXIF says, laid over white where it is transparent, its
// colour profile not applied.
export async function read(blob) {
  const bitmap = await createImageBitmap(blob, {colorSpaceConversion: "none"});
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height), context = canvas.getContext("2d", {willReadFrequently: true});
  context.fillStyle = "white";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(bitmap, 0, 0);
  return context.getImageData(0, 0, canvas.width, canvas.height);
}

// A canvas to draw on with a finger, a pen or a mouse; `changed` is called after each piece of a stroke.
export class Drawing {
  constructor(canvas, [height, width], changed) {
    const scale = Math.max(1, Math.round(280 / Math.max(height, width)));
    this.size = [height * scale, width * scale];
    this.canvas = canvas;
    this.light = false; // whether the paper is white
    this.pen = Math.max(...this.size) / 12;
    let last = null;
    const place = (event) => {
      const box = canvas.getBoundingClientRect();
      return [(event.clientX - box.left) / box.width * canvas.width, (event.clientY - box.top) / box.height * canvas.height];
    };
    const draw = (event) => {
      const context = canvas.getContext("2d"), to = place(event);
      Object.assign(context, {strokeStyle: this.light ? "black" : "white", lineWidth: this.pen, lineCap: "round", lineJoin: "round"});
      context.beginPath();
      context.moveTo(...last);
      context.lineTo(to[0], to[1] + 0.01); // so that a dot is seen, too
      context.stroke();
      last = to;
      this.blank = false;
      changed();
    };
    canvas.addEventListener("pointerdown", (event) => {
      if (!this.active) this.clear();
      canvas.setPointerCapture(event.pointerId);
      last = place(event);
      draw(event);
    });
    canvas.addEventListener("pointermove", (event) => { if (last) draw(event); });
    for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, () => { last = null; });
    this.changed = changed;
  }

  // An empty sheet of paper.
  clear() {
    [this.canvas.height, this.canvas.width] = this.size;
    const context = this.canvas.getContext("2d");
    context.fillStyle = this.light ? "white" : "black";
    context.fillRect(0, 0, this.canvas.width, this.canvas.height);
    this.active = this.blank = true;
    this.changed();
  }
}

// A camera, whose frames are handed to `frame` as pixels until it is stopped.
export class Camera {
  constructor(frame) {
    this.frame = frame;
    this.video = document.createElement("video");
    this.video.playsInline = true;
    this.canvas = new OffscreenCanvas(1, 1);
  }

  get on() {
    return Boolean(this.stream);
  }

  async start() {
    this.stream = await navigator.mediaDevices.getUserMedia({video: {facingMode: "environment", width: 640, height: 480}});
    this.video.srcObject = this.stream;
    await this.video.play();
    const next = () => {
      if (!this.stream) return;
      const {videoWidth: width, videoHeight: height} = this.video;
      if (width) {
        Object.assign(this.canvas, {width, height});
        const context = this.canvas.getContext("2d", {willReadFrequently: true});
        context.drawImage(this.video, 0, 0);
        this.frame(context.getImageData(0, 0, width, height));
      }
      requestAnimationFrame(next);
    };
    next();
  }

  stop() {
    for (const track of this.stream?.getTracks() ?? []) track.stop();
    this.stream = null;
  }
}
