// What the report can do: run the network on a drawing, filter the mistakes, switch splits, show what lies under the pointer.
// Everything is in this file and the page around it; nothing is loaded. Tensors are {shape, data: Float32Array}, channels last.
"use strict";

// ---- The network: each function takes a layer and its input, and gives its output, as TensorFlow computes it ----

const ACTIVATIONS = {
  linear: (x) => x,
  relu: (x) => Math.max(x, 0),
  leaky_relu: (x) => (x < 0 ? 0.2 * x : x), // Keras' slope
  elu: (x) => (x < 0 ? Math.expm1(x) : x),
  softplus: (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x))),
  tanh: Math.tanh,
  sigmoid: (x) => 1 / (1 + Math.exp(-x)),
  gelu: (x) => 0.5 * x * (1 + erf(x / Math.SQRT2)),
};

/** The error function, to 1.5e-7: Abramowitz and Stegun 7.1.26. */
function erf(x) {
  const t = 1 / (1 + 0.3275911 * Math.abs(x));
  const series = ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592) * t;
  return Math.sign(x) * (1 - series * Math.exp(-x * x));
}

function sizeOf(shape) {
  return shape.reduce((product, side) => product * side, 1);
}

function apply(name, tensor) {
  const activate = ACTIVATIONS[name];
  return { shape: tensor.shape, data: tensor.data.map((value) => activate(value)) };
}

/** Where the first window begins: with padding "same", TensorFlow puts the odd row of zeros at the end. */
function firstPlace(padding, side, window, stride, places) {
  return padding === "same" ? -Math.floor(Math.max((places - 1) * stride + window - side, 0) / 2) : 0;
}

/** kernel: (height, width, channels, filters). */
function convolve(layer, input) {
  const [height, width, channels] = input.shape;
  const [rows, columns, filters] = layer.shape;
  const [kernel, bias] = layer.weights;
  const [windowHeight, windowWidth] = kernel.shape;
  const [down, across] = layer.strides;
  const top = firstPlace(layer.padding, height, windowHeight, down, rows);
  const left = firstPlace(layer.padding, width, windowWidth, across, columns);
  const output = new Float32Array(rows * columns * filters);
  const sums = new Float64Array(filters);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      if (bias) sums.set(bias.data);
      else sums.fill(0);
      for (let i = 0; i < windowHeight; i++) {
        const y = top + row * down + i;
        if (y < 0 || y >= height) continue;
        for (let j = 0; j < windowWidth; j++) {
          const x = left + column * across + j;
          if (x < 0 || x >= width) continue;
          addProducts(sums, input.data, (y * width + x) * channels, channels, kernel.data, (i * windowWidth + j) * channels);
        }
      }
      output.set(sums, (row * columns + column) * filters);
    }
  }
  return { shape: layer.shape, data: output };
}

/** Add values[start + k] * weights[first + k, :] for each k to the sums. */
function addProducts(sums, values, start, count, weights, first) {
  const width = sums.length;
  for (let k = 0; k < count; k++) {
    const value = values[start + k];
    if (value === 0) continue; // after a ReLU, half of them
    const offset = (first + k) * width;
    for (let number = 0; number < width; number++) sums[number] += value * weights[offset + number];
  }
}

function dense(layer, input) {
  const [kernel, bias] = layer.weights;
  const sums = new Float64Array(layer.shape[0]);
  if (bias) sums.set(bias.data);
  addProducts(sums, input.data, 0, input.data.length, kernel.data, 0);
  return apply(layer.activation, { shape: layer.shape, data: Float32Array.from(sums) });
}

function maxPool(layer, input) {
  const [, width, channels] = input.shape;
  const [rows, columns] = layer.shape;
  const [windowHeight, windowWidth] = layer.pool_size;
  const [down, across] = layer.strides;
  const output = new Float32Array(rows * columns * channels).fill(-Infinity);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const target = (row * columns + column) * channels;
      for (let i = 0; i < windowHeight; i++) {
        for (let j = 0; j < windowWidth; j++) {
          const source = ((row * down + i) * width + column * across + j) * channels;
          for (let c = 0; c < channels; c++) {
            if (input.data[source + c] > output[target + c]) output[target + c] = input.data[source + c];
          }
        }
      }
    }
  }
  return { shape: layer.shape, data: output };
}

