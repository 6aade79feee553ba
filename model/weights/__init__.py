"""Weights: which models there are, where their files come from, and how they are opened."""

from codemem.model.weights.checkpoint import Checkpoint, checkpoint_folder, load_checkpoint, prepare, weights_sha256
from codemem.model.weights.download import locate, pull
from codemem.model.weights.files import Progress
from codemem.model.weights.registry import ModelEntry, find_model, registered_models

__all__ = [
    "Checkpoint",
    "ModelEntry",
    "Progress",
    "checkpoint_folder",
    "find_model",
    "load_checkpoint",
    "locate",
    "prepare",
    "pull",
    "registered_models",
    "weights_sha256",
]
