"""Starting, options, unsaved text, changed files, and clients that send nonsense."""

import ast
import copy
import json
import os
import random
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from app.conftest import FILES, commit, git, write
from cli.conftest import CommandLine
from lsprotocol import types
from pygls.exceptions import JsonRpcException

from lsp.editor_client import SECONDS, Editor, capabilities


@pytest.fixture
def outlined(indexed: CommandLine, tmp_path: Path) -> CommandLine:
    """A repository of the test's own, with an outline alone: nothing waits for a model."""
    root = tmp_path / "own"
    root.mkdir()
    git(root, "init", "-q")
    write(root, FILES | {".gitignore": "secret.txt\n"})
    commit(root)
    codemem = copy.copy(indexed)
    codemem.where = root
    assert codemem("index", "--for", "outline").returncode == 0
    return codemem


def first_path(editor: Editor, query: str) -> str | None:
    found = editor.command("codemem.find", query)["result"]["results"]
    return found[0]["path"] if found else None


HEAVY = "{'torch', 'numpy', 'tree_sitter', 'git', 'safetensors', 'tokenizers', 'huggingface_hub', 'typer'}"


@pytest.mark.parametrize(
    ("modules", "more"),
    [
        ("codemem.cli, codemem.cli.editor, codemem.lsp.serving", "{'lsprotocol', 'pygls', 'asyncio'}"),
        ("codemem.lsp.server, codemem.lsp.backend, codemem.config", "set()"),
    ],
    ids=["until initialize is answered", "ever, where there is a daemon"],
)
def test_nothing_heavy_is_imported(modules: str, more: str) -> None:
    """Counted in modules, not in time."""
    script = f"import sys, {modules}\nprint(sorted(({HEAVY} | {more}) & set(sys.modules)))\n"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_what_may_be_second_choice_is_not_claimed(outlined: CommandLine) -> None:
    """Editors ask one server for definitions and hovers; that should be the language's own."""
    with Editor(outlined.environment, outlined.where) as editor:
        claimed = editor.start().capabilities
        assert claimed.position_encoding == types.PositionEncodingKind.Utf8
        assert (claimed.hover_provider, claimed.code_lens_provider, claimed.definition_provider) == (None, None, None)
        assert claimed.references_provider is None
        assert claimed.code_action_provider is not None
        assert claimed.workspace_symbol_provider is not None
        editor.wait_for(lambda: types.WORKSPACE_DID_CHANGE_WATCHED_FILES in editor.registered)


def test_a_wrong_option_is_named_and_the_others_are_taken(outlined: CommandLine) -> None:
    with Editor(outlined.environment, outlined.where) as editor:
        claimed = editor.start(options={"hover": True, "result": 3, "results": "many", "codeLens": True}).capabilities
        editor.wait_for(lambda: len(editor.messages) == 2)
        assert "unknown option 'result', did you mean 'results'?" in editor.messages[0]
        assert "option 'results' must be a whole number" in editor.messages[1]
        assert claimed.hover_provider
        assert claimed.code_lens_provider is not None


def test_settings_of_the_client_are_taken(outlined: CommandLine) -> None:
    client = capabilities()
    assert client.workspace is not None
    client.workspace.configuration = True
    with Editor(outlined.environment, outlined.where) as editor:
        editor.settings = {"results": 1, "colour": "red"}
        editor.start(client=client, options={"results": 2})
        editor.wait_for(lambda: editor.messages)
        assert "unknown option 'colour'" in editor.messages[0]
        assert len(editor.command("codemem.find", "retry cache demo")["result"]["results"]) == 1
        editor.settings = {"answers": "result"}
        changed = types.DidChangeConfigurationParams({})
        editor.notify(types.WORKSPACE_DID_CHANGE_CONFIGURATION, changed)
        editor.wait_for(lambda: editor.asked_settings == 2)
        editor.command("codemem.status")
        assert len(editor.command("codemem.find", "retry cache demo")["result"]["results"]) == 2


def test_unsaved_text_counts(outlined: CommandLine) -> None:
    with Editor(outlined.environment, outlined.where) as editor:
        editor.start()
        uri = editor.open(outlined.where / "src/cache.py")
        change = types.TextDocumentContentChangePartial(
            types.Range(types.Position(0, 0), types.Position(0, 0)), "def platypus_count():\n    return 1\n\n\n"
        )
        edit = types.DidChangeTextDocumentParams(types.VersionedTextDocumentIdentifier(2, uri), [change])
        editor.notify(types.TEXT_DOCUMENT_DID_CHANGE, edit)
        assert first_path(editor, "platypus_count") == "src/cache.py"
        (symbol,) = editor.request(types.WORKSPACE_SYMBOL, types.WorkspaceSymbolParams("platypus"))
        assert symbol.name == "platypus_count"
        close = types.DidCloseTextDocumentParams(types.TextDocumentIdentifier(uri))
        editor.notify(types.TEXT_DOCUMENT_DID_CLOSE, close)
        assert not editor.request(types.WORKSPACE_SYMBOL, types.WorkspaceSymbolParams("platypus"))