function average(layer, input) {
  const channels = layer.shape[0];
  const sums = new Float64Array(channels);
  input.data.forEach((value, place) => { sums[place % channels] += value; });
  const places = input.data.length / channels;
  return { shape: layer.shape, data: Float32Array.from(sums, (sum) => sum / places) };
}

function softmax(layer, input) {
  const highest = Math.max(...input.data);
  const powers = Array.from(input.data, (value) => Math.exp(value - highest));
  const total = powers.reduce((sum, power) => sum + power, 0);
  return { shape: layer.shape, data: Float32Array.from(powers, (power) => power / total) };
}

const LAYERS = {
  Rescaling: (layer, input) => ({ shape: layer.shape, data: input.data.map((value) => value * layer.scale + layer.offset) }),
  Conv2D: (layer, input) => apply(layer.activation, convolve(layer, input)),
  Activation: (layer, input) => apply(layer.activation, input),
  MaxPooling2D: maxPool,
  GlobalAveragePooling2D: average,
  Flatten: (layer, input) => ({ shape: layer.shape, data: input.data }),
  Dense: dense,
  Dropout: (layer, input) => input,
  Softmax: softmax,
};

/** The network with its weights as tensors, from what the page holds. */
function unpackNetwork(packed) {
  const bytes = Uint8Array.from(atob(packed.weights), (letter) => letter.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  let place = 0;
  const take = (shape) => {
    const data = new Float32Array(sizeOf(shape));
    for (let number = 0; number < data.length; number++, place += 4) data[number] = view.getFloat32(place, true);
    return { shape, data };
  };
  return { shape: packed.shape, layers: packed.layers.map((layer) => ({ ...layer, weights: layer.weights.map(take) })) };
}

/** The output of each layer for one image: pixels, 0 to 255, row by row. The last one has the probabilities. */
function runNetwork(network, pixels) {
  let tensor = { shape: network.shape, data: Float32Array.from(pixels) };
  return network.layers.map((layer) => (tensor = LAYERS[layer.kind](layer, tensor)));
}

// ---- The drawing: ink on a fine grid, from which the network's pixels are averaged ----

const FINE = 10; // points of ink a pixel, each way
const BOX = 20; // pixels that a digit fits into, in the way that MNIST was made

/** The mean of each block of FINE x FINE points: 0 to 255. */
function shrink(ink, height, width) {
  const pixels = new Float32Array(height * width);
  let place = 0;
  for (let y = 0; y < height * FINE; y++) {
    for (let x = 0; x < width; x++) {
      let sum = 0;
      for (let k = 0; k < FINE; k++) sum += ink[place++];
      pixels[Math.floor(y / FINE) * width + x] += sum / (FINE * FINE);
    }
  }
  return pixels;
}

/** The ink's extent {left, top, right, bottom} (the last two exclusive), or null where there is none. */
function extentOf(ink, height, width) {
  let left = width, top = height, right = 0, bottom = 0;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      if (ink[y * width + x] < 16) continue;
      left = Math.min(left, x);
      right = Math.max(right, x + 1);
      top = Math.min(top, y);
      bottom = Math.max(bottom, y + 1);
    }
  }
  return right ? { left, top, right, bottom } : null;
}

/** The centre of mass (x, y) of an image. */
function centreOf(pixels, width) {
  let mass = 0, x = 0, y = 0;
  pixels.forEach((value, place) => {
    mass += value;
    x += value * ((place % width) + 0.5);
    y += value * (Math.floor(place / width) + 0.5);
  });
  return [x / mass, y / mass];
}

