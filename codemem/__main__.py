"""`python -m codemem` is `codemem`."""

from codemem.cli import main

if __name__ == "__main__":  # processes that read files import this module again
    main()
