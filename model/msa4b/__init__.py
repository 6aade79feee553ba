"""MSA-4B: the published checkpoint layout, its protocol on token ids, and its generation loop."""

from codemem.model.msa4b.checkpoint import Msa4bModel, load_msa4b
from codemem.model.msa4b.config import Msa4bConfig, Ranking, read_config
from codemem.model.msa4b.conversation import Conversation
from codemem.model.msa4b.memory import Msa4bMemory

__all__ = ["Conversation", "Msa4bConfig", "Msa4bMemory", "Msa4bModel", "Ranking", "load_msa4b", "read_config"]
