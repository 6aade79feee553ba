// The page: a question, what lights up while it is answered, the answer, and its sources.

import { LightMap, pathElement } from "/map.js";
import { Failure, Locked, ask, get, unlock } from "/service.js";

const AROUND = 12;
const LONGEST = 400;
const THEMES = ["system", "light", "dark"];
const $ = (id) => document.getElementById(id);

let map = null;
let asking = null;
let latest = 0;

start();
addEventListener("hashchange", start);

async function start() {
  applyTheme();
  try {
    await unlock();
    const { repositories, daemon } = await get("/api/status");
    const names = repositories.map(({ name, path }) => Object.assign(new Option(name, name), { title: path }));
    $("repository").replaceChildren(...names);
    $("model").textContent = daemon?.models.length ? `model: ${daemon.models.join(", ")}` : "";
    $("locked").hidden = true;
    $("page").hidden = false;
    map ??= new LightMap((path) => open($("repository").value, path));
    await showTree();
    $("question").focus();
  } catch (error) {
    tell(error);
  }
}

/** Shows what went wrong; without a key nothing else can be shown. */
function tell(error) {
  if (error instanceof Locked) {
    $("why").textContent = error.message;
    $("locked").hidden = false;
    $("page").hidden = true;
    return;
  }
  state(error instanceof Failure ? error.message : `this is a bug in the page (${error.name})`, true);
  if (!(error instanceof Failure)) throw error;
}

function state(words, failed = false) {
  $("state").textContent = words;
  $("state").classList.toggle("failed", failed);
}

async function showTree() {
  clear();
  map.setFiles(await get("/api/tree", { repository: $("repository").value }));
}

function clear() {
  map.clear();
  for (const id of ["answer", "sources", "notes", "source"]) $(id).replaceChildren();
  $("sources-title").hidden = true;
  $("source-title").textContent = "Source";
}

$("repository").addEventListener("change", () => {
  asking?.abort();
  showTree().catch(tell);
});

$("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  answer($("question").value.trim()).catch(tell);
});

$("stop").addEventListener("click", () => asking?.abort());

$("question").addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  $("ask").requestSubmit();
});

addEventListener("keydown", (event) => {
  if (event.key === "Escape") asking?.abort();
  const typing = event.target.closest?.("textarea, input, select");
  if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
    event.preventDefault();
    $("question").focus();
  }
});

async function answer(question) {
  if (!question) return;
  asking?.abort();
  const mine = (asking = new AbortController());
  const repository = $("repository").value;
  clear();
  state("Asking …");
  $("stop").hidden = false;
  $("answer").setAttribute("aria-busy", "true");
  try {
    const result = await ask(repository, question, hear, mine.signal);
    if (mine === asking) finish(repository, result);
  } catch (error) {
    if (error.name === "AbortError") {
      if (mine === asking) state("Stopped.");
    } else if (mine === asking) throw error;
  } finally {
    if (mine === asking) {
      asking = null;
      $("stop").hidden = true;
      $("answer").removeAttribute("aria-busy");
    }
  }

  function hear(event, about) {
    if (mine !== asking) return;
    if (event === "alive") state("Still waiting: the model is loading, or reading what bears on the question …");
    if (event === "round") {
      map.add(about);
      state(`Round ${about.number}: ${about.by_model ? "the model reads" : "routed to"} ${about.named.join(", ")}`);
    }
    if (event === "piece") $("answer").append(about.text);
  }
}

function finish(repository, result) {
  const { stats } = result;
  const places = result.found ? result.citations : result.places;
  $("answer").replaceChildren(
    ...(result.found ? written(result.answer) : ["The memory does not hold the answer. These places come nearest."]),
  );
  $("sources-title").textContent = result.found ? "Sources" : "Nearest places";
  $("sources-title").hidden = places.length === 0;
  $("sources").replaceChildren(...places.map((place) => sourceItem(repository, place)));
  const speed = `Routing took ${duration(stats.route_ms)}, the first word came after ${duration(stats.first_token_ms)}.`;
  const stale = result.fresh ? [] : ["Some changed files are not yet in the memory."];
  const notes = [...stale, ...result.notes, speed];
  $("notes").replaceChildren(...notes.map((note) => Object.assign(document.createElement("li"), { textContent: note })));
  $("model").textContent = `model: ${result.model}`;
  state(result.found ? "Answered." : "Not found.");
  if (places.length) $("sources").querySelector("button").click();
}

function duration(ms) {
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}

/** Words with `code` and fenced blocks as elements; nothing in them is ever parsed as HTML. */
function written(text) {
  return text.split(/^```.*$/m).flatMap((block, number) => {
    if (number % 2) {
      return [Object.assign(document.createElement("pre"), { textContent: block.replace(/^\n|\n$/g, "") })];
    }
    return block.split(/`([^`\n]+)`/).map((part, at) =>
      at % 2 ? Object.assign(document.createElement("code"), { textContent: part }) : part,
    );
  });
}

function sourceItem(repository, place) {
  const item = document.createElement("li");
  const button = document.createElement("button");
  button.type = "button";
  button.append(pathElement(`${place.path}:${place.start_line}-${place.end_line}`));
  if (place.symbol) {
    button.append(Object.assign(document.createElement("span"), { className: "symbol", textContent: place.symbol }));
  }
  button.addEventListener("click", () => {
    for (const other of $("sources").querySelectorAll("button")) other.removeAttribute("aria-current");
    button.setAttribute("aria-current", "true");
    open(repository, place.path, place.start_line, place.end_line);
  });
  item.append(button);
  return item;
}

/** Shows lines of a file, those cited marked and in view. The last file that was asked for wins. */
async function open(repository, path, from = 0, to = 0) {
  const turn = ++latest;
  const start = Math.max(1, from - AROUND);
  try {
    const end = Math.min(Math.max(to + AROUND, start + 60), start + LONGEST - 1);
    const read = await get("/api/lines", { repository, path, start, end });
    if (turn !== latest) return;
    $("source-title").textContent = from ? `${read.path}:${from}-${to}` : read.path;
    const lines = read.text.split("\n").map((text, at) => {
      const number = read.start_line + at;
      const line = Object.assign(document.createElement("span"), { className: "line", textContent: text });
      line.dataset.number = number;
      line.classList.toggle("cited", number >= from && number <= to);
      return line;
    });
    $("source").replaceChildren(...lines);
    const first = $("source").querySelector(".cited");
    $("source").scrollTop = first ? first.offsetTop - $("source").offsetTop - 40 : 0;
  } catch (error) {
    tell(error);
  }
}

function applyTheme() {
  const chosen = localStorage.getItem("codemem-theme") ?? "system";
  const dark = chosen === "dark" || (chosen === "system" && matchMedia("(prefers-color-scheme: dark)").matches);
  document.documentElement.dataset.theme = dark ? "dark" : "light";
  $("theme").textContent = `Theme: ${chosen}`;
  map?.redraw();
}

$("theme").addEventListener("click", () => {
  const chosen = localStorage.getItem("codemem-theme") ?? "system";
  localStorage.setItem("codemem-theme", THEMES[(THEMES.indexOf(chosen) + 1) % THEMES.length]);
  applyTheme();
});

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", applyTheme);
