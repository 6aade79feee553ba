// Questions to the server, and answers as they come. Knows the protocol and nothing of VS Code, so that tests drive the same code.

export interface Place {
  repository: string;
  path: string;
  start_line: number;
  end_line: number;
  symbol: string | null;
  score: number;
  text?: string;
}

/** What `codemem ask --json` prints, as far as it is shown. */
export interface AskResult {
  question: string;
  answer: string;
  found: boolean;
  citations: Place[];
  places: Place[];
  notes: string[];
}

export interface FindResult {
  query: string;
  results: Place[];
  notes: string[];
}

export interface Answered {
  markdown: string;
  result: AskResult;
}

export interface Location {
  uri: string;
  range: { start: { line: number; character: number }; end: { line: number; character: number } };
}

export interface Found {
  markdown: string;
  result: FindResult;
  locations: Location[];
}

/** A piece of an answer: the parameters of `codemem/answer`. */
export interface Piece {
  id: string;
  kind: "round" | "text" | "end" | "stopped";
  text: string;
}

export const ANSWER = "codemem/answer";
export const EXECUTE = "workspace/executeCommand";

/** What is needed of a connection; a LanguageClient and a bare JSON-RPC connection both have it. */
export interface Connection<Token> {
  sendRequest(method: string, params: unknown, token?: Token): Promise<unknown>;
  onNotification(method: string, handler: (params: Piece) => void): { dispose(): void };
}

/** A question's place, as editors write it. */
export interface Where {
  uri: string;
  range: Location["range"];
}

/** Asks over one connection and hands each answer's pieces to whoever asked. */
export class Asker<Token> {
  private readonly listening = new Map<string, (piece: Piece) => void>();
  private readonly subscription: { dispose(): void };
  private readonly connection: Connection<Token>;
  private asked = 0;

  constructor(connection: Connection<Token>) {
    this.connection = connection;
    this.subscription = connection.onNotification(ANSWER, (piece) => this.listening.get(piece.id)?.(piece));
  }

  dispose(): void {
    this.subscription.dispose();
    this.listening.clear();
  }

  /** An answer to a question about the workspace, or about a place of it. */
  ask(text: string, where: Where | undefined, hear: (piece: Piece) => void, token?: Token): Promise<Answered> {
    return this.listen(where ? "codemem.askSelection" : "codemem.ask", { ...where, text }, hear, token);
  }

  explain(where: Where, hear: (piece: Piece) => void, token?: Token): Promise<Answered> {
    return this.listen("codemem.explain", where, hear, token);
  }

  find(text: string, token?: Token): Promise<Found> {
    return this.execute("codemem.find", { text }, token);
  }

  related(where: Where, token?: Token): Promise<Found> {
    return this.execute("codemem.related", where, token);
  }

  reindex(): Promise<{ markdown: string }> {
    return this.execute("codemem.reindex", {});
  }

  status(): Promise<{ markdown: string }> {
    return this.execute("codemem.status", {});
  }

  /** Any command whose answer is streamed, with the arguments that an action of the server carries. */
  async listen(command: string, argument: object, hear: (piece: Piece) => void, token?: Token): Promise<Answered> {
    const id = `vscode-${++this.asked}`;
    this.listening.set(id, hear);
    try {
      return await this.execute(command, { ...argument, id }, token);
    } finally {
      this.listening.delete(id);
    }
  }

  private async execute<Result>(command: string, argument: object, token?: Token): Promise<Result> {
    const params = { command, arguments: [argument] };
    // An undefined token would count as a second parameter, and both be sent as a list.
    const sent = token === undefined ? this.connection.sendRequest(EXECUTE, params) : this.connection.sendRequest(EXECUTE, params, token);
    return (await sent) as Result;
  }
}

/** Whether an error means that the folder was never indexed. */
export function isNotIndexed(error: unknown): boolean {
  return error instanceof Error && error.message.includes("codemem index");
}
