// Questions and answers as the side view shows them. Plain data: it is sent to the view as it is.
import type { Answered, Piece, Place } from "./asking.ts";

export interface Source {
  label: string;
  symbol: string;
  /** Where a click leads; the view sends its number back, never a path. */
  place: Place;
}

export interface Exchange {
  question: string;
  text: string;
  /** What is happening: "reading src/a.py"; empty when the answer is there. */
  doing: string;
  state: "asking" | "answered" | "stopped" | "failed";
  sources: Source[];
  /** The sources are places that come near, for the memory does not hold the answer. */
  onlyNear: boolean;
  notes: string[];
}

const KEPT = 30;

export class Conversation {
  readonly exchanges: Exchange[] = [];

  begin(question: string): Exchange {
    const exchange: Exchange = {
      question, text: "", doing: "finding what to read", state: "asking", sources: [], onlyNear: false, notes: [],
    };
    this.exchanges.push(exchange);
    this.exchanges.splice(0, Math.max(0, this.exchanges.length - KEPT));
    return exchange;
  }

  clear(): void {
    this.exchanges.length = 0;
  }
}

export function hear(exchange: Exchange, piece: Piece): void {
  if (piece.kind === "text") {
    exchange.text += piece.text;
    exchange.doing = "";
  } else if (piece.kind === "round") {
    exchange.doing = piece.text;
  }
}

/** The result replaces what was streamed: it is what was checked. */
export function finish(exchange: Exchange, answered: Answered): void {
  const { result } = answered;
  exchange.state = "answered";
  exchange.doing = "";
  exchange.onlyNear = !result.found;
  exchange.text = result.found ? result.answer : "The memory does not hold the answer. The nearest places:";
  exchange.sources = (result.found ? result.citations : result.places).map(source);
  exchange.notes = result.notes;
}

export function end(exchange: Exchange, state: "stopped" | "failed", why: string): void {
  exchange.state = state;
  exchange.doing = "";
  exchange.notes = why ? [why] : [];
}

export function source(place: Place): Source {
  return { label: `${place.path}:${place.start_line}-${place.end_line}`, symbol: place.symbol ?? "", place };
}
