"""Commands, as an editor sends them, and what comes back."""

import time
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

import pytest
from app.conftest import FILES
from cli.conftest import CommandLine
from lsprotocol import types
from pygls.exceptions import JsonRpcException

from codemem.lsp.commands import COMMANDS
from lsp.editor_client import SECONDS, Editor, capabilities

CACHE = "src/cache.py"


def place(indexed: CommandLine, line: int, last: int | None = None) -> dict[str, Any]:
    """Of src/cache.py, lines counted from 0."""
    end = line if last is None else last
    span = {"start": {"line": line, "character": 0}, "end": {"line": end, "character": 80}}
    return {"uri": (indexed.where / CACHE).as_uri(), "range": span}


def test_every_command_is_declared(editor: Editor) -> None:
    """Zed runs none that is not."""
    declared = editor.started.capabilities.execute_command_provider
    assert declared is not None
    assert set(declared.commands) == set(COMMANDS)


def test_find_names_places_with_links_to_their_lines(editor: Editor, indexed: CommandLine) -> None:
    found = editor.command("codemem.find", "retry with backoff")
    first = found["result"]["results"][0]
    assert first["path"] == "src/retry.py"
    uri = (indexed.where / "src/retry.py").as_uri()
    assert f"({uri}#L{first['start_line']})" in found["markdown"]
    assert found["locations"][0]["uri"] == uri
    assert found["locations"][0]["range"]["start"]["line"] == first["start_line"] - 1


def test_ask_answers_from_the_memory(editor: Editor) -> None:
    answered = editor.command("codemem.ask", "Where are entries evicted?")
    result = answered["result"]
    assert result["question"] == "Where are entries evicted?"
    assert result["model"] == "tiny"
    assert result["rounds"]
    assert answered["markdown"].startswith("# Where are entries evicted?\n")
    assert answered["document"] is None  # this client shows none


def test_a_question_about_a_selection_names_it(editor: Editor, indexed: CommandLine) -> None:
    arguments = place(indexed, 3, 4) | {"text": "Who calls this?"}
    question = editor.command("codemem.askSelection", arguments)["result"]["question"]
    assert question.startswith("Who calls this?")
    assert "`Cache.lookup` in src/cache.py, lines 4-5:\n" in question
    assert "return self.entries.get(key)" in question


def test_explain_takes_the_definition_at_the_cursor_and_a_diagnostic(editor: Editor, indexed: CommandLine) -> None:
    position = {"uri": place(indexed, 7)["uri"], "position": {"line": 7, "character": 4}}
    assert "`Cache.evict`" in editor.command("codemem.explain", position)["result"]["question"]
    diagnosed = editor.command("codemem.explain", position | {"diagnostic": "KeyError: oldest"})["result"]["question"]
    assert "KeyError: oldest" in diagnosed


def test_related_leaves_out_the_place_itself(editor: Editor, indexed: CommandLine) -> None:
    arguments = place(indexed, 3, 4)
    found = editor.command("codemem.related", arguments)["result"]["results"]
    assert found
    here = [r for r in found if r["path"] == CACHE and r["start_line"] <= 5 and r["end_line"] >= 4]
    assert here == []


def test_status_tells_of_trees_and_model(editor: Editor, indexed: CommandLine) -> None:
    told = editor.command("codemem.status")
    (tree,) = told["results"]
    assert tree["path"] == str(indexed.where)
    assert tree["in_memory"] == tree["documents"] >= len(FILES)
    assert told["model"] in ("loading", "tiny", "none loaded")
    assert told["daemon"]


@pytest.mark.parametrize(
    ("command", "arguments", "message"),
    [
        ("codemem.ask", [], "what is the question"),
        ("codemem.find", [" "], "what is the question"),
        ("codemem.find", ["x", {"count": 0}], "'count'"),
        ("codemem.find", [{"txt": "x"}], "unknown key 'txt'"),
        ("codemem.find", ["x", 3], "give text"),
        ("codemem.ask", ["x" * 8001], "longer than 8,000"),
        ("codemem.explain", [], "name a place"),
        ("codemem.explain", [{"uri": "file:///x.py", "position": {"line": -1, "character": 0}}], "a position is"),
        ("codemem.explain", [{"uri": "untitled:x", "position": {"line": 0, "character": 0}}], "only files"),
        ("codemem.reindex", [{"purpose": "fun"}], "'purpose'"),
        ("codemem.nothing", [], "no command"),
    ],
)
def test_wrong_arguments_are_explained(editor: Editor, command: str, arguments: list[Any], message: str) -> None:
    with pytest.raises(JsonRpcException, match=message):
        editor.command(command, *arguments)


