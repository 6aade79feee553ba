"""One folder an operation: reference, Triton, device choice."""
