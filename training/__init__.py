"""Training data from packages, recipes, the loop."""
