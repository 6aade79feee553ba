"""Drives the VS Code extension in code-server, the browser build of VS Code, and takes a picture of it.

    python editors/pictures/vscode.py --code-server PATH/TO/entry.js --node NODE --chromium CHROMIUM \\
        --codemem "$(command -v codemem)" --folder INDEXED_REPOSITORY --question "How is a signature checked?" \\
        --out docs/pictures/vscode.png

It does what a newcomer does: opens the folder, trusts it, asks by the keyboard, waits for the answer and clicks its
first source. It fails if one of these does not work. Needs `playwright` from PyPI.
"""

import argparse
import json
import re
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import FrameLocator, Page, expect, sync_playwright

EXTENSION = Path(__file__).parent.parent / "vscode" / "codemem.vsix"
SECONDS = 500
SETTINGS = """{
  "workbench.startupEditor": "none", "workbench.colorTheme": "Default Light Modern", "window.commandCenter": false,
  "workbench.tips.enabled": false, "security.workspace.trust.startupPrompt": "never",
  "telemetry.telemetryLevel": "off", "chat.disableAIFeatures": true,
  "workbench.secondarySideBar.defaultVisibility": "hidden", "editor.minimap.enabled": false, "editor.fontSize": 13
}"""


expect.set_options(timeout=SECONDS * 1000)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("code-server", "node", "chromium", "codemem", "folder", "question", "out"):
        parser.add_argument(f"--{name}", required=True)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        data = Path(scratch)
        (data / "User").mkdir()
        (data / "User" / "settings.json").write_text(SETTINGS, encoding="utf-8")
        (data / "Machine").mkdir()
        command = json.dumps({"codemem.command": asked.codemem})
        (data / "Machine" / "settings.json").write_text(command, encoding="utf-8")
        program = [
            asked.node,
            asked.code_server,
            "--user-data-dir",
            scratch,
            "--extensions-dir",
            f"{scratch}/extensions",
        ]
        subprocess.run([*program, "--install-extension", str(EXTENSION)], check=True)
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        server = subprocess.Popen(
            [*program, "--auth", "none", "--bind-addr", f"127.0.0.1:{port}", "--disable-telemetry",
             "--disable-update-check", "--disable-getting-started-override", asked.folder]
        )  # fmt: skip
        try:
            _wait_for(port)
            with sync_playwright() as play:
                browser = play.chromium.launch(executable_path=asked.chromium, args=["--no-sandbox"])
                page = browser.new_page(viewport={"width": 1180, "height": 700})
                page.set_default_timeout(SECONDS * 1000)
                page.goto(f"http://127.0.0.1:{port}/?folder={asked.folder}")
                try:
                    _drive(page, asked.question, asked.out)
                except Exception:
                    page.screenshot(path=f"{asked.out}.failed.png")
                    raise
                browser.close()
        finally:
            server.terminate()
            server.wait(30)


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    sys.exit("code-server does not start")


def _drive(page: Page, question: str, out: str) -> None:
    status = page.locator(".statusbar-item[id*='codemem']")
    expect(status).to_have_attribute("aria-label", re.compile("Waits until you trust"))
    page.get_by_role("button", name="Manage").first.click()
    page.get_by_role("button", name="Trust", exact=True).click()
    expect(status).to_have_attribute("aria-label", re.compile("Ask about this repository"))
    page.get_by_role("button", name="Close Modal Editor").or_(page.locator(".codicon-close")).first.click()
    page.locator(".monaco-workbench").press("Control+Alt+m")
    page.get_by_placeholder("How are redirects followed?").fill(question)
    page.keyboard.press("Enter")
    view = _view(page)
    view.get_by_role("heading", name=question).wait_for()
    page.screenshot(path=f"{out}.asking.png")
    source = view.locator("button.source").first
    source.wait_for()
    label = source.inner_text().split(":")[0]
    source.click()
    expect(page.locator(".tabs-container .tab.active")).to_contain_text(label.rsplit("/", 1)[-1])
    page.wait_for_timeout(1500)  # for the colours of the editor
    page.screenshot(path=out)


def _view(page: Page) -> FrameLocator:
    """The page within the two frames that VS Code puts around a view of an extension."""
    return page.frame_locator("iframe.webview.ready").frame_locator("iframe#active-frame")


if __name__ == "__main__":
    main()
