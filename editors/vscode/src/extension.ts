// Asks the memory of the repository that is open: commands, a side view, the status bar. The server does the rest.
import * as vscode from "vscode";
import type { LanguageClient } from "vscode-languageclient/node";
import { Asker, isNotIndexed, type Answered, type Found, type Piece, type Where } from "./asking.ts";
import { Conversation, end, finish, hear } from "./conversation.ts";
import { installCommand } from "./locate.ts";
import { makeClient, program, settings } from "./server.ts";
import { StatusBar } from "./status.ts";
import { AnswersView, openLines } from "./view.ts";

type Listen = (asker: Asker<vscode.CancellationToken>, piece: (piece: Piece) => void, token: vscode.CancellationToken) => Promise<Answered>;

class Extension {
  private readonly conversation = new Conversation();
  private readonly status = new StatusBar();
  private readonly view: AnswersView;
  private readonly stopping = new Set<vscode.CancellationTokenSource>();
  private client: LanguageClient | undefined;
  private running: string | undefined;
  private restarting: Promise<void> = Promise.resolve();
  private asker: Promise<Asker<vscode.CancellationToken> | undefined> | undefined;

  constructor(context: vscode.ExtensionContext) {
    const media = vscode.Uri.joinPath(context.extensionUri, "media");
    this.view = new AnswersView(media, this.conversation, (text) => void this.ask(text), () => this.stop());
    const commands: Record<string, () => unknown> = {
      "codemem.openAsk": () => this.openAsk(),
      "codemem.askAboutSelection": () => this.askAboutSelection(),
      "codemem.explainHere": () => this.atCursor((where) => this.explain(where)),
      "codemem.findPlaces": () => this.findPlaces(),
      "codemem.relatedHere": () => this.atCursor((where) => this.places((asker, token) => asker.related(where, token), "Related code")),
      "codemem.indexFolders": () => this.index(),
      "codemem.showStatus": () => this.showStatus(),
      "codemem.stopAnswer": () => this.stop(),
      "codemem.clearAnswers": () => this.clear(),
      "codemem.restartServer": () => this.restart(),
    };
    context.subscriptions.push(
      this.status,
      vscode.window.registerWebviewViewProvider(AnswersView.id, this.view, { webviewOptions: { retainContextWhenHidden: true } }),
      vscode.workspace.onDidGrantWorkspaceTrust(() => this.start()),
      vscode.workspace.onDidChangeConfiguration((event) => event.affectsConfiguration("codemem.command") && this.useProgram()),
      ...Object.entries(commands).map(([name, run]) => vscode.commands.registerCommand(name, run)),
    );
  }

  /** The server, started once. Undefined: it cannot be, and the user was told why. */
  start(): Promise<Asker<vscode.CancellationToken> | undefined> {
    if (!this.asker) {
      const starting = this.begin().catch((error: unknown) => {
        this.status.state("$(warning) codemem", "The server does not start");
        void vscode.window.showErrorMessage(`codemem: the server does not start: ${message(error)}`);
        return undefined;
      });
      this.asker = starting;
      // Tried again at the next question, or when the folder is trusted.
      void starting.then((asker) => {
        if (!asker && this.asker === starting) {
          this.asker = undefined;
        }
      });
    }
    return this.asker;
  }

  private async begin(): Promise<Asker<vscode.CancellationToken> | undefined> {
    if (!vscode.workspace.isTrusted) {
      this.view.say("codemem reads this folder once you trust it (Workspaces: Manage Workspace Trust).");
      this.status.state("$(workspace-untrusted) codemem", "Waits until you trust this folder");
      return undefined;
    }
    const found = (this.running = await program());
    if (!found) {
      this.status.state("$(warning) codemem", "codemem is not installed");
      void this.offerInstall();
      return undefined;
    }
    this.client = makeClient(found, {
      onCommand: (command, argument) => this.serverCommand(command, argument),
      onProgress: (token, progress) => this.status.progress(token, progress),
    });
    await this.client.start();
    this.view.say("");
    this.status.state("$(comment-discussion) codemem", "Ask about this repository");
    await vscode.commands.executeCommand("setContext", "codemem.running", true);
    return new Asker<vscode.CancellationToken>(this.client);
  }

