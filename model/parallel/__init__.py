"""Memory Parallel: one memory sharded over processes, the model in each of them (docs/scale.md)."""

from codemem.model.parallel.group import Group, Member, from_torchrun, meet, own_device, use_device
from codemem.model.parallel.share import Share, merge_top

__all__ = ["Group", "Member", "Share", "from_torchrun", "meet", "merge_top", "own_device", "use_device"]
