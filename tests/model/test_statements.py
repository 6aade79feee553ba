"""Lines read to the end of the statement that they begin."""

import pytest

from codemem.model.statements import LONGEST, statements


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("x = 1\ny = 2", "x = 1"),
        ("total = sum(\n    item.price\n    for item in items\n)", "total = sum(item.price for item in items)"),
        ("this.size =\n  options.size !== undefined ? options.size : 10;", None),
        ("const size =\n  given\n    ? given\n    : 10;", "const size = given ? given : 10;"),
        ("const f = (a) =>\n  a + 1;", "const f = (a) => a + 1;"),
        ("total = first + \\\n    second", "total = first + second"),
        ("builder\n    .limit(5)\n    .build();", "builder.limit(5).build();"),
        ("return ok &&\n  late", "return ok && late"),
        ("if timer:\n    timer.cancel()\n    return", "if timer: timer.cancel()"),
        ("if timer:\n\n    timer.cancel()", "if timer: timer.cancel()"),
        ("} else if (late) {\n  return null;\n}", "} else if (late) { return null;"),
        ("except KeyError:\n    return default", "except KeyError: return default"),
        ("case 'a':\n  return 5;", "case 'a': return 5;"),
        ("if a and (b or\n        c):\n    go(\n        a)", "if a and (b or c): go(a)"),
        ("if x:\n    # because it is late\n    go()", "if x:"),  # a comment is no statement
        ("if x:\ngo()", "if x:"),  # not within it
        ("# a comment (with a bracket\nx = 1", "# a comment (with a bracket"),
        ('s = "a ( b"\nx = 1', 's = "a ( b"'),
        ("x == y\nz", "x == y"),
        ("fail if text.empty?\ngo", "fail if text.empty?"),
        ("size = given ?\n  given : 10", "size = given ? given : 10"),
        ("i++\nj", "i++"),
        ("def f(a):\n    return a", "def f(a):"),
        ("f(\n" + "    argument,\n" * 30 + ")", "f("),  # too many lines
        ("f(\n    '" + "x" * LONGEST + "')", "f("),  # too long
        ("if x:\n    go('" + "x" * LONGEST + "')", "if x:"),
        ("f(a,", "f(a,"),  # cut off
        ("empty = []\n\n", "empty = []"),
    ],
)
def test_the_statement_that_a_line_begins(text: str, first: str | None) -> None:
    found = statements(text)
    assert found[0] == (first or " ".join(line.strip() for line in text.split("\n")))
    assert len(found) == text.count("\n") + 1
    for line, statement in zip(text.split("\n"), found, strict=True):
        assert statement.startswith(line.strip().removesuffix("\\").rstrip())
        assert len(statement) <= max(LONGEST, len(line))


def test_a_long_text_is_read_in_linear_time() -> None:
    text = "f(\n" * 20_000
    assert statements(text)[0] == "f("
