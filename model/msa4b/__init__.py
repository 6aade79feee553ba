"""MSA-4B: the published checkpoint layout, its protocol on token ids, and its generation loop."""

from codemem.model.msa4b.checkpoint import Msa4bModel, load_msa4b
from codemem.model.msa4b.config import Msa4bConfig, Ranking, read_config
from codemem.model.msa4b.conversation import Conversation
from codemem.model.msa4b.convert import convert
from codemem.model.msa4b.interleave import Interleave, Limits, RoundMode
from codemem.model.msa4b.memory import Msa4bMemory
from codemem.model.msa4b.slot import Slot
from codemem.model.msa4b.storage import load_memory, save_memory

__all__ = [
    "Conversation",
    "Interleave",
    "Limits",
    "Msa4bConfig",
    "Msa4bMemory",
    "Msa4bModel",
    "Ranking",
    "RoundMode",
    "Slot",
    "convert",
    "load_memory",
    "load_msa4b",
    "read_config",
    "save_memory",
]
