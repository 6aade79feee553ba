"""The memory over HTTP on loopback: an OpenAI-compatible chat endpoint, and a page. Importing this imports nothing."""
