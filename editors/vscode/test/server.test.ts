// The extension's own questions over the protocol library that VS Code's client is made of, against the real server.
// tests/editors/test_vscode.py runs this: it makes the repository and names the server's command in CODEMEM_SERVER.
import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";
import {
  CancellationTokenSource, createProtocolConnection, DidChangeTextDocumentNotification, DidOpenTextDocumentNotification,
  ExitNotification, InitializedNotification, InitializeRequest, LSPErrorCodes, type CancellationToken, type InitializeResult,
  type ProtocolConnection, ShutdownRequest, StreamMessageReader, StreamMessageWriter, WorkspaceSymbolRequest,
} from "vscode-languageserver-protocol/node";
import { Asker, isNotIndexed, type Piece, type Where } from "../src/asking.ts";
import { Conversation, finish, hear, source } from "../src/conversation.ts";

const SERVER = JSON.parse(process.env["CODEMEM_SERVER"] ?? "[]") as string[];
const FOLDER = process.env["CODEMEM_FOLDER"] ?? "";
const NEW_FOLDER = process.env["CODEMEM_NEW_FOLDER"] ?? "";
const CACHE = pathToFileURL(join(FOLDER, "src/cache.py")).toString();

/** Ended even where a test failed: one that is left would keep this process. */
const servers: ChildProcess[] = [];
after(() => servers.forEach((server) => server.kill()));

interface Running {
  asker: Asker<CancellationToken>;
  connection: ProtocolConnection;
  server: ChildProcess;
  claimed: InitializeResult;
}

async function start(folder: string): Promise<Running> {
  const [command = "", ...args] = SERVER;
  const server = spawn(command, args, { stdio: ["pipe", "pipe", "inherit"], cwd: folder });
  servers.push(server);
  assert(server.stdout && server.stdin);
  const connection = createProtocolConnection(new StreamMessageReader(server.stdout), new StreamMessageWriter(server.stdin));
  connection.listen();
  const claimed = await connection.sendRequest(InitializeRequest.type, {
    processId: process.pid,
    rootUri: null,
    capabilities: { window: { workDoneProgress: false }, general: { positionEncodings: ["utf-16"] } },
    initializationOptions: { answers: "notification", keepUp: false, results: 5 },
    workspaceFolders: [{ uri: pathToFileURL(folder).toString(), name: "demo" }],
  });
  await connection.sendNotification(InitializedNotification.type, {});
  return { asker: new Asker<CancellationToken>(connection), connection, server, claimed };
}

async function leave({ connection, server, asker }: Running): Promise<void> {
  const ended = new Promise<number | null>((resolve) => server.once("exit", resolve));
  await connection.sendRequest(ShutdownRequest.type);
  await connection.sendNotification(ExitNotification.type);
  assert.equal(await ended, 0);
  asker.dispose();
  connection.dispose();
}

function at(line: number): Where {
  return { uri: CACHE, range: { start: { line, character: 0 }, end: { line, character: 0 } } };
}

describe("a repository in memory", () => {
  let running: Running;
  before(async () => { running = await start(FOLDER); });
  after(() => leave(running));

  test("every command that the extension sends is declared", () => {
    const declared = running.claimed.capabilities.executeCommandProvider?.commands ?? [];
    for (const name of ["ask", "askSelection", "explain", "find", "related", "reindex", "status"]) {
      assert(declared.includes(`codemem.${name}`), name);
    }
  });

  test("find leads to lines", async () => {
    const found = await running.asker.find("retry with backoff");
    assert.equal(found.result.results[0]?.path, "src/retry.py");
    assert.equal(found.locations[0]?.range.start.line, (found.result.results[0]?.start_line ?? 0) - 1);
    assert(found.result.results.length <= 5);
  });

  test("an answer arrives in pieces, and its sources are lines of files", async () => {
    const exchange = new Conversation().begin("Where are entries evicted?");
    const pieces: Piece[] = [];
    const answered = await running.asker.ask(exchange.question, undefined, (piece) => {
      pieces.push(piece);
      hear(exchange, piece);
    });
    assert.equal(pieces[0]?.kind, "round");
    assert.equal(pieces.at(-1)?.kind, "end");
    const streamed = pieces.filter((piece) => piece.kind === "text").map((piece) => piece.text).join("");
    if (answered.result.found) {
      assert.equal(streamed.trim(), answered.result.answer);
    }
    finish(exchange, answered);
    assert.equal(exchange.state, "answered");
    const found = await running.asker.find(exchange.question);
    assert(found.result.results.length > 0);
    for (const { place, label } of [...exchange.sources, ...found.result.results.map(source)]) {
      const lines = readFileSync(join(place.repository, place.path), "utf8").split("\n").length;
      assert(place.start_line >= 1 && place.end_line <= lines, label);
    }
  });

  test("two answers at once keep their pieces apart", async () => {
    const heard = [new Set<string>(), new Set<string>()];
    await Promise.all(heard.map((ids, index) => running.asker.ask(`Question ${index}?`, undefined, (piece) => ids.add(piece.id))));
    assert.equal(heard[0]?.size, 1);
    assert.notDeepEqual(heard[0], heard[1]);
  });

  test("a stopped answer is given up", async () => {
    const stop = new CancellationTokenSource();
    const asked = running.asker.ask("Who?", undefined, () => stop.cancel(), stop.token);
    stop.cancel();
    await assert.rejects(asked, { code: LSPErrorCodes.RequestCancelled });
  });

  test("explain and related know the definition at the cursor", async () => {
    const explained = await running.asker.explain(at(7), () => undefined);
    assert.match(explained.result.question, /`Cache\.evict`/);
    const related = await running.asker.related(at(4));
    assert(related.locations.length > 0);
  });

  test("text that is not saved counts", async () => {
    const { connection, asker } = running;
    const text = readFileSync(fileURLToPath(CACHE), "utf8");
    await connection.sendNotification(DidOpenTextDocumentNotification.type, { textDocument: { uri: CACHE, languageId: "python", version: 1, text } });
    const start = { line: 0, character: 0 };
    const change = { range: { start, end: start }, text: "def okapi_stripes():\n    return '😋'\n\n\n" };
    await connection.sendNotification(DidChangeTextDocumentNotification.type, { textDocument: { uri: CACHE, version: 2 }, contentChanges: [change] });
    const found = await asker.find("okapi_stripes");
    assert.equal(found.result.results[0]?.path, "src/cache.py");
    const symbols = await connection.sendRequest(WorkspaceSymbolRequest.type, { query: "okapi" });
    assert.deepEqual(symbols?.map((symbol) => symbol.name), ["okapi_stripes"]);
  });

  test("status is Markdown", async () => {
    assert.match((await running.asker.status()).markdown, /^# codemem\n/);
  });
});

test("a folder that is not indexed says so, and can be indexed", async () => {
  const running = await start(NEW_FOLDER);
  await assert.rejects(running.asker.find("stripes"), (error) => isNotIndexed(error));
  await running.asker.reindex();
  assert.equal((await running.asker.find("count stripes")).result.results[0]?.path, "zebra.py");
  await leave(running);
});