  /** Ends the server; one that is just starting is waited for, so that there are never two. */
  async deactivate(): Promise<void> {
    await this.asker;
    await vscode.commands.executeCommand("setContext", "codemem.running", false);
    await this.client?.dispose();
    this.client = this.asker = undefined;
  }

  private restart(): Promise<void> {
    this.restarting = this.restarting.then(async () => {
      await this.deactivate();
      await this.start();
    });
    return this.restarting;
  }

  /** Settings change when a folder is trusted, too; a server that is the right one goes on. */
  private async useProgram(): Promise<void> {
    await this.asker;
    if ((await program()) !== this.running) {
      await this.restart();
    }
  }

  private async offerInstall(): Promise<void> {
    const configured = settings().get<string>("command", "");
    const command = configured ? undefined : await installCommand();
    const what = configured ? `\`${configured}\` (codemem.command) is not a program.` : "The program `codemem` was not found.";
    this.view.say(`${what} Install it, or name it in the setting codemem.command.`);
    const install = command ? [`Install with ${tool(command)}`] : [];
    const chosen = await vscode.window.showWarningMessage(`codemem: ${what}`, ...install, "Open Settings");
    if (chosen === "Open Settings") {
      await vscode.commands.executeCommand("workbench.action.openSettings", "codemem.command");
    } else if (chosen && command) {
      await this.install(command);
    }
  }

  /** In a terminal that the user sees; the server starts when it is done. */
  private async install([file = "", ...rest]: string[]): Promise<void> {
    const execution = new vscode.ProcessExecution(file, rest);
    const task = new vscode.Task({ type: "codemem" }, vscode.TaskScope.Workspace, "Install codemem", "codemem", execution);
    const running = await vscode.tasks.executeTask(task);
    const ended = vscode.tasks.onDidEndTaskProcess((event) => {
      if (event.execution === running) {
        ended.dispose();
        if (event.exitCode === 0) {
          void this.restart();
        }
      }
    });
  }

  private async openAsk(): Promise<void> {
    const text = await vscode.window.showInputBox({ title: "Ask codemem", prompt: "A question about this repository", placeHolder: "How are redirects followed?" });
    await (text?.trim() ? this.ask(text.trim()) : this.view.reveal());
  }

  private async askAboutSelection(): Promise<void> {
    await this.atCursor(async (where) => {
      const text = await vscode.window.showInputBox({ title: "Ask codemem", prompt: "A question about the selection", placeHolder: "Who calls this?" });
      if (text?.trim()) {
        await this.ask(text.trim(), where);
      }
    });
  }

  private async atCursor(run: (where: Where) => Promise<void>): Promise<void> {
    const editor = vscode.window.activeTextEditor;
    if (editor) {
      const { start, end: last } = editor.selection;
      await run({ uri: editor.document.uri.toString(), range: { start: position(start), end: position(last) } });
    }
  }

  async ask(text: string, where?: Where): Promise<void> {
    await this.answer(text, (asker, piece, token) => asker.ask(text, where, piece, token));
  }

  private async explain(where: Where): Promise<void> {
    const file = vscode.workspace.asRelativePath(vscode.Uri.parse(where.uri));
    const title = `Explain ${file}:${where.range.start.line + 1}`;
    await this.answer(title, (asker, piece, token) => asker.explain(where, piece, token));
  }

  /** An answer in the side view, piece by piece. */
  private async answer(title: string, listen: Listen): Promise<void> {
    await this.view.reveal();
    const asker = await this.start();
    if (!asker) {
      return;
    }
    const exchange = this.conversation.begin(title);
    const source = new vscode.CancellationTokenSource();
    this.stopping.add(source);
    this.view.refresh();
    try {
      const answered = await listen(asker, (piece) => { hear(exchange, piece); this.view.refresh(); }, source.token);
      finish(exchange, answered);
    } catch (error) {
      const stopped = source.token.isCancellationRequested;
      end(exchange, stopped ? "stopped" : "failed", stopped ? "" : message(error));
      void this.offerIndex(error);
    } finally {
      this.stopping.delete(source);
      source.dispose();
      this.view.refresh();
    }
  }

