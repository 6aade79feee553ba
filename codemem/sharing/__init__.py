"""Memories handed from one machine to another: `codemem memory export|import`, and a place that `index` reads from."""
