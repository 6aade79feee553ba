"""What a training run is made of. A recipe is saved beside its checkpoint, so a run can be told from its files."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from codemem.model.config import MemoryConfig

Reads = Literal["memory", "retrieved"]


@dataclass(frozen=True, slots=True)
class Phase:
    """A part of a run with sizes of its own: the length and depth curriculum."""

    share: float = 1.0
    """Of the run's steps or seconds, relative to the other phases."""
    routed: int = 0
    """How many routed layers learn, from the lowest; the network runs no further than the last of them. 0: all, and
    the whole network. Without the upper half a step costs half."""
    questions: int = 384
    """Questions a routing batch; their positives are each other's negatives. With none, answers alone are learnt."""
    answers: int = 12
    """Conversations a step for the language-model loss; needs the whole network."""
    max_document_tokens: int = 512
    held: int = 0
    """Conversations a step by which the lower half is held to what the run begins with (training/holding.py)."""
    hops: int = 0
    """Hops a step (training/hops.py): the question with the document that was read routes to the next."""

    def __post_init__(self) -> None:
        if self.routed and self.answers:
            raise ValueError("a phase that stops at a lower layer cannot learn to answer: set answers to 0")
        if self.share <= 0:
            raise ValueError("a phase's share must be positive")
        if not self.questions and (self.hops or not self.answers):
            raise ValueError("a phase without questions learns from answers alone: set answers, and no hops")


