"""Values asked for in plain words: what stands beside them, the question, and the fact that answers it."""

import random
import re
from pathlib import Path

import pytest

from codemem.training.data.read import DOCUMENTS, Writer, rows
from codemem.training.described import main, records, values
from codemem.training.described_questions import asked


def draw(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311


SOCKET = '''class Socket:
    # Seconds to wait before the connection is given up.
    close_timeout = 30
    backlog = 128  # number of connections that may wait
    opened = False
    ready = True  # whether it was begun

    def connect(self, host, retries: int = 5, verify=True, quiet=False):
        """Open it.

        :param retries: Number of attempts before an error is raised (default: 5).
        :param verify: Whether to check the certificate of the other side.
        """
        send(self, timeout=9)
        self.interval = 0.5
'''


def test_a_value_goes_with_what_is_said_of_it() -> None:
    found = {value.name: value for value in values(SOCKET, "python")}
    assert found["close_timeout"].said == "Seconds to wait before the connection is given up."
    assert found["backlog"].said == "number of connections that may wait"
    assert found["retries"].said.startswith("Number of attempts")
    assert found["verify"].default
    assert found["verify"].value == "True"
    assert found["interval"].said == ""
    # What merely begins so, what a call passes on and a switch that nothing is said of are asked for by nobody.
    assert found.keys() == {"close_timeout", "backlog", "retries", "verify", "interval"}


def test_fallbacks_are_defaults_and_entries_values() -> None:
    script = """class Limiter {
  constructor(options) {
    this.concurrency = options.concurrency || Infinity;
    this.total = count + (other || 0);
    return {
      retryDelay: 1000, // milliseconds between two tries
    };
  }
}
"""
    found = {value.name: value for value in values(script, "javascript")}
    assert (found["concurrency"].value, found["concurrency"].default) == ("Infinity", True)
    assert (found["retryDelay"].value, found["retryDelay"].default) == ("1000", False)
    assert found.keys() == {"concurrency", "retryDelay"}
    assert not values("def f(\n    a_kind: 'Sequence',\n):\n    pass\n", "python")


def test_a_table_of_values_and_a_line_that_stands_twice_are_left_out() -> None:
    table = "".join(f"LIMIT_OF_{name} = {number}\n" for number, name in enumerate("ABCD", start=3))
    assert not values(table, "python")
    assert not values("MAX_DEPTH = 5\nMAX_DEPTH = 5\n", "python")
    assert [value.name for value in values("MAX_DEPTH = 5\n", "python")] == ["MAX_DEPTH"]


@pytest.mark.parametrize(
    ("said", "question"),
    [
        ("Maximum number of retries before giving up.", "how many retries before giving up"),
        ("Seconds to wait before the socket is closed", "how long .*before the socket is closed"),
        ("Whether to follow redirects.", "does it follow redirects by default"),
        ("The largest size of a message that is sent", "largest size|large may the size"),
        ("how long an idle daemon lives", "how long an idle daemon lives"),
        ("Path of the file with the settings", "path of the file with the settings"),
        ("Number of workers to start. Defaults to 4.", "how many workers to start"),
    ],
)
def test_what_is_said_becomes_a_question(said: str, question: str) -> None:
    for seed in range(20):
        found = asked("some_name", "5", said, "pool", draw(seed))
        assert found is not None
        assert re.search(question, found.lower()), found
        assert "some_name" not in found
        assert "5" not in found
        assert "4" not in found


@pytest.mark.parametrize(
    ("name", "value", "word"),
    [
        ("close_timeout", "30", "close timeout"),
        ("maxConnections", "5", "connections"),
        ("verify_host", "True", "verify host"),
        ("chunk_size", "64", "chunk size"),
        ("DEFAULT_ENCODING", '"utf-8"', "encoding"),
        ("worker_threads", "3", "worker threads"),
    ],
)
def test_where_nothing_is_said_the_words_of_the_name_ask(name: str, value: str, word: str) -> None:
    questions = {
        asked(name, value, said, "server pool", draw(seed)) for seed in range(30) for said in ("", "TODO: see")
    }
    assert len(questions) > 1
    for question in questions:
        assert question is not None
        assert word in question
        assert name not in question
        assert value.strip('"') not in question


def test_a_single_word_is_not_asked_for_without_what_it_is_of() -> None:
    assert asked("encoding", '"utf-8"', "", "", draw(0)) is None
    assert asked("encoding", '"utf-8"', "", "file reader", draw(0)) is not None


def test_records_answer_with_a_fact_and_its_line(tmp_path: Path) -> None:
    def row(path: str, text: str, language: str = "python") -> dict[str, str]:
        return {"header": f"{path}\n", "text": text, "language": language, "package": "pypi:net"}

    documents = [
        row("net/socket.py", SOCKET),
        row("net/settings.py", "# Seconds between two looks at the queue\nPOLL_INTERVAL = 2.5\n"),
        row("tests/test_socket.py", "# Seconds between two looks at the queue\nPOLL_INTERVAL = 2.5\n"),
        row("README.md", "POLL_INTERVAL = 2.5\n", "markdown"),
    ]
    found = {record["gold"][0]: record for record in records(documents, most=50)}
    assert found.keys() == {0, 1}
    assert found[1]["answer"] == "`POLL_INTERVAL` is `2.5`, set in `net/settings.py`."
    assert found[1]["evidence"] == "POLL_INTERVAL = 2.5"
    assert found[1]["distractors"] == [0]
    assert "POLL_INTERVAL" not in found[1]["question"]
    assert found[0]["evidence"] in [line.strip() for line in SOCKET.split("\n")]
    assert {record["kind"] for record in found.values()} == {"described"}
    with Writer(tmp_path / DOCUMENTS) as writer:
        for document in documents:
            writer.write(document)
    main(["--data", str(tmp_path), "--most", "50"])
    assert len(list(rows(tmp_path / "explained-described-0.jsonl.zst"))) == 2