def test_a_folder_that_is_not_indexed_says_what_to_do(indexed: CommandLine, tmp_path: Path) -> None:
    with Editor(indexed.environment, tmp_path) as editor:
        editor.start()
        with pytest.raises(JsonRpcException, match="run `codemem index") as raised:
            editor.command("codemem.find", "anything")
        assert raised.value.code == types.LSPErrorCodes.RequestFailed


def test_reindex_takes_in_a_folder_with_progress(indexed: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "zebra.py").write_text("def count_stripes():\n    return 7\n")
    with Editor(indexed.environment, tmp_path) as editor:
        editor.start(client=capabilities(work_done_progress=True))
        (result,) = editor.command("codemem.reindex")["results"]
        assert (result["documents"], result["encoded"]) == (1, 1)
        editor.wait_for(lambda: editor.progress and editor.progress[-1].value["kind"] == "end")
        assert any("encoding" in (params.value.get("message") or "") for params in editor.progress)
        assert editor.command("codemem.find", "count stripes")["result"]["results"][0]["path"] == "zebra.py"


def test_an_answer_opens_as_a_document_that_goes_with_the_server(indexed: CommandLine) -> None:
    client = capabilities(show_document=types.ShowDocumentClientCapabilities(support=True))
    with Editor(indexed.environment, indexed.where) as editor:
        editor.start(client=client)
        found = editor.command("codemem.find", "evict")
        assert editor.shown == [found["document"]]
        document = Path(unquote(urlparse(found["document"]).path))
        assert document.read_text() == found["markdown"]
        assert document.parent.stat().st_mode & 0o077 == 0
    assert not document.parent.exists()


def test_pieces_of_an_answer_are_notified_to_a_client_that_asks_for_them(indexed: CommandLine) -> None:
    with Editor(indexed.environment, indexed.where) as editor:
        editor.start(options={"answers": "notification"})
        result = editor.command("codemem.ask", "What is evicted?", {"id": "q1"})["result"]
        editor.wait_for(lambda: editor.answers and editor.answers[-1].kind == "end")
        assert {answer.id for answer in editor.answers} == {"q1"}
        kinds = [answer.kind for answer in editor.answers]
        assert kinds[0] == "round"
        if result["found"]:
            text = "".join(answer.text for answer in editor.answers if answer.kind == "text")
            assert text.strip() == result["answer"]


def test_a_cancelled_question_is_answered_at_once_and_frees_the_model(indexed: CommandLine, tmp_path: Path) -> None:
    """Asked of a server whose model is not even loaded, so that it cannot be done before it is cancelled."""
    with Editor(indexed.environment, indexed.where) as editor:
        editor.start(options={"keepUp": False})
        editor.command("codemem.status")
        asked = editor.send(
            types.WORKSPACE_EXECUTE_COMMAND, types.ExecuteCommandParams("codemem.ask", ["Who?"]), request="ask-1"
        )
        editor.notify(types.CANCEL_REQUEST, types.CancelParams(id="ask-1"))
        with pytest.raises(JsonRpcException) as raised:
            asked.result(SECONDS)
        assert raised.value.code == types.LSPErrorCodes.RequestCancelled
        assert editor.command("codemem.ask", "What is evicted?")["result"]["question"] == "What is evicted?"


def test_progress_can_be_cancelled(indexed: CommandLine) -> None:
    with Editor(indexed.environment, indexed.where) as editor:
        editor.start(client=capabilities(work_done_progress=True), options={"keepUp": False})
        asked = editor.send(types.WORKSPACE_EXECUTE_COMMAND, types.ExecuteCommandParams("codemem.ask", ["Who?"]))
        editor.wait_for(lambda: editor.progress)
        token = editor.progress[0].token
        editor.notify(types.WINDOW_WORK_DONE_PROGRESS_CANCEL, types.WorkDoneProgressCancelParams(token))
        with pytest.raises(JsonRpcException) as raised:
            asked.result(SECONDS)
        assert raised.value.code == types.LSPErrorCodes.RequestCancelled
        editor.wait_for(lambda: editor.progress[-1].value["kind"] == "end")


def test_leaving_while_the_model_works_leaves_no_process(indexed: CommandLine) -> None:
    with Editor(indexed.environment, indexed.where) as editor:
        editor.start(options={"keepUp": False})
        editor.send(types.WORKSPACE_EXECUTE_COMMAND, types.ExecuteCommandParams("codemem.ask", ["Who?"]))
        began = time.monotonic()
    assert editor.process.returncode == 0
    assert time.monotonic() - began < SECONDS
