// The page of the side view. Text is only ever set as text: what a model or a file says is never markup here.
(() => {
  const vscode = acquireVsCodeApi();
  const form = document.getElementById("ask");
  const question = document.getElementById("question");
  const stop = document.getElementById("stop");
  const hint = document.getElementById("hint");
  const conversation = document.getElementById("conversation");

  /** What stands in the page for each exchange. */
  const drawn = [];

  const element = (name, className, text) => {
    const made = document.createElement(name);
    if (className) made.className = className;
    if (text) made.textContent = text;
    return made;
  };

  /** Lines that only wrap become one; lists, headings and what follows an empty line stay lines of their own. */
  const unwrapped = (text) => text.replace(/([^\n])\n(?=[^\n])(?!\s*([-*#>|]|\d+\.))/g, "$1 ");

  /** Paragraphs, `code` and fenced blocks; everything else stays as it was written. */
  const written = (text) => {
    const whole = element("div", "text");
    text.split(/^```.*$/m).forEach((part, index) => {
      if (index % 2) return whole.append(element("pre", "", part.replace(/^\n|\n$/g, "")));
      unwrapped(part).split(/`([^`\n]+)`/).forEach((piece, place) => {
        if (piece) whole.append(place % 2 ? element("code", "", piece) : document.createTextNode(piece));
      });
    });
    return whole;
  };

  const shown = (exchange, number) => {
    const section = element("section");
    section.append(element("h2", "", exchange.question));
    if (exchange.text) section.append(written(exchange.text));
    if (exchange.doing) section.append(element("p", "doing", `${exchange.doing} …`));
    if (exchange.state === "stopped") section.append(element("p", "note", "stopped"));
    for (const note of exchange.notes) section.append(element("p", "note", note));
    if (exchange.sources.length) {
      const list = element("ol");
      list.setAttribute("aria-label", exchange.onlyNear ? "Nearest places" : "Sources");
      exchange.sources.forEach((source, which) => {
        const button = element("button", "source", source.label);
        if (source.symbol) button.append(element("span", "", `  ${source.symbol}`));
        button.addEventListener("click", () => vscode.postMessage({ do: "open", exchange: number, source: which }));
        const item = element("li");
        item.append(button);
        list.append(item);
      });
      section.append(list);
    }
    return section;
  };

  window.addEventListener("message", ({ data }) => {
    hint.textContent = data.hint;
    data.exchanges.forEach((exchange, number) => {
      const now = JSON.stringify(exchange);
      if (drawn[number]?.now === now) return; // keeps the focus where it is
      const section = shown(exchange, number);
      if (drawn[number]) drawn[number].section.replaceWith(section);
      else conversation.prepend(section); // the latest first, below the box
      drawn[number] = { now, section };
    });
    for (const { section } of drawn.splice(data.exchanges.length)) section.remove();
    stop.hidden = !data.exchanges.some((exchange) => exchange.state === "asking");
  });

  const ask = () => {
    const text = question.value.trim();
    if (!text) return;
    question.value = "";
    vscode.postMessage({ do: "ask", text });
  };
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    ask();
  });
  question.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      ask();
    }
  });
  stop.addEventListener("click", () => vscode.postMessage({ do: "stop" }));
  vscode.postMessage({ do: "ready" });
})();
