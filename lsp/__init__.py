"""The language server: thin handlers over the functions that the command line calls."""
