// A squarified treemap (Bruls, Huizing, van Wijk 2000) of a file tree: no file is a sliver, folders stay together.

const FOLDER_LABEL = 13;
const LABELLED_DEPTH = 2;

/** Files with sizes as nested folders: {name, path, size, children} and {name, path, size, index}. */
export function nest(paths, sizes) {
  const root = { name: "", path: "", size: 0, children: [], folders: new Map() };
  paths.forEach((path, index) => {
    const parts = path.split("/");
    // Sizes span five orders of magnitude: damped, a small file can still be seen.
    const size = Math.max(sizes[index], 40) ** 0.6;
    let folder = root;
    folder.size += size;
    for (const [depth, name] of parts.slice(0, -1).entries()) {
      let next = folder.folders.get(name);
      if (!next) {
        next = { name, path: parts.slice(0, depth + 1).join("/"), size: 0, children: [], folders: new Map() };
        folder.folders.set(name, next);
        folder.children.push(next);
      }
      folder = next;
      folder.size += size;
    }
    folder.children.push({ name: parts.at(-1), path, size, index });
  });
  return root;
}

/** Rectangles of files, in the order of `paths`, and of folders with a label: {x, y, w, h, path, name}. */
export function layout(root, width, height) {
  const files = [];
  const folders = [];
  place(root, { x: 0, y: 0, w: width, h: height }, 0);
  return { files, folders };

  function place(folder, box, depth) {
    const inner = depth === 0 ? box : framed(folder, box, depth);
    for (const [child, rectangle] of squarify(folder.children, inner)) {
      if (child.children) {
        place(child, rectangle, depth + 1);
      } else {
        files[child.index] = { ...rectangle, path: child.path, name: child.name };
      }
    }
  }

  function framed(folder, box, depth) {
    const labelled = depth <= LABELLED_DEPTH && box.w > 46 && box.h > 34;
    folders.push({ ...box, path: folder.path, name: folder.name, depth, labelled });
    const edge = Math.min(2, box.w / 8, box.h / 8);
    const top = labelled ? FOLDER_LABEL : edge;
    return { x: box.x + edge, y: box.y + top, w: Math.max(0, box.w - 2 * edge), h: Math.max(0, box.h - top - edge) };
  }
}

/** Children with their rectangles: rows along the shorter side, each as long as that makes its cells squarer. */
function squarify(children, box) {
  const total = children.reduce((sum, child) => sum + child.size, 0);
  const scale = total > 0 ? (box.w * box.h) / total : 0;
  const waiting = [...children].sort((a, b) => b.size - a.size);
  const placed = [];
  let { x, y, w, h } = box;
  for (let start = 0; start < waiting.length;) {
    const side = Math.min(w, h);
    let end = start + 1;
    let area = waiting[start].size * scale;
    let worst = ratio(area, area, waiting[start].size * scale, side);
    while (end < waiting.length) {
      const grown = area + waiting[end].size * scale;
      const next = ratio(grown, waiting[start].size * scale, waiting[end].size * scale, side);
      if (next > worst) break;
      [area, worst, end] = [grown, next, end + 1];
    }
    const thickness = side > 0 ? area / side : 0;
    let at = w >= h ? y : x;
    for (const child of waiting.slice(start, end)) {
      const length = thickness > 0 ? (child.size * scale) / thickness : 0;
      placed.push([child, w >= h ? { x, y: at, w: thickness, h: length } : { x: at, y, w: length, h: thickness }]);
      at += length;
    }
    if (w >= h) [x, w] = [x + thickness, Math.max(0, w - thickness)];
    else [y, h] = [y + thickness, Math.max(0, h - thickness)];
    start = end;
  }
  return placed;
}

/** The worst aspect ratio of a row of this area between its largest and its smallest cell. */
function ratio(area, largest, smallest, side) {
  const square = side * side;
  return Math.max((square * largest) / (area * area), (area * area) / (square * smallest));
}

