"""Commands, as an editor sends them."""

from pathlib import Path
from typing import Any

import pytest
from cli.conftest import CommandLine
from pygls.exceptions import JsonRpcException

from codemem.lsp.requests import COMMANDS
from lsp.editor_client import Editor


def test_find_names_places_with_links_to_their_lines(editor: Editor, indexed: CommandLine) -> None:
    found = editor.command("codemem.find", "retry with backoff")
    first = found["result"]["results"][0]
    assert first["path"] == "src/retry.py"
    uri = (indexed.where / "src/retry.py").as_uri()
    assert f"({uri}#L{first['start_line']})" in found["markdown"]
    assert found["locations"][0]["uri"] == uri
    assert found["locations"][0]["range"]["start"]["line"] == first["start_line"] - 1
