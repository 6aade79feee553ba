import assert from "node:assert/strict";
import { test } from "node:test";
import type { Answered, Place } from "../src/asking.ts";
import { Conversation, end, finish, hear } from "../src/conversation.ts";

const PLACE: Place = { repository: "/r", path: "src/a.py", start_line: 3, end_line: 5, symbol: "f", score: 1 };

function answered(found: boolean): Answered {
  const result = { question: "Q?", answer: "So.", found, citations: [PLACE], places: [{ ...PLACE, path: "b.py", symbol: null }], notes: ["behind"] };
  return { markdown: "", result };
}

test("pieces are put together, and what was checked replaces them", () => {
  const exchange = new Conversation().begin("Q?");
  hear(exchange, { id: "1", kind: "round", text: "round 1: reading src/a.py" });
  assert.equal(exchange.doing, "round 1: reading src/a.py");
  hear(exchange, { id: "1", kind: "text", text: "S" });
  hear(exchange, { id: "1", kind: "text", text: "o" });
  assert.deepEqual([exchange.text, exchange.doing], ["So", ""]);
  finish(exchange, answered(true));
  assert.deepEqual([exchange.text, exchange.state, exchange.onlyNear], ["So.", "answered", false]);
  assert.deepEqual(exchange.sources.map((source) => [source.label, source.symbol]), [["src/a.py:3-5", "f"]]);
  assert.deepEqual(exchange.notes, ["behind"]);
});

test("an answer that is not there lists the nearest places instead", () => {
  const exchange = new Conversation().begin("Q?");
  hear(exchange, { id: "1", kind: "text", text: "made up" });
  finish(exchange, answered(false));
  assert(!exchange.text.includes("made up"));
  assert(exchange.onlyNear);
  assert.deepEqual(exchange.sources.map((source) => [source.label, source.symbol]), [["b.py:3-5", ""]]);
});

test("what was stopped keeps its text; old exchanges go", () => {
  const conversation = new Conversation();
  const first = conversation.begin("first");
  hear(first, { id: "1", kind: "text", text: "half" });
  end(first, "stopped", "");
  assert.deepEqual([first.text, first.state, first.notes], ["half", "stopped", []]);
  for (let index = 0; index < 40; index += 1) {
    conversation.begin(`question ${index}`);
  }
  assert.equal(conversation.exchanges.length, 30);
  assert.equal(conversation.exchanges.at(-1)?.question, "question 39");
});
