"""What runs on a lent machine without a network, from carried parts to packed results (docs/training.md, "A lease")."""
