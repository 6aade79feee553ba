"""`python -m codemem` is `codemem`."""

from codemem.cli import main

main()
