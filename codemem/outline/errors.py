"""What can go wrong with an outline on disk."""


class OutlineFormatError(Exception):
    """The file is not an outline, is damaged, or was written by another version: build the outline anew."""
