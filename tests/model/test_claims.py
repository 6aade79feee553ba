"""What an answer says of a definition in the form of a fact is something that stands in it."""

from pathlib import Path

import pytest
import torch

from codemem.model.choosing import MARGIN, Choosing
from codemem.model.claims import Claims
from codemem.model.events import Definition, Source
from codemem.model.testing import tiny_engine
from codemem.model.tokenizer import Tokenizer

BAR = """class ProgressBar(Bar, Generic[V]):
    def __init__(self, width: int = 30, label: str = "a, b", empty=None):
        self.width = width

    def render(self):
        if self.width < 1:
            raise ValueError("width")
        return self.draw(self.width)
"""
MAKER = """LIMIT = (
    64 * 1024
)

@wraps
def progressbar(length=None, width: int = 36, **options):
    char = options.get("char", "#")
    if length == 5 or length is None:
        raise errors.UsageError()
    return ProgressBar(width=width)

def main():
    with progressbar(3) as bar:
        pass
"""
SOURCES = [
    Source(
        0,
        "ui/bar.py\n",
        BAR,
        (
            Definition("ProgressBar", 0, 8),
            Definition("ProgressBar.__init__", 1, 3),
            Definition("ProgressBar.render", 4, 8),
        ),
    ),
    Source(1, "ui/make.py\n", MAKER, (Definition("progressbar", 5, 10), Definition("main", 11, 14))),
]


def says(answer: str, sources: list[Source] = SOURCES) -> bool:
    """Whether an answer may be written, a sign at a time."""
    claims = Claims(sources)
    return all(claims.allows(answer[:at], answer[at]) for at in range(len(answer)))


@pytest.mark.parametrize(
    ("answer", "held"),
    [
        ("`width` defaults to `36` in `progressbar`.", True),
        ("`width` defaults to `36` in `ProgressBar`.", False),
        ("`width` defaults to `30` in `ProgressBar.__init__`.", True),
        ("`width` defaults to `30` in `__init__`.", True),
        ("`width` defaults to `30` in `ProgressBar`.", True),
        ("`width` defaults to `30` in `progressbar`.", False),
        ("`width` defaults to `3`", False),  # the beginning of a value
        ("`width` defaults to `64`", False),
        ('`label` defaults to `"a, b"` in `ProgressBar`.', True),
        ("`label` defaults to `None`", False),  # behind the comma
        ('`char` defaults to `"#"` in `progressbar`.', True),
        ("`label` defaults to `'a, b'` in `ProgressBar`.", True),  # quoted the other way
        ("`length` defaults to `5`", False),  # is compared with it
        ("`depth` defaults to `7`", True),  # set nowhere as far as is known here
        ("`LIMIT` is `64 * 1024`, set in `ui/make.py`.", True),
        ("`LIMIT` is `64 * 1024`, set in `ui/bar.py`.", False),
        ("`ProgressBar.render` raises `ValueError`.", True),
        ("`ProgressBar.render` raises `ValueError` if `self.width < 1`.", True),
        ("`ProgressBar.render` raises `ValueError` if `length`", False),
        ("`ProgressBar.render` raises `UsageError`.", False),
        ("`progressbar` raises `UsageError`.", True),
        ("`main` raises", False),  # nothing of the kind stands in it
        ("`progressbar` is called by `main` in `ui/make.py`, which raises", True),  # of a path nothing is known
        ("`progressbar` raises `errors.UsageError`.", True),
        ("`main` calls `progressbar`, which raises `UsageError`.", True),
        ("`main` calls `progressbar`, which raises `ValueError`.", False),
        ("`progressbar` creates `ProgressBar`, whose `width`", True),
        ("`progressbar` calls `ProgressBar.__init__`, where `width` defaults to `30`.", True),
        ("`main` calls `progressbar`, where `width` defaults to `36`.", True),
        ("`main` calls `progressbar`, where `width` defaults to `30`.", False),
        ("`progressbar` creates `ProgressBar`, whose `width` defaults to `30`.", True),
        ("`ProgressBar.render` returns `self.draw(self.width)`.", True),
        ("`ProgressBar.render` returns `None`", False),
        ("`ProgressBar` inherits from `Bar` and `Generic[V]`.", True),
        ("`ProgressBar` inherits from `Base", False),
        ("`ui/__init__.py` takes `ProgressBar` from `bar`; it inherits from `Bar`.", True),
        ("`ui/__init__.py` takes `ProgressBar` from `bar`; it inherits from `progressbar`.", False),
        ("`progressbar` is decorated with `@wraps`.", True),
        ("`progressbar` is decorated with `@property`.", False),
        ("`progressbar` is called by `main` in `ui/make.py`.", True),
        ("`progressbar` is called by `main` in `ui/bar.py`.", False),
        ("`progressbar` is called by `ProgressBar`", False),
        ("`progressbar` is called by `main` in `ui/make.py` and by", False),  # by nobody else
        ("`ProgressBar` is called by `progressbar` in `ui/make.py`.", True),
        ("Nobody raises `KeyError`.", True),  # of nothing that was read
        ("`elsewhere` raises `KeyError`.", True),
        ("See `raise errors.UsageError()` in `ProgressBar`.", True),  # quotations have a judge of their own
    ],
)
def test_a_fact_is_said_of_the_definition_that_holds_it(answer: str, held: bool) -> None:
    assert says(answer) is held