def test_a_file_never_saved_counts_and_an_ignored_one_does_not(outlined: CommandLine) -> None:
    (outlined.where / "secret.txt").write_text("saved\n")
    with Editor(outlined.environment, outlined.where) as editor:
        editor.start()
        editor.open(outlined.where / "src/new.py", "def wombat_total():\n    return 2\n")
        editor.open(outlined.where / "secret.txt", "wombat secret changed\n")
        editor.open(outlined.where / ".env", "WOMBAT_TOKEN=1\n")
        found = editor.command("codemem.find", "wombat secret token env")["result"]["results"]
        assert "src/new.py" in {place["path"] for place in found}
        assert not {"secret.txt", ".env"} & {place["path"] for place in found}


def test_files_that_appear_on_disk_are_followed(outlined: CommandLine) -> None:
    with Editor(outlined.environment, outlined.where) as editor:
        editor.start()
        assert not editor.request(types.WORKSPACE_SYMBOL, types.WorkspaceSymbolParams("axolotl"))
        path = outlined.where / "axolotl.py"
        path.write_text("def axolotl_feed():\n    pass\n")
        event = types.FileEvent(path.as_uri(), types.FileChangeType.Created)
        editor.notify(types.WORKSPACE_DID_CHANGE_WATCHED_FILES, types.DidChangeWatchedFilesParams([event]))
        (symbol,) = editor.request(types.WORKSPACE_SYMBOL, types.WorkspaceSymbolParams("axolotl"))
        assert symbol.location.uri == path.as_uri()


def test_folders_of_the_workspace_are_followed(outlined: CommandLine, indexed: CommandLine) -> None:
    with Editor(outlined.environment, outlined.where) as editor:
        editor.start()
        editor.command("codemem.find", "evict")
        old, new = (types.WorkspaceFolder(p.as_uri(), p.name) for p in (outlined.where, indexed.where))
        event = types.WorkspaceFoldersChangeEvent(added=[new], removed=[old])
        params = types.DidChangeWorkspaceFoldersParams(event)
        editor.notify(types.WORKSPACE_DID_CHANGE_WORKSPACE_FOLDERS, params)
        (tree,) = editor.command("codemem.status")["results"]
        assert tree["path"] == str(indexed.where)


def commanded(action: types.Command) -> Any:
    """The command of a code action: lsprotocol reads any action that has one as a Command, with that as a text."""
    return ast.literal_eval(action.command)


def test_what_is_offered_at_a_place(outlined: CommandLine) -> None:
    with Editor(outlined.environment, outlined.where) as editor:
        editor.start(options={"codeLens": True, "hover": True})
        uri = editor.open(outlined.where / "src/cache.py")
        document = types.TextDocumentIdentifier(uri)
        cursor = types.Range(types.Position(4, 0), types.Position(4, 0))
        selection = types.Range(types.Position(3, 0), types.Position(4, 9))
        automatic = types.CodeActionContext([], trigger_kind=types.CodeActionTriggerKind.Automatic)
        ask = types.TEXT_DOCUMENT_CODE_ACTION
        assert not editor.request(ask, types.CodeActionParams(document, cursor, automatic))
        offered = [commanded(a) for a in editor.request(ask, types.CodeActionParams(document, selection, automatic))]
        assert [c["command"] for c in offered] == ["codemem.explain", "codemem.related", "codemem.askSelection"]
        assert editor.command(offered[1]["command"], *offered[1]["arguments"])["result"]["results"]
        problem = types.CodeActionContext([types.Diagnostic(selection, "KeyError")], only=["quickfix"])
        (fix,) = editor.request(ask, types.CodeActionParams(document, cursor, problem))
        assert commanded(fix)["arguments"][0]["diagnostic"] == "KeyError"
        lenses = editor.request(types.TEXT_DOCUMENT_CODE_LENS, types.CodeLensParams(document))
        assert {(lens.range.start.line, lens.command.title) for lens in lenses} >= {(3, "explain"), (6, "related")}
        hover = types.HoverParams(document, types.Position(4, 5))
        assert editor.request(types.TEXT_DOCUMENT_HOVER, hover) is None