  private stop(): void {
    this.stopping.forEach((source) => source.cancel());
  }

  private clear(): void {
    this.stop();
    this.conversation.clear();
    this.view.refresh();
  }

  private async findPlaces(): Promise<void> {
    const text = await vscode.window.showInputBox({ title: "Find with codemem", prompt: "Words, or a name", placeHolder: "where retries are decided" });
    if (text?.trim()) {
      await this.places((asker, token) => asker.find(text.trim(), token), text.trim());
    }
  }

  /** Places to choose from; the chosen one is opened. */
  private async places(find: (asker: Asker<vscode.CancellationToken>, token: vscode.CancellationToken) => Promise<Found>, title: string): Promise<void> {
    const asker = await this.start();
    if (!asker) {
      return;
    }
    try {
      const found = await vscode.window.withProgress(
        { location: vscode.ProgressLocation.Window, title: "codemem", cancellable: true },
        (_, token) => find(asker, token),
      );
      const items = found.result.results.map((place, index) => ({
        label: place.symbol ?? place.path, description: `${place.path}:${place.start_line}-${place.end_line}`,
        detail: place.text?.split("\n", 1)[0]?.trim() ?? "", location: found.locations[index],
      }));
      const chosen = await vscode.window.showQuickPick(items, { title, matchOnDescription: true, matchOnDetail: true });
      if (chosen?.location) {
        const { uri, range } = chosen.location;
        await openLines(vscode.Uri.parse(uri, true), range.start.line, range.end.line);
      }
    } catch (error) {
      await this.failed(error);
    }
  }

  private async index(): Promise<void> {
    const asker = await this.start();
    try {
      await asker?.reindex();
    } catch (error) {
      await this.failed(error);
    }
  }

  private async showStatus(): Promise<void> {
    const asker = await this.start();
    try {
      const told = await asker?.status();
      if (told) {
        await vscode.window.showTextDocument(await vscode.workspace.openTextDocument({ language: "markdown", content: told.markdown }));
      }
    } catch (error) {
      await this.failed(error);
    }
  }

  /** What code actions and lenses ask for arrives where everything else does. */
  private async serverCommand(command: string, argument: object): Promise<unknown> {
    const where = argument as Where & { text?: string };
    if (command === "codemem.related") {
      return this.places((asker, token) => asker.related(where, token), "Related code");
    }
    if (command === "codemem.find") {
      return this.places((asker, token) => asker.find(where.text ?? "", token), where.text ?? "");
    }
    if (command === "codemem.reindex") {
      return this.index();
    }
    if (command === "codemem.status") {
      return this.showStatus();
    }
    const title = where.text ?? "Explain this";
    return this.answer(title, (asker, piece, token) => asker.listen(command, argument, piece, token));
  }

  private async failed(error: unknown): Promise<void> {
    if (!(await this.offerIndex(error)) && !(error instanceof vscode.CancellationError)) {
      void vscode.window.showErrorMessage(`codemem: ${message(error)}`);
    }
  }

  /** Whether the folder is simply not indexed yet; the user was asked then. */
  private async offerIndex(error: unknown): Promise<boolean> {
    if (!isNotIndexed(error)) {
      return false;
    }
    const chosen = await vscode.window.showInformationMessage("codemem has not read this folder yet.", "Index Now");
    if (chosen) {
      await this.index();
    }
    return true;
  }
}

let extension: Extension | undefined;

export async function activate(context: vscode.ExtensionContext): Promise<void> {
  extension = new Extension(context);
  if (vscode.workspace.workspaceFolders?.length) {
    await extension.start();
  }
}

export async function deactivate(): Promise<void> {
  await extension?.deactivate();
}

function message(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function tool(command: string[]): string {
  return /(uv|pipx)(\.exe)?$/.exec(command[0] ?? "")?.[1] ?? "pip";
}

function position({ line, character }: vscode.Position): { line: number; character: number } {
  return { line, character };
}
