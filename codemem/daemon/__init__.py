"""One process a user that keeps models and memories ready, and the way to it. Importing this imports nothing heavy."""
