from hypothesis import example, given
from hypothesis import strategies as st

from codemem.indexer import decode_path, encode_path


@given(st.binary())
@example(b"%2\xff5")
@example(b"%\xff")
@example(b"100%25 \xc3\xa9.md")
def test_every_name_survives(raw: bytes) -> None:
    path = encode_path(raw)
    assert decode_path(path) == raw
    assert "\n" not in path
    path.encode("utf-8")


def test_usual_names_stay_as_they_are() -> None:
    for name in ("src/main.py", "docs/Überblick über 50% der Fälle.md", "a b/[c] {d}~.txt", "日本語.txt"):
        assert encode_path(name.encode()) == name


def test_what_is_encoded() -> None:
    assert encode_path(b"caf\xe9.txt") == "caf%E9.txt"
    assert encode_path(b"two\nlines\x1b[31m") == "two%0Alines%1B[31m"
    assert encode_path(b"literal%41") == "literal%2541"
    assert encode_path(b"50%.txt") == "50%.txt"