def test_a_hover_shows_an_explanation_that_was_asked_for(indexed: CommandLine) -> None:
    with Editor(indexed.environment, indexed.where) as editor:
        editor.start(options={"hover": True})
        uri = (indexed.where / "src/cache.py").as_uri()
        explained = editor.command("codemem.explain", {"uri": uri, "position": {"line": 4, "character": 5}})
        params = types.HoverParams(types.TextDocumentIdentifier(uri), types.Position(3, 1))
        hover = editor.request(types.TEXT_DOCUMENT_HOVER, params)
        if explained["result"]["found"]:
            assert hover.contents.value == explained["markdown"]
        else:
            assert hover is None


def framed(body: bytes) -> bytes:
    return b"Content-Length: %d\r\n\r\n%s" % (len(body), body)


def test_nonsense_does_not_end_the_server(outlined: CommandLine) -> None:
    noise = random.Random(7)  # noqa: S311 (the same nonsense every time)
    nonsense = [
        noise.randbytes(3000).replace(b"\n", b"") + b"\r\n",
        framed(noise.randbytes(200)),
        framed(b"[1, 2, 3]"),
        framed(b'"text"'),
        framed(b"[" * 100_000),
        framed(b"{}"),
        framed(b'{"jsonrpc": "2.0", "id": {}, "method": 3}'),
        framed(b'{"jsonrpc": "2.0", "method": "textDocument/didOpen", "params": []}'),
        framed(b'{"jsonrpc": "2.0", "method": "$/cancelRequest", "params": {"id": 99}}'),
        framed(b'{"jsonrpc": "2.0", "id": 99, "result": null}'),
        b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n",
        b"Content-Length: -5\r\n\r\n",
        b"\r\n\r\n",
    ]
    with Editor(outlined.environment, outlined.where) as editor:
        editor.start()
        for data in nonsense:
            editor.write_raw(data)
        assert first_path(editor, "Cache.evict") == "src/cache.py"


def test_a_position_that_cannot_be_is_refused_by_its_id(outlined: CommandLine) -> None:
    with Editor(outlined.environment, outlined.where) as editor:
        editor.start()
        uri = editor.open(outlined.where / "src/cache.py")
        far = {"line": 2**31 - 1, "character": 2**31 - 1}
        span = {"start": far, "end": {"line": 0, "character": 0}}
        assert editor.command("codemem.related", {"uri": uri, "range": span})["result"]["results"]
        wrong = {"textDocument": {"uri": uri}, "position": {"line": -1, "character": "x"}}
        bad = {"jsonrpc": "2.0", "id": "bad", "method": "textDocument/codeAction", "params": wrong}
        answer = editor.expect("bad")
        editor.write_raw(framed(json.dumps(bad).encode()))
        with pytest.raises(JsonRpcException, match="parameters"):
            answer.result(SECONDS)


def test_nothing_that_was_asked_is_logged(indexed: CommandLine) -> None:
    with Editor(indexed.environment, indexed.where) as editor:
        editor.start()
        with pytest.raises(JsonRpcException):
            editor.command("codemem.find", "quokka secret", {"count": "no"})
        editor.command("codemem.find", "quokka secret")
        editor.write_raw(framed(b'{"jsonrpc": "2.0", "id": 5, "method": "textDocument/hover", "params": "quokka"}'))
        editor.command("codemem.find", "quokka")
    assert b"quokka" not in editor.error_output


def test_one_client_over_tcp_and_no_web_page(outlined: CommandLine) -> None:
    for hello, served in ((framed(b'{"jsonrpc": "2.0", "id": 1, "method": "shutdown"}'), True), (HTTP, False)):
        process = subprocess.Popen(
            [sys.executable, "-m", "codemem", "lsp", "--tcp", "0"],
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            env=outlined.environment,
            cwd=outlined.where,
        )
        with process:
            assert process.stderr is not None
            port = int(process.stderr.readline().rsplit(b":", 1)[1])
            with socket.create_connection(("127.0.0.1", port), SECONDS) as connection:
                connection.sendall(hello)
                connection.shutdown(socket.SHUT_WR)
                with connection.makefile("rb") as answer:
                    assert bool(answer.read()) is served
            assert process.wait(SECONDS) == 0


HTTP = b"POST / HTTP/1.1\r\nHost: localhost\r\n" + framed(b'{"jsonrpc": "2.0", "id": 1, "method": "shutdown"}')


def test_a_configuration_that_is_wrong_is_named(outlined: CommandLine, tmp_path: Path) -> None:
    home = tmp_path / "wrong"
    home.mkdir()
    (home / "config.toml").write_text("devise = 'cpu'\n")
    with Editor(os.environ | {"CODEMEM_HOME": str(home)}, outlined.where) as editor:
        editor.start()
        with pytest.raises(JsonRpcException, match="did you mean 'device'"):
            editor.command("codemem.find", "x")
