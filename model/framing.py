"""How an answer goes on that began with the name of what is asked about: "`retry` is called by", not "`retry` calls".

Facts are told in the words that training taught, whatever tongue they are asked in. A small model that is asked in
another tongue than it practised in begins a sentence of that tongue now and then, and loses its way in it; what is
asked for is known (model/asked.py), and with it how the sentence goes (decision 0050).
"""

from collections.abc import Sequence

SPAN: tuple[str, ...] = ()
"""A code span, whatever stands in it."""

Frame = Sequence[tuple[str, ...]]
"""A sentence up to where it is free: code spans, and between them what may stand there."""

_RAISED, _RETURNED = (" raises `", " throws `"), (" returns the error `", " returns the errors `")
RETURNING = (".go", ".rs")
"""Files of languages whose functions hand errors back."""
CALLED: Frame = (SPAN, (" is called by `",))
RAISED: Frame = (SPAN, _RAISED)
RETURNED: Frame = (SPAN, _RETURNED)
BASE: Frame = (
    SPAN,
    (" inherits from `", " extends `", " embeds `", " derives from `", " requires `", " implements `"),
)
DECORATOR: Frame = (SPAN, (" is decorated with `",))
DEFAULT: Frame = (SPAN, (" defaults to `",))
HANDED_ON: Frame = (SPAN, (" takes ",), SPAN, (" from ",))
CALLED_ERROR: Frame = (SPAN, (" calls ", " creates "), SPAN, tuple(f", which{does}" for does in (*_RAISED, *_RETURNED)))
CALLED_DEFAULT: Frame = (SPAN, (" calls ", " creates "), SPAN, (", where `",))


def to_come(text: str, frame: Frame) -> tuple[str, ...]:
    """What may stand next behind a text that follows a frame, up to where that is free again; nothing where it is."""
    for part in frame:
        if part == SPAN:
            _, closed, rest = text[1:].partition("`")
            if not closed:
                return ()
            text = rest
        else:
            whole = next((said for said in part if text.startswith(said)), None)
            if whole is None:
                return tuple(said[len(text) :] for said in part if said.startswith(text))
            # The sign that opens a code span belongs to it.
            text = text[len(whole) - whole.endswith("`") :]
    return ()


def follows(text: str, frame: Frame) -> bool:
    """Whether a text is the beginning of what a frame allows, or begins with all of it."""
    for part in frame:
        if not text:
            return True
        if part == SPAN:
            inside, closed, rest = text[1:].partition("`")
            if text[0] != "`" or "\n" in inside:
                return False
            if not closed:
                return True
            text = rest
        else:
            whole = next((said for said in part if text.startswith(said)), None)
            if whole is None:
                return any(said.startswith(text) for said in part)
            text = text[len(whole) - whole.endswith("`") :]
    return True
