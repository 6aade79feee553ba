// The side view: a box to ask in, and the conversation.
import { randomBytes } from "node:crypto";
import * as vscode from "vscode";
import type { Conversation, Source } from "./conversation.ts";

/** Everything that the view sends. It names sources by number: a page that shows a model's words opens no path of theirs. */
type FromView =
  | { do: "ready" | "stop" }
  | { do: "ask"; text: string }
  | { do: "open"; exchange: number; source: number };

export class AnswersView implements vscode.WebviewViewProvider {
  static readonly id = "codemem.answers";
  private view: vscode.WebviewView | undefined;
  private scheduled: NodeJS.Timeout | undefined;
  private hint = "";
  private readonly media: vscode.Uri;
  private readonly conversation: Conversation;
  private readonly ask: (text: string) => void;
  private readonly stop: () => void;

  constructor(media: vscode.Uri, conversation: Conversation, ask: (text: string) => void, stop: () => void) {
    this.media = media;
    this.conversation = conversation;
    this.ask = ask;
    this.stop = stop;
  }

  resolveWebviewView(view: vscode.WebviewView): void {
    this.view = view;
    view.webview.options = { enableScripts: true, localResourceRoots: [this.media] };
    view.webview.onDidReceiveMessage((message: FromView) => this.hear(message));
    view.onDidDispose(() => (this.view = undefined));
    view.webview.html = this.page(view.webview);
  }

  /** Shows the conversation as it is, at most twenty times a second. */
  refresh(): void {
    this.scheduled ??= setTimeout(() => {
      this.scheduled = undefined;
      void this.view?.webview.postMessage({ exchanges: this.conversation.exchanges, hint: this.hint });
    }, 50);
  }

  /** A line in place of the conversation, e.g. that the folder is not trusted yet. */
  say(hint: string): void {
    this.hint = hint;
    this.refresh();
  }

  async reveal(): Promise<void> {
    await vscode.commands.executeCommand(`${AnswersView.id}.focus`);
  }

  private hear(message: FromView): void {
    if (message.do === "ask") {
      this.ask(message.text);
    } else if (message.do === "open") {
      const source = this.conversation.exchanges[message.exchange]?.sources[message.source];
      if (source) {
        void openSource(source);
      }
    } else if (message.do === "stop") {
      this.stop();
    } else {
      this.refresh();
    }
  }

  private page(webview: vscode.Webview): string {
    const nonce = randomBytes(16).toString("hex");
    const of = (name: string) => webview.asWebviewUri(vscode.Uri.joinPath(this.media, name)).toString();
    return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src ${webview.cspSource}; script-src 'nonce-${nonce}'">
<link rel="stylesheet" href="${of("view.css")}">
<title>Ask codemem</title>
</head>
<body>
<form id="ask">
<textarea id="question" rows="3" aria-label="A question about this repository" placeholder="Ask about this repository"></textarea>
<div class="buttons"><button type="submit">Ask</button><button type="button" id="stop" class="quiet" hidden>Stop</button></div>
</form>
<p id="hint" role="status"></p>
<main id="conversation" aria-live="polite"></main>
<script nonce="${nonce}" src="${of("view.js")}"></script>
</body>
</html>`;
  }
}

export async function openSource(source: Source): Promise<void> {
  const { repository, path, start_line, end_line } = source.place;
  await openLines(vscode.Uri.joinPath(vscode.Uri.file(repository), ...path.split("/")), start_line - 1, end_line);
}

/** Opens a file with lines selected: counted from 0, the end excluded. */
export async function openLines(uri: vscode.Uri, first: number, end: number): Promise<void> {
  try {
    const selection = new vscode.Range(first, 0, end, 0);
    await vscode.window.showTextDocument(uri, { selection, preview: true });
  } catch {
    void vscode.window.showWarningMessage(`codemem: ${vscode.workspace.asRelativePath(uri)} cannot be opened any more.`);
  }
}
