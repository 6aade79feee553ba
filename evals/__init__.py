"""Is it right: retrieval, facts, hops, golden vectors, with baselines in the same harness."""
