"""Names, paths and prose must meet in the same terms."""

import pytest

from codemem.outline.words import SHORT_FORMS, parts, stem, terms


@pytest.mark.parametrize(
    ("identifier", "expected"),
    [
        ("getHTTPResponse", ("get", "http", "response")),
        ("snake_case_name", ("snake", "case", "name")),
        ("XMLParser", ("xml", "parser")),
        ("utf8Decoder2", ("utf", "8", "decoder", "2")),
        ("__init__", ("init",)),
        ("Größe", ("gr", "öß", "e")),
        ("名前", ("名前",)),
    ],
)
def test_identifiers_split_at_case_separators_and_digits(identifier: str, expected: tuple[str, ...]) -> None:
    assert parts(identifier) == expected


@pytest.mark.parametrize(
    "family",
    [
        "parse parses parser parsers parsing parsed",
        "serialize serializer serializers serialization serializing",
        "handle handler handlers handling handled",
        "validate validator validation validated",
        "query queries",
        "match matches matching matcher",
        "class classes",
        "stop stopped stopping",
        "generate generates generating generator",
        "analyze analyzer analysis",
    ],
)
def test_one_action_has_one_stem(family: str) -> None:
    assert len({stem(word) for word in family.split()}) == 1


@pytest.mark.parametrize(("one", "other"), [("note", "node"), ("status", "state"), ("key", "kind"), ("status", "stat")])
def test_different_words_keep_different_stems(one: str, other: str) -> None:
    assert stem(one) != stem(other)


def test_short_words_and_numbers_are_left_alone() -> None:
    assert [stem(word) for word in ("is", "tcp", "h2", "2026")] == ["is", "tcp", "h2", "2026"]


def test_prose_and_names_share_terms() -> None:
    assert set(terms("HTTP responses")) == set(terms("http_response")) == set(terms("HttpResponse"))


def test_short_forms_work_both_ways() -> None:
    assert stem("context") in SHORT_FORMS["ctx"]
    assert "ctx" in SHORT_FORMS[stem("context")]
