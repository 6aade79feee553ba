"""OpenAI's chat completions, as far as a memory can speak them: what is asked, and how the answer is put.

A memory answers one question from files that it read beforehand. So the question is the last user message; what only
steers another kind of model (temperature, earlier turns, a system message) has no effect, and what would change the
meaning of the answer (several choices, forced tools, JSON) is refused rather than passed over.
"""

import json
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from codemem.http.errors import ApiError

MAX_QUESTION = 8000
"""Characters."""
LEAST_TOKENS, MOST_TOKENS = 16, 1000
NOT_FOUND = "The memory of this repository does not hold the answer."


@dataclass(frozen=True, slots=True)
class Chat:
    """What a client asked."""

    model: str
    question: str
    stream: bool = False
    usage: bool = False
    """Whether a stream ends with the usage."""
    max_tokens: int | None = None


def parse_chat(body: bytes) -> Chat:
    """Raises ApiError."""
    request = parse_object(body)
    _refuse_what_cannot_be(request)
    model = request.get("model")
    if not isinstance(model, str):
        raise _wrong("model", "must be a text")
    options = request.get("stream_options")
    return Chat(
        model,
        _question(request.get("messages")),
        bool(request.get("stream")),
        isinstance(options, dict) and bool(options.get("include_usage")),
        _max_tokens(request),
    )


def parse_object(body: bytes) -> dict[str, Any]:
    """The JSON object of a request. Raises ApiError."""
    try:
        request = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ApiError(400, "the request's body is no JSON", "invalid_json") from error
    if not isinstance(request, dict):
        raise ApiError(400, "the request's body must be a JSON object", "invalid_json")
    return request


def checked_question(text: object, param: str) -> str:
    """Raises ApiError."""
    if not isinstance(text, str) or not text.strip():
        raise _wrong(param, "must hold a question")
    if len(text) > MAX_QUESTION:
        raise _wrong(param, f"a question may have {MAX_QUESTION:,} characters")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise _wrong(param, "must be Unicode text") from error
    return text


def _question(messages: object) -> str:
    if not isinstance(messages, list) or not all(isinstance(message, dict) for message in messages):
        raise _wrong("messages", "must be a list of messages")
    for message in reversed(messages):
        if message.get("role") == "user":
            return checked_question(_text(message.get("content")), "messages")
    raise _wrong("messages", "must hold a user message")


def _text(content: object) -> object:
    """The text of a message that comes whole or in parts."""
    if not isinstance(content, list):
        return content
    if any(not isinstance(part, dict) or part.get("type") != "text" for part in content):
        raise _wrong("messages", "may hold text alone")
    return "\n".join(str(part.get("text", "")) for part in content)


def _max_tokens(request: Mapping[str, Any]) -> int | None:
    for name in ("max_completion_tokens", "max_tokens"):
        value = request.get(name)
        if value is None:
            continue
        if not isinstance(value, int) or isinstance(value, bool) or value < LEAST_TOKENS:
            raise _wrong(name, f"must be a whole number from {LEAST_TOKENS}")
        return min(value, MOST_TOKENS)
    return None


def _refuse_what_cannot_be(request: Mapping[str, Any]) -> None:
    if request.get("n") not in (None, 1):
        raise _wrong("n", "must be 1: a memory has one answer")
    if request.get("tool_choice") not in (None, "auto", "none"):
        raise _wrong("tool_choice", "cannot be forced: a memory calls no tools")
    form = request.get("response_format")
    if form is not None and (not isinstance(form, dict) or form.get("type") != "text"):
        raise _wrong("response_format", "must be text")
    if request.get("logprobs"):
        raise _wrong("logprobs", "are not given")
    if request.get("stop"):
        raise _wrong("stop", "is not supported: use max_tokens")


def _wrong(param: str, what: str) -> ApiError:
    return ApiError(400, f"{param} {what}", "invalid_value", param=param)


