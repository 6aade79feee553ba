"""Evaluation in two halves: a lent machine scores and answers, this one prepares and judges (docs/training.md)."""
