// The treemap and the list beside it: which files light up, round by round and layer by layer.

import { brightness, draw, layout, nest, together } from "/treemap.js";

const STEP_MS = 450;
const LISTED = 40;
const $ = (id) => document.getElementById(id);

/** Shows rounds over the files of a repository; `open(path)` is called for a file that is chosen. */
export class LightMap {
  #files = { paths: [], bytes: [] };
  #root = null;
  #cells = { files: [], folders: [] };
  #rounds = [];
  #round = 0;
  #marked = null;
  #playing = 0;
  #open;

  constructor(open) {
    this.#open = open;
    $("layer").addEventListener("input", () => {
      this.pause();
      this.#show();
    });
    $("play").addEventListener("click", () => (this.#playing ? this.pause() : this.play()));
    const canvas = $("treemap");
    canvas.addEventListener("pointermove", (event) => this.#point(this.#at(event)));
    canvas.addEventListener("pointerleave", () => this.#point(undefined));
    canvas.addEventListener("click", (event) => {
      const file = this.#at(event);
      if (file) this.#open(file.path);
    });
    new ResizeObserver(() => this.#resize()).observe(canvas);
  }

  setFiles({ paths, bytes }) {
    this.#files = { paths, bytes };
    this.#root = nest(paths, bytes);
    this.clear();
    this.#resize();
  }

  clear() {
    this.pause();
    [this.#rounds, this.#round] = [[], 0];
    this.#show();
  }

  add(round) {
    this.#rounds.push(round);
    this.#choose(this.#rounds.length - 1);
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) return;
    this.play();
  }

  play() {
    const layer = $("layer");
    if (layer.disabled) return;
    this.pause();
    layer.value = "0";
    this.#show();
    $("play").setAttribute("aria-pressed", "true");
    $("play").textContent = "Pause";
    this.#playing = setInterval(() => {
      layer.value = String(Number(layer.value) + 1);
      this.#show();
      if (layer.value === layer.max) this.pause();
    }, STEP_MS);
  }

  pause() {
    clearInterval(this.#playing);
    this.#playing = 0;
    $("play").setAttribute("aria-pressed", "false");
    $("play").textContent = "Play layers";
  }

  redraw() {
    if (!this.#cells.files.length) return;
    const { documents, named } = this.#current();
    draw($("treemap"), this.#cells, { lights: brightness(documents), read: new Set(named), marked: this.#marked });
  }

  #choose(round) {
    this.pause();
    this.#round = round;
    const layer = $("layer");
    layer.max = String(this.#rounds[round].layers.length);
    layer.value = layer.max;
    this.#show();
  }

  /** The documents of the layer that is chosen; behind the last layer stand all of them together. */
  #current() {
    const round = this.#rounds[this.#round];
    if (!round) return { name: "", documents: [], named: [] };
    const layer = round.layers[Number($("layer").value)];
    return layer
      ? { name: `${layer.layer}`, documents: layer.documents, named: round.named }
      : { name: "all", documents: together(round.layers), named: round.named };
  }

  #show() {
    const { name, documents, named } = this.#current();
    const has = this.#rounds.length > 0;
    $("layer").disabled = $("play").disabled = !has;
    $("layer-name").textContent = name === "all" ? "all layers" : name && `layer ${name}`;
    $("layer").setAttribute("aria-valuetext", name === "all" ? "all layers together" : `layer ${name}`);
    $("lit-title").textContent = name === "all" ? "Files of all layers" : "Files of this layer";
    this.#showRounds();
    const lights = brightness(documents);
    const listed = [...lights].sort((a, b) => b[1] - a[1]);
    $("lit").replaceChildren(...listed.slice(0, LISTED).map(([path, light]) => this.#item(path, light, named)));
    const where = has ? `${lights.size} lit, ${name === "all" ? "all layers together" : `layer ${name}`}` : "none lit yet";
    $("treemap").setAttribute("aria-label", `Treemap of ${this.#files.paths.length} files: ${where}`);
    this.redraw();
  }

  #showRounds() {
    const buttons = this.#rounds.map((round, number) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = `Round ${round.number}`;
      button.setAttribute("aria-pressed", String(number === this.#round));
      button.addEventListener("click", () => {
        this.#choose(number);
        $("rounds").children[number].focus();
      });
      return button;
    });
    $("rounds").replaceChildren(...(buttons.length > 1 ? buttons : []));
  }

  #item(path, light, named) {
    const item = document.createElement("li");
    const button = document.createElement("button");
    const meter = document.createElement("meter");
    button.type = "button";
    meter.value = light;
    meter.setAttribute("aria-label", "brightness");
    button.title = path;
    button.append(meter, pathElement(path));
    if (named.includes(path)) {
      item.className = "read";
      button.setAttribute("aria-description", "read for the answer");
    }
    button.addEventListener("click", () => this.#open(path));
    for (const event of ["focus", "pointerenter"]) button.addEventListener(event, () => this.#mark(path));
    for (const event of ["blur", "pointerleave"]) button.addEventListener(event, () => this.#mark(null));
    item.append(button);
    return item;
  }

  #mark(path) {
    this.#marked = path;
    this.redraw();
  }

  #point(file) {
    $("under").textContent = file ? file.path : "";
    this.#mark(file?.path ?? null);
  }

  #at(event) {
    return this.#cells.files.find(
      ({ x, y, w, h }) => event.offsetX >= x && event.offsetX < x + w && event.offsetY >= y && event.offsetY < y + h,
    );
  }

  #resize() {
    const canvas = $("treemap");
    if (!this.#root || !canvas.clientWidth) return;
    canvas.width = Math.round(canvas.clientWidth * devicePixelRatio);
    canvas.height = Math.round(canvas.clientHeight * devicePixelRatio);
    this.#cells = layout(this.#root, canvas.clientWidth, canvas.clientHeight);
    this.redraw();
  }
}

/** A path that loses its beginning where there is no room. */
export function pathElement(path) {
  const outer = document.createElement("span");
  const inner = document.createElement("bdi");
  outer.className = "path";
  inner.textContent = path;
  outer.append(inner);
  return outer;
}
