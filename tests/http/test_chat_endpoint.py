"""The chat endpoint, asked by OpenAI's own client."""

import json
from typing import Any

import openai
import pytest
from daemon.fake_daemon import ENDLESS
from layered_daemon import ANSWER, QUESTION
from loopback_server import SECONDS, Served, wait_for

SOURCE = "[1] `src/retry.py:1-10`"


@pytest.fixture
def client(served: Served) -> Any:
    with openai.OpenAI(
        base_url=f"{served.running.url}/v1", api_key=served.key, timeout=SECONDS, max_retries=0
    ) as client:
        yield client


def ask(client: openai.OpenAI, question: str = QUESTION, **options: Any) -> Any:
    messages = options.pop("messages", [{"role": "user", "content": question}])
    return client.chat.completions.create(**{"model": "codemem", "messages": messages} | options)


def test_models_are_the_repositories(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["codemem", "codemem/demo"]
    assert client.models.retrieve("codemem/demo").owned_by == "codemem"
    with pytest.raises(openai.NotFoundError, match="codemem/demo"):
        client.models.retrieve("codemem/other")


def test_an_answer_has_its_sources_in_the_text_and_as_fields(client: openai.OpenAI, served: Served) -> None:
    answer = ask(client)
    message = answer.choices[0].message
    assert message.content.startswith(f"{ANSWER}\n\nSources:\n{SOURCE}")
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.completion_tokens == 4
    [citation] = answer.citations
    assert (citation["path"], citation["repository"]) == ("src/retry.py", str(served.repository))
    cited = message.annotations[0].url_citation
    assert message.content[cited.start_index : cited.end_index] == SOURCE
    assert cited.url == f"{(served.repository / 'src/retry.py').as_uri()}#L1-L10"
    assert answer.codemem["found"]
    assert answer.codemem["fresh"]


def test_a_stream_holds_what_the_whole_answer_does(client: openai.OpenAI) -> None:
    whole = ask(client).choices[0].message.content
    chunks = list(ask(client, stream=True, stream_options={"include_usage": True}))
    assert chunks[0].choices[0].delta.role == "assistant"
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == whole
    assert len({chunk.id for chunk in chunks}) == 1
    last = chunks[-2]
    assert last.choices[0].finish_reason == "stop"
    assert last.citations[0]["path"] == "src/retry.py"
    assert last.choices[0].delta.annotations[0]["url_citation"]["title"] == "src/retry.py:1-10"
    assert chunks[-1].usage.total_tokens == 4


def test_what_is_not_known_is_said_and_places_are_named(client: openai.OpenAI) -> None:
    answer = ask(client, "evict entries")
    assert answer.choices[0].message.content.startswith("The memory of this repository does not hold the answer.")
    assert "`src/cache.py:" in answer.choices[0].message.content
    assert not answer.codemem["found"]
    assert answer.citations == []
    text = "".join(chunk.choices[0].delta.content or "" for chunk in ask(client, "evict entries", stream=True))
    assert text == answer.choices[0].message.content


def test_the_last_user_message_is_the_question(client: openai.OpenAI) -> None:
    messages = [
        {"role": "system", "content": "Speak like a pirate."},
        {"role": "user", "content": "evict entries"},
        {"role": "assistant", "content": "Nothing known."},
        {"role": "user", "content": [{"type": "text", "text": QUESTION}]},
    ]
    assert ask(client, messages=messages, temperature=1.5).choices[0].message.content.startswith(ANSWER)


@pytest.mark.parametrize(
    ("options", "param"),
    [
        ({"n": 2}, "n"),
        ({"tool_choice": "required", "tools": []}, "tool_choice"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"logprobs": True}, "logprobs"),
        ({"stop": ["\n"]}, "stop"),
        ({"max_tokens": 3}, "max_tokens"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "user", "content": " "}]}, "messages"),
        ({"messages": [{"role": "user", "content": "x" * 9000}]}, "messages"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]}, "messages"),
    ],
)  # fmt: skip
def test_what_would_change_the_meaning_is_refused(client: openai.OpenAI, options: dict[str, Any], param: str) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        ask(client, **options)
    assert refused.value.param == param


def test_an_unknown_model_and_a_wrong_key(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as unknown:
        ask(client, model="gpt-4o")
    assert unknown.value.code == "model_not_found"
    with pytest.raises(openai.AuthenticationError):
        ask(client.with_options(api_key="wrong"))


def test_an_answer_may_be_cut(client: openai.OpenAI) -> None:
    assert ask(client, max_completion_tokens=16).choices[0].finish_reason == "stop"


def test_hanging_up_ends_the_work_of_a_stream(client: openai.OpenAI, served: Served) -> None:
    with ask(client, ENDLESS, stream=True) as stream:
        pieces = (chunk.choices[0].delta.content for chunk in stream)
        assert next(piece for piece in pieces if piece) == "and so on "
        assert served.daemon()["running"] == 1
    wait_for(lambda: served.daemon()["running"] == 0)


def test_hanging_up_ends_the_work_of_a_whole_answer(served: Served) -> None:
    import socket

    body = json.dumps({"model": "codemem", "messages": [{"role": "user", "content": ENDLESS}]}).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:{served.running.port}\r\n"
    head += f"Authorization: Bearer {served.key}\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", served.running.port), SECONDS) as connection:
        connection.sendall(head.encode() + body)
        wait_for(lambda: served.daemon()["running"] == 1)
    wait_for(lambda: served.daemon()["running"] == 0)