/** The ink of a canvas as a digit of MNIST: fitted into BOX x BOX pixels, its centre of mass in the middle. */
function fitted(canvas, height, width) {
  const pixels = new Float32Array(height * width);
  const extent = extentOf(inkOf(canvas), canvas.height, canvas.width);
  if (!extent) return pixels;
  const { left, top, right, bottom } = extent;
  const scale = (BOX * FINE) / Math.max(right - left, bottom - top);
  const box = blankCanvas(BOX * FINE, BOX * FINE);
  const size = [(right - left) * scale, (bottom - top) * scale];
  box.getContext("2d").drawImage(canvas, left, top, right - left, bottom - top, 0, 0, ...size);
  const digit = shrink(inkOf(box), BOX, BOX);
  const [x, y] = centreOf(digit, BOX);
  const across = Math.round(width / 2 - x); // by whole pixels, as MNIST
  const down = Math.round(height / 2 - y);
  digit.forEach((value, place) => {
    const column = (place % BOX) + across;
    const row = Math.floor(place / BOX) + down;
    if (column >= 0 && column < width && row >= 0 && row < height) pixels[row * width + column] = value;
  });
  return pixels;
}

function blankCanvas(width, height) {
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.fillRect(0, 0, width, height);
  return canvas;
}

/** The brightness of each point of a canvas of greys. */
function inkOf(canvas) {
  const { data } = canvas.getContext("2d", { willReadFrequently: true }).getImageData(0, 0, canvas.width, canvas.height);
  const ink = new Uint8Array(data.length / 4);
  for (let place = 0; place < ink.length; place++) ink[place] = data[4 * place];
  return ink;
}

// ---- The panel ----

function startPanel(network, classes, likeMnist) {
  const [height, width] = network.shape;
  const ink = blankCanvas(width * FINE, height * FINE);
  const pen = ink.getContext("2d", { willReadFrequently: true });
  pen.lineWidth = Math.max(0.075 * Math.max(ink.width, ink.height), FINE);
  pen.lineCap = pen.lineJoin = "round";
  pen.strokeStyle = "#fff";
  const panel = { network, classes, ink, pen, cursor: [width / 2, height / 2], keyed: false, down: false };
  panel.pad = document.getElementById("pad");
  panel.pad.width = ink.width;
  panel.pad.height = ink.height;
  panel.likeMnist = likeMnist;
  makeRows(classes);
  makeMaps(network);
  followPointer(panel);
  followKeys(panel);
  document.getElementById("clear").addEventListener("click", () => clearPad(panel));
  for (const button of document.querySelectorAll("[data-picture]")) {
    button.addEventListener("click", () => {
      takePicture(panel, button);
      if (!button.closest(".samples")) showPanel(panel);
    });
  }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => refresh(panel));
  const first = document.querySelector("[data-first]");
  if (first) first.querySelector("img").decode().then(() => takePicture(panel, first));
  else clearPad(panel);
}

function showPanel(panel) {
  document.getElementById("draw").scrollIntoView();
  panel.pad.focus({ preventScroll: true });
}

function clearPad(panel) {
  panel.pen.fillStyle = "#000";
  panel.pen.fillRect(0, 0, panel.ink.width, panel.ink.height);
  panel.fit = panel.likeMnist;
  panel.source = "The pad is empty: draw something.";
  refresh(panel);
}

/** Lay an image of the page on the pad, point for point. */
function takePicture(panel, button) {
  panel.pen.imageSmoothingEnabled = false;
  panel.pen.drawImage(button.querySelector("img"), 0, 0, panel.ink.width, panel.ink.height);
  panel.fit = false;
  panel.source = `On the pad: ${button.dataset.picture}.`;
  refresh(panel);
}

/** Draw a line from one point of the ink to another. */
function stroke(panel, from, to) {
  panel.pen.beginPath();
  panel.pen.moveTo(...from);
  panel.pen.lineTo(to[0] + 0.01, to[1]); // a line of no length would leave no dot
  panel.pen.stroke();
  panel.source = "On the pad: your drawing.";
  refresh(panel);
}

