"""What the tools reply: schemas that agents are shown, and how results become them."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, Field

from codemem.indexer import Symbol
from codemem.results import StatusResult as TreeResult
from codemem.service import ModelState
from codemem.symbols import Span

MEANWHILE = 8
"""Places to read while an answer is not there."""
SHOWN_LINES = 10
"""Of a place in a reply: enough to judge it by; `read_span` reads the rest. With 30 an agent read more in all than one
that greps (docs/evaluation.md)."""


class Place(BaseModel):
    """Lines of a file, 1-based and inclusive."""

    repository: str = Field(description="Absolute path of the repository.")
    path: str = Field(description="Path relative to the repository.")
    start_line: int
    end_line: int
    symbol: str | None = Field(default=None, description="The definition that the lines belong to.")
    score: float
    text: str | None = Field(default=None, description=f"The first {SHOWN_LINES} lines.")


class FindReply(BaseModel):
    """Places, the best first."""

    results: list[Place]
    ranked_by: str = Field(description="'both' or 'memory': the model took part; 'outline': names and paths alone.")
    fresh: bool = Field(description="False: some changed files are not yet in the memory.")
    notes: list[str]


class AskReply(BaseModel):
    """An answer, or where to look instead."""

    state: Literal["answered", "not_found", "loading", "working"] = Field(
        description="'loading': the model is not ready; 'working': the answer takes longer than clients wait. Both "
        "times read `places` meanwhile, and ask the same question again in `retry_seconds`: the work goes on."
    )
    answer: str = ""
    citations: list[Place] = Field(default=[], description="What the answer was read from, checked against the files.")
    places: list[Place] = Field(default=[], description="The nearest places, where there is no answer.")
    retry_seconds: int | None = None
    fresh: bool = True
    notes: list[str] = []


class SpanReply(BaseModel):
    """Lines of a file as they are now."""

    repository: str
    path: str
    start_line: int
    end_line: int
    total_lines: int
    text: str


class Definition(BaseModel):
    """One definition of a file."""

    kind: str
    name: str = Field(description="With its scope, as in `Cache.lookup`.")
    signature: str
    start_line: int
    end_line: int


class OutlineReply(BaseModel):
    """The definitions of a file, or the files below a folder."""

    repository: str
    path: str
    definitions: list[Definition] = []
    files: list[str] = []
    more: int = Field(default=0, description="How many more there are than are listed.")


class TreeStatus(BaseModel):
    """One repository."""

    repository: str
    commit: str | None
    documents: int
    in_memory: int = Field(description="Documents that the model remembers; the outline knows all of them.")
    fresh: bool


class StatusReply(BaseModel):
    """What is indexed, and whether the model is ready."""

    repositories: list[TreeStatus]
    model: str | None
    model_state: Literal["none", "loading", "ready", "failed"]
    notes: list[str] = []


def found(result: Mapping[str, Any]) -> FindReply:
    """Of `find --json`."""
    return FindReply(
        results=[place(each) for each in result["results"]],
        ranked_by=result["router"],
        fresh=result["fresh"],
        notes=list(result["notes"]),
    )


def answered(result: Mapping[str, Any]) -> AskReply:
    """Of `ask --json`."""
    return AskReply(
        state="answered" if result["found"] else "not_found",
        answer=result["answer"],
        citations=[place(each) for each in result["citations"]],
        places=[place(each) for each in result["places"]],
        fresh=result["fresh"],
        notes=list(result["notes"]),
    )


def place(each: Mapping[str, Any]) -> Place:
    """A place of `find`, or a citation, which has no text."""
    text = each.get("text")
    known = {name: each[name] for name in ("repository", "path", "start_line", "end_line", "symbol")}
    score = round(each["score"], 3)
    return Place(**known, score=score, text=None if text is None else "\n".join(text.split("\n")[:SHOWN_LINES]))


def span(read: Span) -> SpanReply:
    return SpanReply(
        repository=read.repository,
        path=read.path,
        start_line=read.start_line,
        end_line=read.end_line,
        total_lines=read.total_lines,
        text=read.text,
    )


def definition(symbol: Symbol) -> Definition:
    return Definition(
        kind=symbol.kind,
        name=symbol.qualified_name,
        signature=symbol.signature,
        start_line=symbol.start_line,
        end_line=symbol.end_line,
    )


def status(results: Sequence[TreeResult], model: ModelState) -> StatusReply:
    trees = [
        TreeStatus(
            repository=result.path,
            commit=result.commit,
            documents=result.documents,
            in_memory=result.in_memory,
            fresh=result.fresh,
        )
        for result in results
    ]
    known = next((result.model for result in results if result.model), None)
    notes = [note for result in results for note in result.notes] + ([model.error] if model.error else [])
    return StatusReply(repositories=trees, model=model.name or known, model_state=model.state, notes=notes)
