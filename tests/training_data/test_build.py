"""From downloaded archives to the files that training reads."""

import json
from pathlib import Path

import pytest

from codemem.training.data import __main__ as command
from codemem.training.data import build, read
from codemem.training.data.answer_shards import AnswerShard
from codemem.training.data.definition import Definition
from codemem.training.data.download import PackageName
from codemem.training.data.fingerprint import SeenTexts, fingerprint
from codemem.training.data.prepare import Prepared, PreparedQuestion
from codemem.training.data.python_facts import Passage

from .conftest import HELD_OUT


@pytest.fixture
def built(downloaded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run the whole command over the three packages, without a network."""
    run(downloaded, tmp_path, monkeypatch)
    return downloaded


def run(
    out: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    names: tuple[str, ...] = ("tiles", "copyleft", "flask"),
    processes: str = "1",
) -> None:
    def listed(ecosystem: str, which: str = "first") -> list[PackageName]:
        here = {"pypi": names, "npm": ("tile-address",)}.get(ecosystem, ())
        return [] if which != "first" else [PackageName(ecosystem, name) for name in here]

    monkeypatch.setattr(command, "listed", listed)
    forbidden, held = tmp_path / "never.txt", tmp_path / "held.jsonl"
    forbidden.write_text("pallets/flask\npackage:httpx\n")
    held.write_text(json.dumps({"text": HELD_OUT}) + "\n")
    never = ["--never-train-on", str(forbidden), "--never-documents", str(held)]
    command.main(["--out", str(out), *never, "--offline", "--processes", processes])


def test_pairs_lead_to_their_definition(built: Path) -> None:
    documents = read.documents(built)
    pairs = {pair.question: pair for pair in read.pairs(built)}
    pair = pairs["Turn raw bytes into a list of pixels of a given depth."]
    (positive,) = pair.positives
    assert "def decode_pixels" in documents[positive].text
    assert documents[positive].header.endswith("tiles/client.py\n")
    assert pair.question not in documents[positive].text
    assert (pair.kind, pair.language) == ("documentation", "python")
    assert pair.negatives
    assert all(documents[negative].package == "pypi:tiles" for negative in pair.negatives)
    assert not set(pair.positives) & set(pair.negatives)


def test_a_test_asks_for_what_it_tests(built: Path) -> None:
    documents = read.documents(built)
    (pair,) = (pair for pair in read.pairs(built) if pair.kind == "test")
    assert pair.question == "decode pixels of depth 16"
    assert "def decode_pixels" in documents[pair.positives[0]].text


def test_what_may_not_be_trained_on_is_left_out(built: Path) -> None:
    documents = read.documents(built)
    assert {document.package for document in documents} == {"pypi:tiles", "npm:tile-address"}
    text = "\n".join(document.text for document in documents)
    assert "measure_drift" not in text  # equal to an evaluation's function but for layout and a comment
    assert "VendoredError" not in text
    rows = {row["id"]: row for row in json.loads((built / "manifest.json").read_text())}
    assert rows.keys() == {"pypi:tiles", "npm:tile-address"}
    assert rows["npm:tile-address"]["version"] == "2.1.0"
    assert rows["pypi:tiles"]["licence"] == "MIT"


def test_every_answer_stands_in_its_gold_document(built: Path) -> None:
    documents = read.documents(built)
    records = list(read.question_answers(built))
    kinds = {record.kind for record in records}
    assert {"default", "raises", "bases", "caller", "does", "constant", "inherits+default", "inherits+raises"} <= kinds
    for record in records:
        if record.kind == "unanswerable":
            assert record.gold == ()
            continue
        assert record.evidence
        assert record.evidence in documents[record.gold[-1]].text
        assert all(record.evidence not in documents[index].text for index in record.distractors)
        assert not set(record.gold) & set(record.distractors)


def test_answers_state_the_facts(built: Path) -> None:
    answers = {record.answer for record in read.question_answers(built)}
    assert "`decode_pixels` raises `ValueError` if `depth not in (8, 16)`." in answers
    assert "`TileClient` inherits from `BaseClient`, whose `port` defaults to `8080`." in answers
    assert "`BaseClient.ensure_open` is called by `TileClient.request_bytes` in `tiles/client.py`." in {
        answer.replace("src/", "").replace("lib/", "").replace("python/", "") for answer in answers
    }


def test_other_languages_answer_where_and_who(built: Path) -> None:
    answers = {record.answer for record in read.question_answers(built) if record.language == "javascript"}
    assert "`parseAddress` is called by `roundTrip` in `src/address.js`." in answers
    assert "`formatAddress` is defined in `src/address.js`." in answers
    assert "`roundTrip` calls `parseAddress` and `formatAddress`." in answers


def test_a_second_run_in_two_processes_gives_the_same_bytes(
    built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = (read.DOCUMENTS, read.PAIRS, read.QA)
    before = [(built / name).read_bytes() for name in names]
    for kept in [*built.glob("shards/*/*"), *built.glob("answers/*")]:
        kept.unlink()
    run(built, tmp_path, monkeypatch, processes="2")
    assert [(built / name).read_bytes() for name in names] == before


def test_packages_held_out_never_reach_training(
    downloaded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "DEV_PACKAGES", frozenset({"pypi:tiles"}))
    run(downloaded, tmp_path, monkeypatch)
    documents = read.documents(downloaded)
    train = [index for pair in read.pairs(downloaded) for index in (*pair.positives, *pair.negatives)]
    assert train
    assert {documents[index].package for index in train} == {"npm:tile-address"}
    held_out = [index for pair in read.pairs(downloaded, dev=True) for index in pair.positives]
    assert {documents[index].package for index in held_out} == {"pypi:tiles"}
    assert all(record.language == "javascript" for record in read.question_answers(downloaded))
    assert any(record.language == "python" for record in read.question_answers(downloaded, dev=True))


def definition(path: str, scope: str) -> Definition:
    body = "    def close(self):\n        self.channel.flush()\n        self.channel.shutdown(reason='closed')\n"
    return Definition(path, "python", "method", "close", scope, body, "Flush the channel and shut it down for good.")


def place(corpus: build.Corpus, package: str, definitions: list[Definition]) -> list[int | None]:
    found = Prepared([fingerprint(d.text) for d in definitions], [PreparedQuestion("close it all", (0, 1), (), "name")])
    return corpus.add_package(package, definitions, found)


def test_copies_stay_apart_within_a_package_and_are_one_across_packages() -> None:
    corpus = build.Corpus(SeenTexts.of([]))
    here = [definition("src/tcp.py", "TcpLink"), definition("src/udp.py", "UdpLink")]
    assert place(corpus, "pypi:links", here) == [0, 1]
    assert corpus.pairs[False, "close it all"].positives == [0, 1]
    assert place(corpus, "pypi:fork", [definition("fork/tcp.py", "TcpLink"), here[1]])[0] == 0


def test_an_answer_that_names_another_path_is_dropped() -> None:
    corpus = build.Corpus(SeenTexts.of([]))
    place(corpus, "pypi:links", [definition("src/tcp.py", "TcpLink"), definition("src/udp.py", "UdpLink")])
    moved = definition("fork/tcp.py", "TcpLink")
    others = [
        Passage("fork/a.py\n", f"def other_{n}(value):\n    return transform_number_{n}(value, {n})\n")
        for n in range(3)
    ]
    record = {"question": "q", "gold": [0], "distractors": [1, 2, 3], "answer": "a", "kind": "where"}
    shard = AnswerShard([Passage(moved.header, moved.text), *others], [{**record, "evidence": "def close(self):"}])
    corpus.add_answers("pypi:fork", shard, "python")
    assert corpus.answers == []
    assert corpus.dropped["evidence in another copy"] == 1


def test_a_share_is_kept_of_training_and_all_of_validation() -> None:
    corpus = build.Corpus(SeenTexts.of([]))
    rows = {(dev, f"question {n}"): build.Row([0], [], "name", "c") for n in range(2000) for dev in (False, True)}
    corpus.pairs = dict(rows)
    build.keep_share(corpus, 500)
    kept = [dev for dev, _ in corpus.pairs]
    assert kept.count(True) == 2000
    assert 420 <= kept.count(False) <= 580


def test_code_copied_from_a_package_held_out_is_no_negative(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "DEV_PACKAGES", frozenset({"pypi:links"}))
    corpus = build.Corpus(SeenTexts.of([]))
    copied = definition("src/tcp.py", "TcpLink")
    place(corpus, "pypi:links", [copied, definition("src/udp.py", "UdpLink")])
    own = [
        Definition("a.py", "python", "function", f"f{n}", "", f"def f{n}(x):\n    return transform_{n}(x)", "")
        for n in "ab"
    ]
    long = [
        Definition(d.path, d.language, d.kind, d.name, d.scope, d.code + "  # of the other kind" * 2, "") for d in own
    ]
    prints = [fingerprint(d.text) for d in (copied, *long)]
    corpus.add_package("pypi:user", [copied, *long], Prepared(prints, [PreparedQuestion("f", (1,), (0, 2), "name")]))
    row = corpus.pairs[False, "f"]
    assert [corpus.documents[index][3] for index in (*row.positives, *row.negatives)] == ["pypi:user", "pypi:user"]