function followPointer(panel) {
  const { pad } = panel;
  let last = null;
  const point = (event) => {
    const box = pad.getBoundingClientRect();
    return [((event.clientX - box.left) / box.width) * pad.width, ((event.clientY - box.top) / box.height) * pad.height];
  };
  pad.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    pad.setPointerCapture(event.pointerId);
    panel.keyed = false;
    last = point(event);
    stroke(panel, last, last);
  });
  pad.addEventListener("pointermove", (event) => {
    if (!last) return;
    for (const part of event.getCoalescedEvents?.() ?? [event]) {
      const next = point(part);
      stroke(panel, last, next);
      last = next;
    }
  });
  for (const end of ["pointerup", "pointercancel"]) pad.addEventListener(end, () => { last = null; });
}

const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** The cursor moves by one pixel of the network's image. */
function followKeys(panel) {
  const [height, width] = panel.network.shape;
  const point = () => panel.cursor.map((place) => (place + 0.5) * FINE);
  panel.cursor = [Math.floor(width / 2), Math.floor(height / 2)];
  panel.pad.addEventListener("keydown", (event) => {
    const step = STEPS[event.key];
    if (!step && ![" ", "Delete", "Backspace"].includes(event.key)) return;
    event.preventDefault();
    panel.keyed = true;
    if (step) {
      const before = point();
      const [x, y] = panel.cursor;
      panel.cursor = [clamp(x + step[0], width), clamp(y + step[1], height)];
      if (panel.down) stroke(panel, before, point());
    } else if (event.key === " ") {
      panel.down = !panel.down;
      if (panel.down) stroke(panel, point(), point());
    } else {
      clearPad(panel);
    }
    refresh(panel);
  });
  panel.pad.addEventListener("blur", () => {
    panel.keyed = panel.down = false;
    refresh(panel);
  });
}

function clamp(place, side) {
  return Math.min(Math.max(place, 0), side - 1);
}

/** Run the network and show everything again, once a frame. */
function refresh(panel) {
  if (panel.waiting) return;
  panel.waiting = true;
  requestAnimationFrame(() => {
    panel.waiting = false;
    showPad(panel);
    const [height, width] = panel.network.shape;
    const pixels = panel.fit ? fitted(panel.ink, height, width) : shrink(inkOf(panel.ink), height, width);
    showPixels(pixels.map(Math.round), document.getElementById("seen"));
    panel.outputs = runNetwork(panel.network, pixels.map(Math.round));
    showProbabilities(panel, panel.outputs.at(-1).data);
    showMaps(panel.network, panel.outputs);
    document.getElementById("source").textContent = panel.source;
  });
}

function showPad(panel) {
  const context = panel.pad.getContext("2d");
  context.drawImage(panel.ink, 0, 0);
  if (!panel.keyed) return;
  const [x, y] = panel.cursor.map((place) => (place + 0.5) * FINE);
  context.beginPath();
  context.arc(x, y, panel.pen.lineWidth / 2 + 2, 0, 2 * Math.PI);
  context.lineWidth = 3;
  context.strokeStyle = panel.down ? "#ee9659" : "#78b0ee";
  context.stroke();
}

function showPixels(pixels, canvas) {
  const picture = new ImageData(canvas.width, canvas.height);
  pixels.forEach((value, place) => picture.data.set([value, value, value, 255], 4 * place));
  canvas.getContext("2d", { willReadFrequently: true }).putImageData(picture, 0, 0);
}

// ---- Probabilities ----

const MOST_ROWS = 12; // of more classes, the likeliest are shown

function makeRows(classes) {
  const list = document.getElementById("probabilities");
  list.classList.toggle("named", classes.some((name) => name.length > 3));
  for (let row = 0; row < Math.min(classes.length, MOST_ROWS); row++) {
    const item = list.appendChild(document.createElement("li"));
    for (const part of ["label", "track", "value"]) item.appendChild(document.createElement(part === "label" ? "bdi" : "span")).className = part;
    item.querySelector(".track").appendChild(document.createElement("div")).className = "fill";
  }
}