@dataclass(slots=True)
class Reply:
    """Objects that make up one answer; all of them carry the same id."""

    chat: Chat
    identity: str = field(default_factory=lambda: f"chatcmpl-{secrets.token_hex(12)}")
    created: int = field(default_factory=lambda: int(time.time()))

    def whole(self, result: Mapping[str, Any]) -> dict[str, Any]:
        text = f"{result['answer']}{sources_text(result)}".lstrip()
        message = {"role": "assistant", "content": text, "refusal": None, "annotations": annotations(result, text)}
        choice = {"index": 0, "message": message, "finish_reason": self._reason(result), "logprobs": None}
        return self._object("chat.completion", [choice]) | told(result) | {"usage": usage(result)}

    def begun(self) -> bytes:
        return self._chunk({"role": "assistant", "content": ""})

    def piece(self, text: str) -> bytes:
        return self._chunk({"content": text})

    def ended(self, result: Mapping[str, Any], text: str) -> list[bytes]:
        """The chunks behind an answer whose whole text was streamed."""
        extra = {"annotations": annotations(result, text)}
        chunks = [self._chunk(extra, self._reason(result), told(result))]
        if self.chat.usage:
            chunks.append(event(self._object("chat.completion.chunk", []) | {"usage": usage(result)}))
        return [*chunks, b"data: [DONE]\n\n"]

    def _reason(self, result: Mapping[str, Any]) -> str:
        limit = self.chat.max_tokens
        return "length" if limit is not None and result["stats"]["tokens"] >= limit else "stop"

    def _chunk(self, delta: Mapping[str, Any], reason: str | None = None, more: dict[str, Any] | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": reason, "logprobs": None}
        return event(self._object("chat.completion.chunk", [choice]) | (more or {}))

    def _object(self, kind: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "id": self.identity,
            "object": kind,
            "created": self.created,
            "model": self.chat.model,
            "choices": choices,
        }


def event(value: Mapping[str, Any]) -> bytes:
    """One server-sent event."""
    return b"data: " + json.dumps(value).encode() + b"\n\n"


def told(result: Mapping[str, Any]) -> dict[str, Any]:
    """What the memory says beyond the protocol: its citations, and how much they can be relied upon."""
    return {
        "citations": result["citations"],
        "codemem": {name: result[name] for name in ("found", "fresh", "behind", "places", "notes", "commit")},
    }


def usage(result: Mapping[str, Any]) -> dict[str, int]:
    """Tokens written. Those of the memory were read before anybody asked: there is no prompt to count."""
    tokens = int(result["stats"]["tokens"])
    return {"prompt_tokens": 0, "completion_tokens": tokens, "total_tokens": tokens}


def sources_text(result: Mapping[str, Any]) -> str:
    """What follows the answer's own words: its sources, or where to look instead."""
    if result["found"]:
        listed, title = result["citations"], "Sources:"
    else:
        listed, title = result["places"], f"{NOT_FOUND} The nearest places:"
    lines = [f"[{number}] {_where(place)}" for number, place in enumerate(listed, 1)]
    return "\n\n" + "\n".join([title, *lines]) if lines else "" if result["found"] else f"\n\n{NOT_FOUND}"


def _where(place: Mapping[str, Any]) -> str:
    symbol = f" ({place['symbol']})" if place["symbol"] else ""
    return f"`{_span(place)}`{symbol}"


def _span(place: Mapping[str, Any]) -> str:
    return f"{place['path']}:{place['start_line']}-{place['end_line']}"


def annotations(result: Mapping[str, Any], text: str) -> list[dict[str, Any]]:
    """The citations as OpenAI's clients know them; indices are where the text names each."""
    cited: Sequence[Mapping[str, Any]] = result["citations"]
    found, at = [], 0
    for number, place in enumerate(cited, 1):
        at = text.find(f"[{number}] `{_span(place)}`", at)
        if at < 0:
            break
        url = f"{Path(place['repository'], place['path']).as_uri()}#L{place['start_line']}-L{place['end_line']}"
        end = at + len(f"[{number}] `{_span(place)}`")
        about = {"start_index": at, "end_index": end, "title": _span(place), "url": url}
        found.append({"type": "url_citation", "url_citation": about})
    return found