def test_of_what_was_read_in_part_anything_may_be_said() -> None:
    cut = [Source(0, "ui/bar.py\n", "        return 1\n", (Definition("ProgressBar.render", -9, 1),))]
    assert says("`ProgressBar.render` returns `None`.", cut)
    assert says("`ProgressBar.render` is decorated with `@property`.", cut)
    assert says("`ProgressBar.render` raises `KeyError`.", cut)


def test_a_source_made_to_cost_time_binds_nothing() -> None:
    often = "def f(x=1):\n    raise E\n" + "x = 2\n" * 3000
    same = [Definition("A.f", 0, 3002) for _ in range(3000)]
    hostile = [Source(0, "a.py\n", often, same)]
    assert says("`x` defaults to `3` in `g`.", hostile)
    assert says("`f` raises `Other` if `y`.", hostile)
    assert says("`f` returns `7`.", hostile)
    several = [Source(0, "a.py\n", often, same[:9])]  # few enough to look at, but not for all of their lines
    assert says("`f` returns `7`.", several)


def test_where_definitions_are_not_known_nothing_is_bound() -> None:
    bare = [Source(source.document, source.header, source.text) for source in SOURCES]
    assert says("`width` defaults to `36` in `ProgressBar`.", bare)
    assert says("`progressbar` is called by `anybody` in `ui/make.py`.", bare)
    mixed = [SOURCES[0], bare[1]]  # who calls may stand in the part that is not known
    assert says("`progressbar` is called by `anybody`", mixed)


def test_a_piece_may_hold_the_end_of_one_span_and_the_next() -> None:
    claims = Claims(SOURCES)
    assert claims.allows("`width` defaults to `36", "` in `pro")
    assert not claims.allows("`width` defaults to `36", "` in `Pro")
    assert not claims.allows("`width` defaults to `3", "` in")


def test_who_holds_what_is_said_is_known_by_name() -> None:
    claims = Claims(SOURCES)
    assert claims.by_name("`width` defaults to `36` in `pro")
    assert not claims.by_name("`width` defaults to `3"), "a value may stand otherwise than is known here"
    assert not claims.by_name("`width` defaults to `36` in ")
    assert not claims.by_name("Of `wid")


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    folder: Path = tmp_path_factory.mktemp("tiny")
    return tiny_engine(folder)._tokenizer


def test_the_likeliest_token_gives_way_to_one_that_is_nearly_as_likely(tokenizer: Tokenizer) -> None:
    choosing = Choosing(tokenizer, "How wide is it?", "", SOURCES)
    wrong, right = (tokenizer.encode_text(sign)[0] for sign in "Pp")
    value, other = (tokenizer.encode_text(sign)[0] for sign in "36")
    logits = torch.full((300,), -50.0)
    logits[wrong], logits[right], logits[other], logits[value] = 0.0, -40.0, 0.0, -MARGIN + 0.5
    assert choosing.choose(logits, "`width` defaults to `") == value
    logits[value] = -MARGIN - 0.5  # the model is sure of another value
    assert choosing.choose(logits, "`width` defaults to `") in (wrong, other)
    assert choosing.choose(logits, "`width` defaults to `36` in `") == right, "who has it is known"
    logits[other] = -1.0
    assert choosing.choose(logits, "How `") == wrong  # nothing is said of anything