function showProbabilities(panel, probabilities) {
  const { classes } = panel;
  const ranked = [...probabilities.keys()].sort((a, b) => probabilities[b] - probabilities[a]);
  const shown = classes.length > MOST_ROWS ? ranked.slice(0, MOST_ROWS) : [...probabilities.keys()];
  [...document.getElementById("probabilities").children].forEach((item, row) => {
    const label = shown[row];
    item.classList.toggle("best", label === ranked[0]);
    item.querySelector(".label").textContent = item.title = classes[label];
    item.querySelector(".fill").style.width = `${100 * probabilities[label]}%`;
    item.querySelector(".value").textContent = asPercent(probabilities[label]);
  });
  clearTimeout(panel.speech); // a screen reader hears the result when the hand rests
  panel.speech = setTimeout(() => {
    const best = ranked[0];
    document.getElementById("spoken").textContent = `Taken for ${classes[best]}, ${asPercent(probabilities[best])}. ${panel.source}`;
  }, 600);
}

function asPercent(share) {
  return `${(100 * share).toFixed(1)} %`;
}

// ---- Feature maps ----

const UNCHANGED = ["Rescaling", "Flatten", "Dropout"]; // they show what the layer before shows
const MOST_MAPS = 256;

function makeMaps(network) {
  const place = document.getElementById("maps");
  network.layers.forEach((layer, number) => {
    if (UNCHANGED.includes(layer.kind)) return;
    const figure = place.appendChild(document.createElement("figure"));
    const caption = figure.appendChild(document.createElement("figcaption"));
    caption.appendChild(document.createElement("strong")).textContent = layer.name;
    const channels = layer.shape.at(-1);
    const first = channels > MOST_MAPS ? `, the first ${MOST_MAPS}` : "";
    const size = caption.appendChild(document.createElement("span"));
    size.textContent = layer.shape.join(" × ") + first;
    size.className = "quiet";
    const canvas = figure.appendChild(document.createElement("canvas"));
    canvas.dataset.layer = number;
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `What ${layer.name} makes of it: ${channels} channels`);
  });
}

function showMaps(network, outputs) {
  const style = getComputedStyle(document.documentElement);
  const colours = ["--blue", "--orange"].map((name) => rgbOf(style.getPropertyValue(name)));
  for (const canvas of document.querySelectorAll("#maps canvas")) showMap(canvas, outputs[canvas.dataset.layer], colours);
}

function rgbOf(hex) {
  return [1, 3, 5].map((place) => parseInt(hex.trim().slice(place, place + 2), 16));
}

/** The channels of a tensor side by side; single values as squares. */
function showMap(canvas, tensor, colours) {
  const [height, width, channels] = tensor.shape.length === 3 ? tensor.shape : [1, 1, tensor.shape[0]];
  const shown = Math.min(channels, MOST_MAPS);
  const columns = Math.min(shown, height > 1 && shown <= 32 ? 8 : 16);
  const gap = height > 1 ? 1 : 0;
  const rows = Math.ceil(shown / columns);
  const picture = new ImageData(columns * (width + gap) - gap, rows * (height + gap) - gap);
  const strongest = tensor.data.reduce((most, value) => Math.max(most, Math.abs(value)), 0) || 1;
  for (let channel = 0; channel < shown; channel++) {
    const left = (channel % columns) * (width + gap);
    const top = Math.floor(channel / columns) * (height + gap);
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const value = tensor.data[(y * width + x) * channels + channel];
        const [red, green, blue] = colours[value < 0 ? 1 : 0];
        const place = 4 * ((top + y) * picture.width + left + x);
        picture.data[place] = red;
        picture.data[place + 1] = green;
        picture.data[place + 2] = blue;
        picture.data[place + 3] = (255 * Math.abs(value)) / strongest;
      }
    }
  }
  showScaled(canvas, picture);
}

