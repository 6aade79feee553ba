"""Which files may call what others define."""

import pytest

from codemem.model.claims import Claims
from codemem.model.events import Definition, Source
from codemem.model.kin import akin, kind_of, of_kin
from codemem.model.references import references

LEXER = Source(
    0,
    "sql/lexer.py\n",
    "def is_keyword(word):\n    return word in WORDS\n\ndef tokens(text):\n    return filter(is_keyword(text), text)\n",
    [Definition("is_keyword", 0, 2), Definition("tokens", 3, 5)],
)
PARSER = Source(
    1, "src/parser.rs\n", "fn eat(&self) {\n    is_keyword(self.word)\n}\n", [Definition("Parser.eat", 0, 3)]
)


@pytest.mark.parametrize(
    ("path", "other", "together"),
    [
        ("a/b.py", "c.pyx", True),
        ("a.ts", "b.VUE", True),
        ("a.c", "b.hpp", True),
        ("a.py", "b.rs", False),
        ("a.go", "b.go", True),
        ("Makefile", "b.py", False),
    ],
)
def test_languages_that_are_built_together_are_of_one_kind(path: str, other: str, together: bool) -> None:
    assert (kind_of(path) == kind_of(other)) is together
    assert akin(path, {kind_of(other)}) is together
    assert akin(path, ())


def test_others_count_where_none_of_its_own_kind_is_there() -> None:
    assert of_kin(["a.rs", "b.py", "c.rs"], str, ["d.rs"]) == ["a.rs", "c.rs"]
    assert of_kin(["a.rs", "b.py"], str, ["d.go"]) == ["a.rs", "b.py"]
    assert of_kin(["a.rs", "b.py"], str, []) == ["a.rs", "b.py"]


def test_who_calls_a_name_is_told_of_code_of_its_language() -> None:
    told = references("Who calls `is_keyword`?", [PARSER, LEXER])
    assert "called by `tokens`" in told
    assert "Parser.eat" not in told
    claims = Claims([PARSER, LEXER], "Who calls `is_keyword`?")
    assert claims.allows("`is_keyword` is called by `", "tokens")
    assert not claims.allows("`is_keyword` is called by `", "Parser")
    alone = Source(0, "sql/lexer.py\n", "def is_keyword(word):\n    return 1\n", [Definition("is_keyword", 0, 2)])
    assert "called by `Parser.eat`" in references("Who calls `is_keyword`?", [PARSER, alone])  # a binding may
