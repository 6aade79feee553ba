"""Text that is the same on terminals and elsewhere. Imports nothing: a daemon's answer is shown with this alone."""


def title(path: str, start_line: int, end_line: int) -> str:
    """'src/retry.py:4-10'."""
    return f"{path}:{start_line}-{end_line}"


def place_words(symbol: str | None, score: float) -> str:
    """What stands after a found place's title."""
    return f"{symbol or ''}  {score:g}"


def behind_words(added: int, changed: int, removed: int) -> str:
    """'2 new, 1 changed files'; '' if nothing is behind."""
    parts = [(added, "new"), (changed, "changed"), (removed, "removed")]
    named = ", ".join(f"{count:,} {word}" for count, word in parts if count)
    return f"{named} file{'s' * (added + changed + removed != 1)}" if named else ""


_CONTROL = {c: 0xFFFD for c in (*range(0x20), 0x7F, *range(0x80, 0xA0)) if chr(c) not in "\n\t"}


def printable(text: str) -> str:
    """Without control characters: what a file or model says must not steer the terminal."""
    return text.replace("\r\n", "\n").translate(_CONTROL)
