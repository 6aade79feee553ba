// The language server as a child of VS Code: found, started, told the user's settings.
import * as vscode from "vscode";
import type { Middleware, ServerOptions, WorkDoneProgressBegin, WorkDoneProgressEnd, WorkDoneProgressReport } from "vscode-languageclient/node";
import { LanguageClient, TransportKind } from "vscode-languageclient/node";
import { candidates, firstProgram } from "./locate.ts";

/** Settings that the server takes; `command` is ours alone. */
const OPTIONS = ["results", "keepUp", "codeActions", "codeLens", "hover", "model"];

export type Progress = WorkDoneProgressBegin | WorkDoneProgressReport | WorkDoneProgressEnd;

export interface Hooks {
  /** A command of the server that an action, a lens or a key stands for. */
  onCommand(command: string, argument: object): Promise<unknown>;
  onProgress(token: string | number, progress: Progress): void;
}

export async function program(): Promise<string | undefined> {
  const folders = (vscode.workspace.workspaceFolders ?? []).map((folder) => folder.uri.fsPath);
  return firstProgram(candidates(settings().get<string>("command", "").trim(), folders));
}

export function makeClient(command: string, hooks: Hooks): LanguageClient {
  const server: ServerOptions = { command, args: ["lsp"], transport: TransportKind.stdio };
  const middleware: Middleware = {
    executeCommand: (name, args) => hooks.onCommand(name, args[0] ?? {}),
    // Shown by us, in one place; the default would be a second one beside it.
    handleWorkDoneProgress: (token, progress) => hooks.onProgress(token, progress),
    workspace: {
      configuration: (params) => params.items.map((item) => (item.section === "codemem" ? options() : null)),
    },
  };
  return new LanguageClient("codemem", "codemem", server, {
    documentSelector: [{ scheme: "file" }],
    initializationOptions: { ...options(), answers: "notification" },
    synchronize: { configurationSection: "codemem" },
    middleware,
  });
}

export function settings(): vscode.WorkspaceConfiguration {
  return vscode.workspace.getConfiguration("codemem");
}

function options(): Record<string, unknown> {
  return Object.fromEntries(OPTIONS.map((name) => [name, settings().get(name)]));
}
