"""The model: decoder, memory sparse attention, encoding, store and bank, generation, weights. Knows nothing of git."""
