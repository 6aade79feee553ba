"""The function-retrieval pool is read from wheels by fixed rules."""

import json
import zipfile
from pathlib import Path

import pytest

from codemem.evals.functions_pool import first_sentence, functions_of, main, pool

SOURCE = '''class Reader:
    @property
    def lines(self):
        """Give the lines that were read so far. Empty ones count."""
        return [line for line in self.buffer.splitlines() if line is not None]

    def tiny(self):
        return 1


async def copy_all(reader, writer):
    """Copy."""
    async for line in reader.stream_of_lines():
        await writer.put(line)
'''


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    path = tmp_path / "out" / "dist" / "reader-1.0-py3-none-any.whl"
    path.parent.mkdir(parents=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("reader/core.py", "reader/tests/test_core.py", "reader/_vendor/core.py"):
            archive.writestr(name, SOURCE)
        archive.writestr("reader/template.py", "def broken(:\n")
    return path


def test_documents_have_no_docstring_and_tests_are_left_out(wheel: Path) -> None:
    found = pool([wheel])
    assert {function.path for function in found} == {"reader/core.py"}
    assert sorted(function.text.split("(")[0].split()[-1] for function in found) == ["copy_all", "lines"]
    assert all('"""' not in function.text for function in found)
    assert [function.query for function in found if function.query] == ["Give the lines that were read so far"]


def test_command_writes_documents_and_queries(wheel: Path, tmp_path: Path) -> None:
    specification = tmp_path / "functions.json"
    specification.write_text(json.dumps({"packages": {"reader": "1.0"}}))
    main([str(specification), "--out", str(tmp_path / "out")])
    documents = [json.loads(line) for line in (tmp_path / "out" / "documents.jsonl").read_text().splitlines()]
    (query,) = (json.loads(line) for line in (tmp_path / "out" / "queries.jsonl").read_text().splitlines())
    assert documents[query["gold"]]["header"] == "reader/core.py\n"
    assert "def lines" in documents[query["gold"]]["text"]
    assert query["same"] == []


@pytest.mark.parametrize(("docstring", "query"), [("Short one.", None), ("Ein Wörterbuch mit allen Einträgen.", None)])
def test_queries_are_long_enough_and_ascii(docstring: str, query: str | None) -> None:
    assert first_sentence(docstring) == query


def test_decorators_stay_with_their_function() -> None:
    (text, docstring), *_ = (pair for pair in functions_of(SOURCE) if pair[1])
    assert text.startswith(("    @property", "async def"))
    assert docstring
