"""The scale run: what a memory loses from 16 thousand to 100 million tokens (docs/scale.md has the steps)."""
