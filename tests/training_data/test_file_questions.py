"""Questions about files and how parts work together lead where they should, and call nothing of the file wrong."""

import pytest

from codemem.training.data import treesitter_definitions
from codemem.training.data.definition import Definition
from codemem.training.data.file_questions import file_questions
from codemem.training.data.prepare import prepare
from codemem.training.data.prose import sections, sentences
from codemem.training.data.questions import Question

README = """# tiles

Some words that nobody asks about.

## Retries

Use `RetryPolicy` to decide how often a failed request to the tile server is sent again.

```python
policy = RetryPolicy(limit=3)  # nothing of this is a question, however long the line may get
```

## License

MIT, whose text stands in the file LICENSE beside this one, and which permits nearly everything.
"""


def code(path: str, name: str, *, kind: str = "function", scope: str = "", documentation: str = "",
         calls: tuple[tuple[str, str], ...] = ()) -> Definition:  # fmt: skip
    body = f"def {name}(value):\n    return transform_{name}(value, depth=8, order='row-major')\n"
    return Definition(path, "python", kind, name, scope, body, documentation, calls=calls)


@pytest.fixture
def package() -> list[Definition]:
    return [
        code("src/http/retry_policy.py", "RetryPolicy", kind="class"),
        code("src/http/retry_policy.py", "decide", scope="RetryPolicy"),
        code("src/http/retry_policy.py", "window", kind="window",
             documentation="Decides how often requests that failed are sent again."),
        code("src/http/session.py", "send", scope="Session",
             documentation="Sends a prepared request and returns what the server said.",
             calls=(("backoff_seconds", "time.sleep(backoff_seconds(tries))"),)),
        code("src/http/timing.py", "backoff_seconds"),
        *sections("README.md", README),
    ]  # fmt: skip


def of_kind(package: list[Definition], kind: str) -> list[Question]:
    """All of a kind that any of many names of the package would yield, since most are drawn by hash."""
    found = {
        question.text: question
        for number in range(60)
        for question in file_questions(f"p{number}", package)
        if question.kind == kind
    }
    return list(found.values())


def test_a_files_own_words_lead_to_its_documents(package: list[Definition]) -> None:
    (module,) = of_kind(package, "module")
    assert module.text == "Decides how often requests that failed are sent again."
    assert module.positives[0] == 2
    assert {*module.positives, *module.same} == {0, 1, 2}


def test_a_path_is_asked_for_by_its_words(package: list[Definition]) -> None:
    found = of_kind(package, "path")
    assert found
    for question in found:
        assert "retry policy" in question.text
        assert {*question.positives, *question.same} == {0, 1, 2}
        assert question.positives[0] == 0  # shares most words


def test_two_files_that_work_together_are_both_wanted(package: list[Definition]) -> None:
    found = of_kind(package, "together")
    assert {question.positives for question in found} <= {(3, 4)}


def test_prose_leads_to_the_code_that_it_names_and_not_to_itself(package: list[Definition]) -> None:
    found = of_kind(package, "readme")
    assert [question.positives for question in found] == [(0,)]
    assert "`" not in found[0].text
    texts = [place for place, definition in enumerate(package) if definition.kind == "text"]
    assert texts
    prepared = prepare("p", package)
    assert not any(place in question.positives for place in texts for question in prepared.questions)


def test_sections_leave_out_licences_and_sentences_leave_out_code() -> None:
    found = list(sections("docs/readme.md", README))
    assert [section.name for section in found] == ["Retries"]
    assert len(list(sentences(found[0]))) == 1


@pytest.mark.parametrize(
    ("language", "text", "says"),
    [
        ("go", "// Package ring keeps the last values of a stream in memory.\npackage ring\n", "Package ring keeps"),
        ("rust", "//! Parses tile addresses out of request paths.\n\nuse std::fmt;\n", "Parses tile addresses"),
        ("javascript", "/* Copyright A. Body */\n/**\n * Draws tiles onto a canvas.\n */\n\n", "Draws tiles"),
        ("go", "//go:build linux && amd64 and whatever else\n\npackage ring\n", ""),
        ("javascript", "/** Adds two numbers that are given to it as strings. */\n", ""),
    ],
)  # fmt: skip
def test_the_opening_comment_of_a_file_is_its_documentation(language: str, text: str, says: str) -> None:
    follows = {"go": "func Add(a int) int {\n\treturn a + 1\n}\n", "rust": "pub fn add(a: u8) -> u8 {\n    a + 1\n}\n"}
    body = follows.get(language, "function add(a, b) {\n  return Number(a) + Number(b)\n}\n") * 6
    windows = [
        found
        for found in treesitter_definitions.definitions("ring/ring.x", text + body, language, test=False)
        if found.kind == "window"
    ]
    assert [window.documentation.startswith(says) for window in windows] == ([True] if says else [])
    assert all(says not in window.code for window in windows)
