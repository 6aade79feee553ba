"""From git blobs and plain folders to documents: languages, outlines, spans, ignore rules. Knows nothing of the model."""
