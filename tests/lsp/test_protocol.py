"""What is answered before LSP's types are imported, documents that the client fetches, and what is registered later."""

import io
import json
from typing import Any

import pytest
from cli.conftest import CommandLine
from hypothesis import given
from hypothesis import strategies as st
from lsprotocol import converters, types
from pygls.exceptions import JsonRpcException

from codemem.lsp.commands import COMMANDS
from codemem.lsp.greeting import greet
from codemem.lsp.transport import BoundedReader, framed, open_session
from lsp.editor_client import Editor, capabilities

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)
ALL_ON = {"codeLens": True, "hover": True}


def message(**parts: Any) -> bytes:
    return framed(json.dumps({"jsonrpc": "2.0", **parts}).encode())


def test_the_greeting_is_an_initialize_result_of_lsp() -> None:
    client = {"workspace": {"textDocumentContent": {}}, "general": {"positionEncodings": ["x", "utf-32", "utf-8"]}}
    greeting = greet({"capabilities": client, "initializationOptions": ALL_ON})
    claimed = converters.get_converter().structure(greeting.result, types.InitializeResult).capabilities
    assert claimed.position_encoding == types.PositionEncodingKind.Utf32
    assert isinstance(claimed.text_document_sync, types.TextDocumentSyncOptions)
    assert claimed.text_document_sync.change == types.TextDocumentSyncKind.Incremental
    assert claimed.execute_command_provider is not None
    assert tuple(claimed.execute_command_provider.commands) == COMMANDS
    assert claimed.workspace is not None
    assert claimed.workspace.text_document_content is not None
    assert claimed.hover_provider is not None
    assert isinstance(claimed.code_lens_provider, types.CodeLensOptions)
    assert claimed.definition_provider is None


@given(JSON)
def test_any_client_is_greeted(params: Any) -> None:
    greeting = greet({"capabilities": params, "initializationOptions": params})
    assert greeting.encoding in ("utf-8", "utf-16", "utf-32")
    assert greeting.result["capabilities"]["positionEncoding"] == greeting.encoding


@given(st.lists(st.binary(max_size=60), max_size=6), JSON)
def test_whatever_comes_first_initialize_is_answered_and_read_once_more(noise: list[bytes], params: Any) -> None:
    junk = b"".join(framed(piece) for piece in noise if piece)
    hello = message(id="hello", method="initialize", params={"capabilities": params})
    output = io.BytesIO()
    reader = BoundedReader(io.BytesIO(junk + message(id=1, method="shutdown") + hello + b"rest"))
    opened = open_session(reader, output)
    assert opened is not None
    assert opened.request == "hello"
    assert b'"code": -32002' in output.getvalue()  # what came too early
    assert output.getvalue().count(b'"id": "hello"') == 1
    again = reader.message()
    assert again is not None
    assert json.loads(again)["id"] == "hello"
    assert reader.readline() == b"rest"


@pytest.mark.parametrize("said", [b"", b"Content-Length: 100\r\n\r\n{", message(method="exit"), framed(b"[[[")])
def test_a_client_that_leaves_before_it_says_anything_is_left(said: bytes) -> None:
    assert open_session(BoundedReader(io.BytesIO(said)), io.BytesIO()) is None


def test_a_client_whose_capabilities_are_no_lsp_is_served(indexed: CommandLine) -> None:
    """`initialize` is answered from plain JSON; what pygls cannot read of it is left out."""
    folder = indexed.where.as_uri()
    params = {"processId": "x", "capabilities": {"workspace": 3, "window": []}, "rootUri": folder}
    with Editor(indexed.environment, indexed.where) as editor:
        editor.launch()
        answer = editor.expect("strange")
        editor.write_raw(message(id="strange", method="initialize", params=params))
        answer.result(60)
        with pytest.raises(JsonRpcException, match="no folder"):
            editor.command("codemem.find", "evict")


def test_an_answer_is_a_document_of_ours_where_the_client_fetches_it(indexed: CommandLine) -> None:
    client = capabilities(show_document=types.ShowDocumentClientCapabilities(support=True))
    assert client.workspace is not None
    client.workspace.text_document_content = types.TextDocumentContentClientCapabilities()
    with Editor(indexed.environment, indexed.where) as editor:
        editor.start(client=client)
        answered = editor.command("codemem.ask", "What is evicted?")
        uri = answered["document"]
        assert uri.startswith("codemem:/")
        assert editor.shown == [uri]  # opened once, before there was an answer
        editor.wait_for(lambda: editor.refreshed)
        fetched = editor.request(types.WORKSPACE_TEXT_DOCUMENT_CONTENT, types.TextDocumentContentParams(uri))
        assert fetched.text == answered["markdown"]
        with pytest.raises(JsonRpcException, match="no such document"):
            editor.request(types.WORKSPACE_TEXT_DOCUMENT_CONTENT, types.TextDocumentContentParams("codemem:/other.md"))


def test_what_the_settings_turn_on_is_registered_and_withdrawn(indexed: CommandLine) -> None:
    client = capabilities()
    dynamic = {"dynamic_registration": True}
    client.text_document = types.TextDocumentClientCapabilities(
        hover=types.HoverClientCapabilities(**dynamic),
        code_lens=types.CodeLensClientCapabilities(**dynamic),
        code_action=types.CodeActionClientCapabilities(**dynamic),
    )
    with Editor(indexed.environment, indexed.where) as editor:
        claimed = editor.start(client=client, options={"codeLens": True}).capabilities
        assert (claimed.code_action_provider, claimed.code_lens_provider, claimed.hover_provider) == (None, None, None)
        editor.wait_for(
            lambda: {types.TEXT_DOCUMENT_CODE_ACTION, types.TEXT_DOCUMENT_CODE_LENS} <= {*editor.registered}
        )
        changed = types.DidChangeConfigurationParams({"codemem": {"hover": True, "codeLens": False}})
        editor.notify(types.WORKSPACE_DID_CHANGE_CONFIGURATION, changed)
        editor.wait_for(lambda: types.TEXT_DOCUMENT_HOVER in editor.registered)
        assert editor.withdrawn == [types.TEXT_DOCUMENT_CODE_LENS]


def test_without_a_daemon_the_server_does_it_itself(indexed: CommandLine) -> None:
    environment = indexed.environment | {"CODEMEM_DAEMON": "off"}
    with Editor(environment, indexed.where) as editor:
        editor.start(options={"answers": "notification"})
        assert editor.command("codemem.ask", "What is evicted?", {"id": "1"})["result"]["model"] == "tiny"
        assert editor.answers[0].kind == "round"
        assert editor.command("codemem.status")["daemon"] is False


def test_many_edits_leave_text_and_memory_as_they_should_be(indexed: CommandLine) -> None:
    with Editor(indexed.environment, indexed.where) as editor:
        editor.start(options={"keepUp": False})
        uri = editor.open(indexed.where / "src/cache.py", "x = 0\n" * 1000)
        sizes = []
        for turn in range(4):
            for number in range(500):
                place = types.Position(number, 4)
                change = types.TextDocumentContentChangePartial(
                    types.Range(place, types.Position(number, 5)), str((turn + number) % 10)
                )
                version = types.VersionedTextDocumentIdentifier(turn * 500 + number + 2, uri)
                editor.notify(types.TEXT_DOCUMENT_DID_CHANGE, types.DidChangeTextDocumentParams(version, [change]))
            assert editor.request(types.WORKSPACE_SYMBOL, types.WorkspaceSymbolParams("retry"))
            sizes.append(editor.resident_bytes())
        assert sizes[-1] - sizes[0] < 8e6, sizes
