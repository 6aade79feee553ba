// One item in the status bar: whether the server runs, and how far indexing is.
import * as vscode from "vscode";
import type { Progress } from "./server.ts";

export class StatusBar implements vscode.Disposable {
  private readonly item = vscode.window.createStatusBarItem("codemem", vscode.StatusBarAlignment.Left, 0);
  private readonly running = new Map<string | number, string>();
  private rest = "";

  constructor() {
    this.item.name = "codemem";
    this.item.command = "codemem.openAsk";
    this.state("codemem", "Ask about this repository");
    this.item.show();
  }

  /** What it says while nothing is under way. */
  state(text: string, tooltip: string): void {
    this.rest = text;
    this.item.tooltip = tooltip;
    this.draw();
  }

  progress(token: string | number, progress: Progress): void {
    if (progress.kind === "end") {
      this.running.delete(token);
    } else {
      const title = progress.kind === "begin" ? progress.title : "";
      const share = progress.percentage === undefined ? "" : ` ${progress.percentage} %`;
      const indexing = title.includes("indexing") || this.running.get(token)?.includes("indexing");
      this.running.set(token, indexing ? `$(sync~spin) codemem: indexing${share}` : "$(loading~spin) codemem: answering");
    }
    this.draw();
  }

  private draw(): void {
    const busy = [...this.running.values()];
    this.item.text = busy.find((text) => text.includes("indexing")) ?? busy[0] ?? this.rest;
  }

  dispose(): void {
    this.item.dispose();
  }
}