const SHARP = 640; // points across, at least: a whole number for each pixel keeps them even

function showScaled(canvas, picture) {
  const factor = Math.ceil(SHARP / picture.width);
  const small = new OffscreenCanvas(picture.width, picture.height);
  small.getContext("2d").putImageData(picture, 0, 0);
  canvas.width = factor * picture.width; // this also empties it
  canvas.height = factor * picture.height;
  const context = canvas.getContext("2d");
  context.imageSmoothingEnabled = false;
  context.drawImage(small, 0, 0, canvas.width, canvas.height);
}

// ---- Mistakes ----

const ORDERS = {
  surest: (a, b) => b.dataset.confidence - a.dataset.confidence,
  unsure: (a, b) => a.dataset.confidence - b.dataset.confidence,
  actual: (a, b) => a.dataset.actual - b.dataset.actual || a.dataset.predicted - b.dataset.predicted || ORDERS.surest(a, b),
  predicted: (a, b) => a.dataset.predicted - b.dataset.predicted || a.dataset.actual - b.dataset.actual || ORDERS.surest(a, b),
};

function startGallery() {
  const form = document.getElementById("filters");
  if (form) {
    form.addEventListener("change", () => showGallery(form));
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("reset", () => setTimeout(() => showGallery(form)));
    showGallery(form);
  }
  for (const place of document.querySelectorAll("[data-filter]")) {
    place.addEventListener("click", () => {
      const [split, actual, predicted] = place.dataset.filter.split(",");
      Object.entries({ split, actual, predicted }).forEach(([name, value]) => choose(form.elements[name], value));
      showGallery(form);
      document.getElementById("mistakes").scrollIntoView();
      form.elements.split.focus({ preventScroll: true });
    });
  }
}

/** Choose a value; one that is not there (its mistakes are not among those shown) becomes an option. */
function choose(select, value) {
  if (![...select.options].some((option) => option.value === value)) {
    const { classes } = JSON.parse(document.getElementById("data").textContent);
    select.add(new Option(classes[value], value));
  }
  select.value = value;
}

function showGallery(form) {
  const gallery = document.getElementById("gallery");
  const items = [...gallery.children].sort(ORDERS[form.elements.order.value]);
  const wanted = ["split", "actual", "predicted"].filter((name) => form.elements[name].value !== "");
  for (const item of items) item.hidden = wanted.some((name) => item.dataset[name] !== form.elements[name].value);
  gallery.append(...items);
  document.getElementById("shown").textContent = `${items.filter((item) => !item.hidden).length} of ${items.length} shown`;
}

// ---- Splits, and what lies under the pointer ----

function startSwitches() {
  for (const input of document.querySelectorAll(".switch input")) {
    input.addEventListener("change", () => {
      for (const part of document.querySelectorAll(`[data-group="${input.name}"]`)) part.hidden = part.dataset.split !== input.value;
    });
  }
}

function startTips() {
  const tip = document.getElementById("tip");
  document.addEventListener("pointermove", (event) => {
    const target = event.target.closest?.("[data-tip]");
    tip.hidden = !target;
    if (!target) return;
    tip.textContent = target.dataset.tip;
    const { offsetWidth: width, offsetHeight: height } = tip;
    tip.style.left = `${Math.max(4, Math.min(event.clientX + 14, innerWidth - width - 4))}px`;
    tip.style.top = `${event.clientY + 18 + height > innerHeight ? event.clientY - height - 12 : event.clientY + 18}px`;
  });
  document.addEventListener("pointerleave", () => { tip.hidden = true; });
  document.addEventListener("scroll", () => { tip.hidden = true; }, { passive: true });
}

document.addEventListener("DOMContentLoaded", () => {
  const { network, classes, likeMnist } = JSON.parse(document.getElementById("data").textContent);
  startGallery();
  startSwitches();
  startTips();
  if (network) startPanel(unpackNetwork(network), classes, likeMnist);
});