@dataclass(frozen=True, slots=True)
class Recipe:
    """Settings of one run. Token counts are per optimiser step and device."""

    memory: MemoryConfig
    phases: tuple[Phase, ...] = (Phase(),)
    rank: int = 32
    """Rank of the adapters."""
    steps: int = 1000
    seconds: float | None = None
    """Wall-clock budget; the learning rate then follows the share of time spent instead of steps."""
    group: int = 24
    """Questions in a row from one package, so that this many negatives come from the same repository; with `gather` of
    all processes together."""
    hard: int = 0
    """Mined negatives a question."""
    gather: bool = True
    """Whether the questions of each of several processes compete over the documents of all."""
    reads: Reads = "memory"
    """What conversations show: documents beside their memory, or pieces of files as retrieval ranks them, with no
    memory and no routing learnt (training/readings.py)."""
    missing: float = 0.17
    """Of a reader's conversations, the share that shows nothing which decides and is refused: as many as the courses'
    questions that cannot be answered."""
    plain: float = 0.0
    """Of a memory's conversations, the share that shows sources without our headers or as lines of their files."""
    answer_tokens: int = 1536
    """A conversation's sources are chosen so that it fits. The product reads 3,000 tokens: 3,072 with question and
    answer, 3,328 where a reader's budget is to be the same to the token."""
    further: int = 0
    """Questions that a conversation asks besides about the sources it shows, at most: each sees them and none of the
    others, so one reading teaches several answers."""
    keywords: float = 0.0
    """The share of what is asked about one document that is asked in key words, as people search."""
    by_hop: float = 0.5
    """The share of chains of documents that are read one by one: name, read, name again. The others are read at once,
    as a single round reads."""
    as_ranked: float = 0.0
    """The share of conversations of one round whose sources stand as the product ranks them: what defines a name that
    the question spells out is read last, whether it answers or not."""
    packed: float = 0.0
    """Of those, the share whose sources are shown as the indexer packs and cuts them."""
    noted: float = 0.0
    """The share of conversations that are told where the names of a question are defined and used in the sources
    (model/references.py)."""
    quotes: bool = False
    """Whether explanations in a larger model's words are learnt behind the line that they rest on, and no further than
    their first sentences (training/quoting.py)."""
    memory_documents: int = 12
    """Documents in the attended memory of a conversation: its own sources, then others of the step."""
    bucket_tokens: int = 49152
    """Padded tokens that go through the layers at once."""
    adapter_rate: float = 4e-4
    router_rate: float = 6e-4
    warmup: float = 0.03
    final_rate: float = 0.05
    """Share of the peak learning rate at the end of the cosine."""
    temperature: float = 0.03
    kinds: Mapping[str, float] = field(default_factory=dict)
    """How many times as often a kind of answer is drawn as by the square root of its number."""
    asked: Mapping[str, float] = field(default_factory=dict)
    """The share of a kind's routing questions that are drawn, anew each time around; 1 for kinds that are not named,
    unless `""` gives theirs."""
    without_scope: float = 0.0
    """The share of documents that are read, a step, with the path alone in their header, as code without a class is."""
    reading_from: int = 0
    """The lowest layer whose adapters learn from answers. With the routed layers below it, what finds stays as the
    routing losses make it, and what answers does not weigh on it (decision 0033)."""
    fixed_below: int = 0
    """Layers below it, and all routers, stay as the run begins: what finds does not change, and what reads above it
    stands on what it learns from (decision 0033)."""
    answer_weight: float = 0.3
    """Weight of the language-model loss; the routing loss has weight 1."""
    hop_weight: float = 0.5
    """Weight of the hops' routing loss."""
    hold_weight: float = 1.0
    """Weight of what the held states have moved."""
    decision_weight: float = 4.0
    """How many times as much a token counts that decides whether to name more, to refuse or to answer."""
    choice_weight: float = 2.0
    """How many times as much a choice between the documents counts that can be named."""
    clip: float = 1.0
    names: bool = True
    """Whether the result is asked to name documents; otherwise routing alone decides what is read."""
    seed: int = 0
    recompute: str = "layer"
    """What the backward pass computes again instead of keeping: 'layer', 'mlp' (faster; 62 GB at the default sizes)."""
    feeds: int = 1
    """Processes that draw and tokenise steps; with 1 a thread does. Conversations of 3,072 tokens take a core longer
    than a GPU takes to learn from them."""
    compile: bool = False
    """Compile what stands around attention (torch.compile); worth it from some hundred steps on."""

    def __post_init__(self) -> None:
        if not self.phases:
            raise ValueError("a recipe needs a phase")
        if self.recompute not in ("layer", "mlp"):
            raise ValueError(f"recompute is 'layer' or 'mlp', not {self.recompute!r}")
        if self.reads not in ("memory", "retrieved"):
            raise ValueError(f"reads is 'memory' or 'retrieved', not {self.reads!r}")
        if self.reads == "retrieved" and not all(phase.answers for phase in self.phases):
            raise ValueError("a reader of retrieved text learns from answers alone: set answers in every phase")

    def phase_at(self, progress: float) -> int:
        """Index of the phase that a run is in after the share `progress` in [0, 1] of its budget."""
        total = sum(phase.share for phase in self.phases)
        until = 0.0
        for index, phase in enumerate(self.phases):
            until += phase.share / total
            if progress < until - 1e-12:
                return index
        return len(self.phases) - 1

    def as_json(self) -> dict[str, Any]:
        """Plain values, as `from_json` takes them."""
        return asdict(self)

    @classmethod
    def from_json(cls, memory: MemoryConfig, settings: Mapping[str, Any]) -> "Recipe":
        """`settings` as a user writes them. Raises `ValueError` with the name of what is unknown or wrong.

        `questions`, `answers` and `max_document_tokens` outside `phases` hold for every phase that does not set them.
        """
        own, shared = dict(settings), {}
        for name in ("questions", "answers", "max_document_tokens"):
            if name in own:
                shared[name] = own.pop(name)
        phases = own.pop("phases", [{}])
        try:
            return cls(memory=memory, phases=tuple(Phase(**{**shared, **phase}) for phase in phases), **own)
        except TypeError as error:
            raise ValueError(f"the recipe is wrong: {error}") from error

    @property
    def holds(self) -> bool:
        """Whether any phase holds the lower half to what the run begins with."""
        return any(phase.held for phase in self.phases)

    def learning_layers(self, phase: Phase) -> tuple[int, ...]:
        """The routed layers whose scores are in the loss."""
        return self.memory.routed_layers[: phase.routed] if phase.routed else self.memory.routed_layers

    def budgets(self) -> Iterator[tuple[Phase, float]]:
        """Each phase with its share of the whole, in order."""
        total = sum(phase.share for phase in self.phases)
        for phase in self.phases:
            yield phase, phase.share / total