/** Paths -> brightness from 0 to 1, relative to the layer's own scores. */
export function brightness(documents) {
  const best = new Map();
  for (const { path, score } of documents) best.set(path, Math.max(score, best.get(path) ?? -Infinity));
  const scores = [...best.values()];
  const [low, high] = [Math.min(...scores), Math.max(...scores)];
  return new Map([...best].map(([path, score]) => [path, high > low ? 0.25 + (0.75 * (score - low)) / (high - low) : 1]));
}

/** One layer that stands for all: what each of them gave a file, taken together. */
export function together(layers) {
  const sums = new Map();
  for (const { documents } of layers) {
    for (const [path, light] of brightness(documents)) sums.set(path, (sums.get(path) ?? 0) + light / layers.length);
  }
  return [...sums].map(([path, score]) => ({ path, score })).sort((a, b) => b.score - a.score);
}

/** Draws files and folders; `lights` maps paths to brightness, `read` and `marked` hold paths. */
export function draw(canvas, tree, { lights, read, marked }) {
  const style = getComputedStyle(canvas);
  const colour = (name) => style.getPropertyValue(name).trim();
  const context = canvas.getContext("2d");
  const scale = canvas.width / canvas.clientWidth || 1;
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.clearRect(0, 0, canvas.clientWidth, canvas.clientHeight);
  for (const folder of tree.folders) {
    context.fillStyle = colour(folder.depth % 2 ? "--folder" : "--folder-2");
    context.fillRect(folder.x, folder.y, folder.w, folder.h);
  }
  context.font = `500 10px ${style.fontFamily}`;
  context.textBaseline = "middle";
  for (const folder of tree.folders) {
    if (folder.labelled) text(context, folder.name, folder.x + 4, folder.y + 7.5, folder.w - 8, colour("--label"));
  }
  const [dim, bright] = [colour("--lit-low"), colour("--lit-high")];
  for (const file of tree.files) {
    cell(context, file, colour("--file"));
    if (file.h > 15 && !lights.has(file.path)) name(context, file, colour("--label-dim"));
  }
  for (const file of tree.files) {
    const light = lights.get(file.path);
    if (light === undefined) continue;
    const lit = enlarged(file);
    context.globalAlpha = 1;
    cell(context, lit, dim);
    context.globalAlpha = light;
    cell(context, lit, bright);
    context.globalAlpha = 1;
    if (file.h > 13) name(context, file, colour(light > 0.45 ? "--on-lit" : "--label"));
  }
  for (const file of tree.files) {
    if (read.has(file.path)) outline(context, enlarged(file), colour("--read"), 2);
    if (file.path === marked) outline(context, enlarged(file), colour("--focus"), 3);
  }
}

/** A lit file of a few pixels must be seen all the same. */
function enlarged({ x, y, w, h, ...rest }) {
  const [wide, high] = [Math.max(w, 6), Math.max(h, 6)];
  return { ...rest, x: x - (wide - w) / 2, y: y - (high - h) / 2, w: wide, h: high };
}

function cell(context, { x, y, w, h }, fill) {
  const gap = w > 3 && h > 3 ? 1 : 0;
  context.fillStyle = fill;
  context.fillRect(x, y, w - gap, h - gap);
}

function name(context, { name: words, x, y, w, h }, fill) {
  text(context, words, x + 4, y + Math.min(h / 2, 10), w - 8, fill);
}

function outline(context, { x, y, w, h }, stroke, width) {
  context.strokeStyle = stroke;
  context.lineWidth = width;
  context.strokeRect(x, y, w - 1, h - 1);
}

function text(context, words, x, y, room, fill) {
  if (room < 18) return;
  let shown = words;
  while (shown && context.measureText(shown).width > room) shown = shown.slice(0, -1);
  if (shown.length < words.length) shown = shown.length > 3 ? `${shown.slice(0, -1)}…` : "";
  context.fillStyle = fill;
  context.fillText(shown, x, y);
}
