"""What a training run is made of. A recipe is saved beside its checkpoint, so a run can be told from its files."""

from dataclasses import dataclass

from codemem.model.config import MemoryConfig


@dataclass(frozen=True, slots=True)
class Recipe:
    """Settings of one run. Token counts are per optimiser step and device."""

    memory: MemoryConfig
    rank: int = 32
    """Rank of the adapters."""
    steps: int = 1000
    seconds: float | None = None
    """Wall-clock budget; the learning rate then follows the share of time spent instead of steps."""
    questions: int = 384
    """Questions a routing batch; their positives are each other's negatives."""
    group: int = 24
    """Questions in a row from one package, so that this many negatives come from the same repository."""
    hard: int = 0
    """Mined negatives a question."""
    answers: int = 12
    """Conversations a step for the language-model loss."""
    answer_tokens: int = 1536
    """A conversation's sources are cut so that it fits."""
    memory_documents: int = 8
    """Documents in the attended memory of a conversation, its own sources included."""
    bucket_tokens: int = 49152
    """Padded tokens that go through the layers at once."""
    adapter_rate: float = 4e-4
    router_rate: float = 6e-4
    warmup: float = 0.03
    final_rate: float = 0.05
    """Share of the peak learning rate at the end of the cosine."""
    temperature: float = 0.03
    answer_weight: float = 0.3
    """Weight of the language-model loss; the routing loss has weight 1."""
    clip: float = 1.0
    seed: int = 0
    max_document_tokens: int = 512
