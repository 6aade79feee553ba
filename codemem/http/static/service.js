// The server's side of the page: the key, and requests with it.

const KEY = "codemem-key";

/** Something went wrong; the message is for the reader. */
export class Failure extends Error {}

/** The key was refused, or there is none: only a new link helps. */
export class Locked extends Failure {}

/** Takes the ticket out of the address, where histories and screens would keep it, and changes it for the key. */
export async function unlock() {
  const ticket = new URLSearchParams(location.hash.slice(1)).get("ticket");
  if (ticket === null) {
    if (!sessionStorage.getItem(KEY)) throw new Locked("");
    return;
  }
  history.replaceState(null, "", location.pathname);
  const answer = await send("/api/session", { method: "POST", body: JSON.stringify({ ticket }) });
  sessionStorage.setItem(KEY, (await answer.json()).key);
}

export async function get(path, query = {}) {
  const search = new URLSearchParams(query).toString();
  return (await send(search ? `${path}?${search}` : path)).json();
}

/** Calls `hear(event, about)` for everything that happens until the answer is there. */
export async function ask(repository, question, hear, signal) {
  const answer = await send("/api/ask", { method: "POST", body: JSON.stringify({ repository, question }), signal });
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) throw new Failure("the server ended before it answered");
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines) {
      const { event, about } = JSON.parse(line);
      if (event === "failed") throw new Failure(about.message);
      hear(event, about);
      if (event === "result") return about;
    }
  }
}

async function send(path, options = {}) {
  const headers = { Authorization: `Bearer ${sessionStorage.getItem(KEY) ?? ""}`, "Content-Type": "application/json" };
  let answer;
  try {
    answer = await fetch(path, { ...options, headers, cache: "no-store", credentials: "omit", redirect: "error" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Failure("the server does not answer: is it still running? `codemem serve status` tells");
  }
  if (answer.ok) return answer;
  const message = await answer.json().then((body) => body.error.message, () => `the server said ${answer.status}`);
  if (answer.status === 401) {
    sessionStorage.removeItem(KEY);
    throw new Locked(message);
  }
  throw new Failure(message);
}
