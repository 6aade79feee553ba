"""Files cut into parts that a machine with a small door takes one by one, and put together there bit for bit."""
