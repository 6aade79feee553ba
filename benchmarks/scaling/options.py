"""What a scale run was asked for; every process of it reads the same."""

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal, Self

_PATHS = ("corpus", "work", "checkpoint", "adapter", "minilm")


@dataclass(frozen=True, slots=True)
class Options:
    corpus: Path
    """Folder that `pack` wrote."""
    work: Path
    """For what processes hand to one another, and what a later run goes on from."""
    checkpoint: Path
    """Base weights: a .gguf file or a folder."""
    adapter: Path
    model: str = "small"
    device: str = "cpu"
    threads: int | None = None
    """Of the processor, a process."""
    sizes: tuple[int, ...] = (16_000, 128_000, 1_000_000, 10_000_000, 100_000_000)
    """Tokens of the nested memories; the corpus may end the last one earlier."""
    layers: Literal["ranking", "all"] = "ranking"
    """Which routed layers are remembered: those that `find` ranks by (half the cost), or all that `ask` attends to."""
    encoders: int = 1
    """Processes that encode."""
    answerers: int = 1
    """Processes that answer."""
    answers: int = 0
    """Questions of a kind that are answered, at every size and by every system."""
    source_tokens: int = 3000
    answer_tokens: int = 64
    bm25: bool = True
    memory_answers: bool = False
    """Whether the memory alone answers as well, in up to three rounds: that takes longer than all others together."""
    minilm: Path | None = None
    """Folder of all-MiniLM-L6-v2; None leaves it and its fusion out."""

    @property
    def systems(self) -> tuple[str, ...]:
        """Those that answer."""
        memory = ("memory",) if self.memory_answers else ()
        lexical = ("BM25",) if self.bm25 else ()
        dense = ("MiniLM",) if self.minilm is not None else ()
        both = ("BM25 + MiniLM",) if self.bm25 and self.minilm is not None else ()
        return ("as ask reads", *lexical, *dense, *both, *memory)

    def to_json(self) -> str:
        return json.dumps({k: str(v) if isinstance(v, Path) else v for k, v in asdict(self).items()})

    @classmethod
    def from_json(cls, text: str) -> Self:
        raw: dict[str, Any] = json.loads(text)
        known = {field.name for field in fields(cls)}
        kept = {name: value for name, value in raw.items() if name in known}
        kept |= {name: Path(kept[name]) for name in _PATHS if kept.get(name) is not None}
        kept["sizes"] = tuple(kept["sizes"])
        return cls(**kept)
