"""The head of a definition: what declares it, in one line."""

import time

import pytest

from codemem.model.events import Definition
from codemem.model.signature import LONGEST, signature


def head(*lines: str, start: int = 0, end: int | None = None) -> str:
    return signature(lines, Definition("name", start, len(lines) if end is None else end))


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["def login(user, retries=3):", "    return user"], "def login(user, retries=3):"),
        (["MAX = 10000"], "MAX = 10000"),
        (["LIMITS = [", "    1,  # the first", "    2,", "]", "MORE = 2"], "LIMITS = [ 1, 2, ]"),
        (
            ["def login(", "    user,", "    *rest,", "    **more,", "):", "    pass"],
            "def login( user, *rest, **more, ):",
        ),
        (
            ["@cached(", "    size=3,", ")", "@other", "def login():", "    pass"],
            "@cached( size=3, ) @other def login():",
        ),
        (["# about it", "", "/** and", " * more */", "class Foo(Base):", "    a = 1"], "class Foo(Base):"),
        (
            ["/// About.", "#[derive(Debug)]", "pub struct Config {"],
            "#[derive(Debug)] pub struct Config",
        ),
        (["export class Box<T> extends Item<T> {", "  size = 1"], "export class Box<T> extends Item<T>"),
        (["func (s *Server) Run(n int) error {", "\treturn nil"], "func (s *Server) Run(n int) error"),
        (["def split(text, by=')'):", "    return 1"], "def split(text, by=')'):"),
        (["const f = (a, b = `x`) => a + b;", "g()"], "const f = (a, b = 'x') => a + b;"),
        (["@Override public int size() {", "    return 1;"], "@Override public int size()"),
        (["@Test(timeout = 3) void runs() {", "    go();"], "@Test(timeout = 3) void runs()"),
        (["#[inline] fn size() -> u8 {", "    1"], "#[inline] fn size() -> u8"),
        (["@size = 3", "go"], "@size = 3"),
        (["static", "int access(const char *path)", "{"], "static int access(const char *path)"),
        (["static int", "access(const char *path)", "{"], "static int"),
        (["def next)):", "    pass"], "def next)):"),
        (["# nothing but a comment"], ""),
        ([], ""),
    ],
)
def test_what_declares_a_definition(lines: list[str], expected: str) -> None:
    assert head(*lines) == expected


def test_lines_are_counted_from_the_texts_first_and_end_with_the_definition() -> None:
    lines = ["a = 1", "b = (", "c = 2"]
    assert head(*lines, start=0, end=1) == "a = 1"
    assert head(*lines, start=1, end=2) == "b = ("


def test_of_a_later_part_there_is_no_head() -> None:
    assert head("    return 1", start=-3, end=1) == ""


def test_no_head_is_longer_than_helps() -> None:
    long = head("TABLE = [" + "1, " * 500 + "]")
    assert len(long) == LONGEST
    assert long.endswith("...")


def test_a_hostile_line_takes_no_time() -> None:
    began = time.perf_counter()
    for line in ("'" + "\\" * 1_000_000, " # x" * 300_000, "(" * 1_000_000, "@" + " " * 1_000_000):
        head(line, *["("] * 100_000)
    assert time.perf_counter() - began < 20
