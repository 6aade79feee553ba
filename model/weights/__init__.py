"""Weights: which models there are, where their files come from, and how they are opened."""

from codemem.model.weights.checkpoint import Checkpoint, checkpoint_folder, load_checkpoint

__all__ = ["Checkpoint", "checkpoint_folder", "load_checkpoint"]
