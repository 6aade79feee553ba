"""Names in an answer are names that were read."""

import pytest

from codemem.model.wording import KnownWords

KNOWN = KnownWords(["def find_damage(store, rows): raise StoreError", "How does `Session.get` work in GitHub?"])


@pytest.mark.parametrize(
    ("text", "piece"),
    [
        ("It calls `", "find"),
        ("It calls `find", "_damage"),
        ("It calls `find_damage", "`, which"),
        ("It calls `find_damage", "("),
        ("It returns `", "None"),
        ("It returns `", "tru"),
        ("Any prose goes, ", "whatever"),
        ("and raises ", "Store"),
        ("and raises Store", "Error"),
        ("`Session", ".get"),
        ("On Git", "Hub"),
        ("`", "größe"),
        ("prose gr", "öße"),
        ("In `rows", "之"),
        ("after `rows` any ", "word"),
    ],
)
def test_words_that_were_read_may_be_written(text: str, piece: str) -> None:
    assert KNOWN.allows(text, piece)


@pytest.mark.parametrize(
    ("text", "piece"),
    [
        ("It calls `", "repair"),
        ("It calls `find", "_holes"),
        ("It calls `find", "`"),
        ("It calls `find_dam", "("),
        ("It calls `find_damage", "s"),
        ("and raises ", "storeFault"),
        ("and raises Store", "Fault"),
        ("uses find", "_everything"),
        ("`rows` and `", "columns"),
        ("It calls `find_dam", "消费"),
        ("and uses find_dam", "だろう"),
    ],
)
def test_names_that_nobody_wrote_may_not(text: str, piece: str) -> None:
    assert not KNOWN.allows(text, piece)


@pytest.mark.parametrize(
    "text", ["`find_damage` raises `StoreError`.", "It calls find_damage", "It returns `7", "It ends", ""]
)
def test_an_answer_ends_behind_whole_words(text: str) -> None:
    assert KNOWN.allows(text, "")


@pytest.mark.parametrize("text", ["`find_damage` raises `StoreErr", "It calls find_dam", "see `Sess"])
def test_an_answer_does_not_end_within_a_name(text: str) -> None:
    assert not KNOWN.allows(text, "")
