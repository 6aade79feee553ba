"""What is read besides what is alike: code that speaks of the question's names, and what their definitions lead to."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.bench import Bench
from app.conftest import commit, write
from app.fake_engine import FakeEngine
from codemem import mentions as reading
from codemem.ask import ask
from codemem.links import MOST_NAMED, gains, lead_of, linked
from codemem.meant import DEEPEST, nearest
from codemem.mentions import mentions
from codemem.model.spelled import names_to_find
from codemem.passages import Passages
from codemem.recall import Recall
from codemem.results import AskResult
from codemem.search import Session
from codemem.spelled_places import SPELLED_GAIN, spelled_out

FILES = {
    "shop/orders.py": "from shop.tax import vat_of\n\n\ndef total(order):\n    return order.net + vat_of(order)\n",
    "shop/tax.py": "RATE = 0.19\n\n\ndef vat_of(order, share=RATE):\n    return order.net * share\n",
    "shop/vat_of_all.py": "def vat_of_all(orders):\n    return [order.vat for order in orders]\n",
    "tests/test_tax.py": "def test_rate():\n    assert vat_of(ORDER) == 19\n",
    "shop/README.md": "# Shop\n\nSells things.\n",
}


@pytest.fixture
def shop(repository: Path) -> Path:
    write(repository, FILES)
    commit(repository)
    return repository


def gains_by_path(recall: Recall, gains: dict[int, float]) -> dict[str, float]:
    paths = {}
    for index, gain in gains.items():
        tree, document = recall.where(index)
        paths[tree.work.manifest.paths[tree.work.manifest.row_of_document(document)]] = gain
    return paths


def mentioned(session: Session, question: str) -> dict[str, float]:
    assert session.recall is not None
    return gains_by_path(session.recall, mentions(session.recall, question))


def test_what_holds_a_name_by_itself_gains_and_a_test_less(bench: Bench, shop: Path) -> None:
    bench.index(shop)
    with bench.session(shop, answering=True) as session:
        found = mentioned(session, "Who calls `vat_of`?")
        assert found.keys() == {"shop/orders.py", "shop/tax.py", "tests/test_tax.py"}
        assert found["shop/orders.py"] == found["shop/tax.py"] > found["tests/test_tax.py"]
        asked_for = mentioned(session, "Which test calls `vat_of`?")
        assert asked_for["tests/test_tax.py"] == asked_for["shop/orders.py"]
        assert mentioned(session, "Where are taxes computed?") == {}
        assert mentioned(session, "Who calls `no_such_name`?") == {}


def test_the_fewer_hold_a_name_the_more_each_gains_and_of_many_none(bench: Bench, shop: Path) -> None:
    few = {f"many/f{n:02}.py": f"def f{n}(x):\n    return vat_of(x)\n" for n in range(4)}
    with bench_of(bench, shop) as session:
        before = mentioned(session, "Who calls `vat_of`?")["shop/orders.py"]
    write(shop, few)
    with bench_of(bench, shop) as session:
        assert 0 < mentioned(session, "Who calls `vat_of`?")["shop/orders.py"] < before
    write(shop, {f"more/g{n:02}.py": f"def g{n}(x):\n    return vat_of(x)\n" for n in range(reading.MOST)})
    with bench_of(bench, shop) as session:
        assert mentioned(session, "Who calls `vat_of`?") == {}
        assert mentioned(session, "Who reads `RATE`?").keys() == {"shop/tax.py"}


def test_tests_of_what_is_asked_about_do_not_hide_who_calls_it(bench: Bench, shop: Path) -> None:
    tests = {f"tests/test_{n:02}.py": f"def test_{n}():\n    assert vat_of({n})\n" for n in range(reading.MOST + 2)}
    with bench_of(bench, shop) as session:
        before = mentioned(session, "Who calls `vat_of`?")["shop/orders.py"]
    write(shop, tests)
    with bench_of(bench, shop) as session:
        found = mentioned(session, "Who calls `vat_of`?")
    assert found["shop/orders.py"] == before
    assert found["tests/test_00.py"] < before / 2


def test_code_of_another_language_does_not_hide_who_calls_a_name(bench: Bench, shop: Path) -> None:
    with bench_of(bench, shop) as session:
        before = mentioned(session, "Who calls `vat_of`?")["shop/orders.py"]
    rust = {f"src/f{n:02}.rs": f"fn rate_of_{n}() -> i64 {{\n    vat_of({n})\n}}\n" for n in range(reading.MOST + 2)}
    write(shop, {**rust, "docs/taxes.md": "# Taxes\n\n`vat_of` is what we owe.\n"})
    with bench_of(bench, shop) as session:
        found = mentioned(session, "Who calls `vat_of`?")
        assert mentioned(session, "Who calls `rate_of_0`?").keys() == {"src/f00.rs"}
    assert found["shop/orders.py"] > found["docs/taxes.md"] > found["src/f00.rs"]
    assert found["shop/orders.py"] > before / 2  # with prose, and not one of sixteen
    (shop / "shop" / "tax.py").unlink()
    with bench_of(bench, shop) as session:
        assert mentioned(session, "Who calls `vat_of`?") == {}  # defined nowhere: any may be meant, and too many are


def test_however_many_tests_speak_of_a_name_few_files_are_parsed_to_say_where(
    bench: Bench, shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(shop, {f"tests/test_{n:02}.py": f"def test_{n}():\n    assert vat_of({n})\n" for n in range(40)})
    parsed: list[int] = []
    document = Passages.document
    monkeypatch.setattr(Passages, "document", lambda self, index: parsed.append(index) or document(self, index))
    with bench_of(bench, shop) as session:
        assert session.recall is not None
        parsed.clear()
        places = reading.speaking_places(session.recall, "Who calls `vat_of`?", most=3)
    assert places[0].path == "shop/orders.py"
    assert len(set(parsed)) <= 12


def bench_of(bench: Bench, root: Path) -> Session:
    bench.index(root)
    return bench.session(root, answering=True)


def test_of_a_file_the_documents_gain_that_hold_the_name(bench: Bench, shop: Path) -> None:
    parts = [f"def part_{n}(value):\n    '''Part {n}.'''\n" + "    value += 1\n" * 80 for n in range(3)]
    parts[1] += "    return vat_of(value)\n"
    write(shop, {"shop/parts.py": "\n\n".join(parts)})
    with bench_of(bench, shop) as session:
        recall = session.recall
        assert recall is not None
        held = []
        for index in mentions(recall, "Who calls `vat_of`?"):
            tree, document = recall.where(index)
            held.append(tree.passages.document(document))
        (found,) = [document for document in held if document.path == "shop/parts.py"]
        assert "vat_of(value)" in found.text
        assert "def part_0" not in found.text


def test_what_a_question_spells_gains_where_it_begins_the_more_the_fewer_bear_the_name(
    bench: Bench, shop: Path
) -> None:
    body = "".join(f"    def step_{n}(self):\n        return {n} * self.size\n\n" for n in range(60))
    write(shop, {"shop/query.py": f"def query(x):\n    return x\n\n\nclass Query(Base):\n{body}"})
    with bench_of(bench, shop) as session:
        recall = session.recall
        assert recall is not None
        (index,) = found = spelled_out(recall, "Take `Query` as `index.py` offers it: which type stands above it?")
        tree, document = recall.where(index)
        assert (
            "class Query(Base)" in tree.passages.document(document).text
        )  # and not its later parts, nor `query` alone
        assert found[index] == SPELLED_GAIN
        assert spelled_out(recall, "Where are Query objects made?") == {}
        assert spelled_out(recall, "What is `nowhere_defined`?") == {}
    write(shop, {f"more/f{n}.py": "class Query:\n    pass\n" for n in range(3)})
    with bench_of(bench, shop) as session:
        assert session.recall is not None
        assert set(spelled_out(session.recall, "What is `Query`?").values()) == {SPELLED_GAIN / 2}


def test_the_method_of_the_class_that_is_spelled_is_followed(bench: Bench, shop: Path) -> None:
    methods = "    def send(self, order):\n        return {name}(order)\n"
    files = {f"shop/f{n}.py": f"class Other{n}:\n{methods.format(name='unlikely_target')}" for n in range(4)}
    files["shop/client.py"] = f"class Client:\n{methods.format(name='wanted_target')}"
    files["shop/targets.py"] = "def unlikely_target(order):\n    return 1\n"
    files["shop/wanted.py"] = "def wanted_target(order):\n    return 2\n"
    write(shop, files)
    with bench_of(bench, shop) as session:
        recall = session.recall
        assert recall is not None
        prior = np.zeros(len(recall), np.float32)
        for index in range(len(recall)):  # what the ranking likes best is not what was asked about
            tree, document = recall.where(index)
            prior[index] = "Other" in tree.passages.document(document).text
        led = gains_by_path(recall, linked(recall, "Which value does the `send` method of `Client` lead to?", prior))
    assert "shop/wanted.py" in led


def test_without_an_answer_the_places_that_speak_of_a_name_are_listed(bench: Bench, shop: Path) -> None:
    with bench_of(bench, shop) as session:
        *_, result = ask(session, "Who needs `vat_of`?", session.config)
        assert isinstance(result, AskResult)
    assert not result.found
    assert ("shop/orders.py", "total") in [(place.path, place.symbol) for place in result.places]
    scores = [place.score for place in result.places]
    assert scores == sorted(scores, reverse=True)


def test_without_time_nothing_gains(bench: Bench, shop: Path) -> None:
    with bench_of(bench, shop) as session:
        assert session.recall is not None
        assert mentions(session.recall, "Who calls `vat_of`?", seconds=-1.0) == {}


@pytest.mark.parametrize(
    ("question", "names"),
    [
        ("Who calls `Session.get`?", ["get"]),
        ("What does Cache::evict_all() do with `limit`?", ["limit", "evict_all"]),
        ("Which default has `x`?", []),
        ("Where do we retry?", []),
    ],
)
def test_names_are_the_last_parts_of_what_is_written_as_code(question: str, names: list[str]) -> None:
    assert names_to_find(question) == names


def test_what_a_spelled_definition_names_gains(bench: Bench, shop: Path) -> None:
    question = "Which default has `share` in the function that `total` calls?"
    with bench_of(bench, shop) as session:
        recall = session.recall
        assert recall is not None
        led = gains_by_path(recall, linked(recall, question, np.zeros(len(recall), np.float32)))
        assert led.keys() == {"shop/tax.py"}
        assert linked(recall, "Where are taxes computed?", np.zeros(len(recall), np.float32)) == {}


def linked_paths(bench: Bench, root: Path, question: str) -> set[str]:
    with bench_of(bench, root) as session:
        recall = session.recall
        assert recall is not None
        return set(gains_by_path(recall, linked(recall, question, np.zeros(len(recall), np.float32))))


def test_what_lies_near_is_meant_however_many_bear_the_name_elsewhere(bench: Bench, shop: Path) -> None:
    question = "What does `total()` need?"
    write(shop, {f"far{n}/tax.py": "def vat_of(order):\n    return 0\n" for n in range(MOST_NAMED + 1)})
    assert linked_paths(bench, shop, question) == {"shop/tax.py"}
    (shop / "shop" / "tax.py").unlink()
    assert linked_paths(bench, shop, question) == set()  # none of them is nearer than another


def test_only_the_lines_of_the_definition_are_followed(bench: Bench, shop: Path) -> None:
    orders = FILES["shop/orders.py"] + "\n\ndef label(order):\n    return caption(order)\n"
    write(shop, {"shop/orders.py": orders, "shop/text.py": "def caption(order):\n    return ''\n"})
    assert linked_paths(bench, shop, "What does `total()` need?") == {"shop/tax.py"}
    assert linked_paths(bench, shop, "What does `label()` need?") == {"shop/text.py"}


def test_a_definition_is_followed_however_many_bear_its_name(bench: Bench, shop: Path) -> None:
    write(shop, {f"many/f{n}.py": f"def total():\n    return {n}\n" for n in range(20)})
    with bench_of(bench, shop) as session:
        recall = session.recall
        assert recall is not None
        prior = np.zeros(len(recall), np.float32)
        for index in range(len(recall)):
            tree, document = recall.where(index)
            prior[index] = tree.passages.document(document).path == "shop/orders.py"
        led = gains_by_path(recall, linked(recall, "What does `total()` need?", prior))
    assert led.keys() == {"shop/tax.py"}


def test_the_nearest_files_come_first() -> None:
    paths = ["a/b/c.py", "a/b/d.py", "a/e.py", "f.py"]
    assert nearest("a/b/c.py", paths) == [0]
    assert nearest("a/b/g.py", paths) == [0, 1]
    assert nearest("a/h/i.py", paths) == [0, 1, 2]
    assert nearest("z.py", paths) == [0, 1, 2, 3]
    assert nearest("z.py", []) == []
    deep = "d/" * DEEPEST
    assert nearest(f"{deep}a/x.py", [f"{deep}a/y.py", f"{deep}b/y.py", "z.py"]) == [0, 1]  # beyond, all are as near


def test_names_that_surely_mean_one_definition_lead_before_others() -> None:
    found = {0: lead_of("value", 1), 1: lead_of("read_rows", 3), 2: lead_of("read_rows", 1), 3: lead_of("value", 1)}
    led = gains(found, np.array([0.0, 0.9, 0.0, 0.1]))
    assert sorted(led, key=lambda index: -led[index]) == [2, 3, 0, 1]


def test_both_are_added_to_how_memory_and_outline_rank(
    bench: Bench, shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    priors: list[dict[str, float]] = []
    answer = FakeEngine.answer

    def noting(engine: FakeEngine, question: str, bank: Any, read: Any, *, prior: Any, **rest: Any) -> Any:
        priors.append({read(index).header.split()[0]: float(value) for index, value in enumerate(prior)})
        return answer(engine, question, bank, read, prior=prior, **rest)

    monkeypatch.setattr(FakeEngine, "answer", noting)
    question = "Which `share` has what `total` calls?"
    with bench_of(bench, shop) as session:
        list(ask(session, question, session.config))
        monkeypatch.setattr("codemem.ask.linked", lambda *_: {})
        list(ask(session, question, session.config))
        monkeypatch.setattr("codemem.ask.mentions", lambda *_: {})
        list(ask(session, question, session.config))
    both, spoken, neither = priors
    assert both["shop/tax.py"] > spoken["shop/tax.py"] > neither["shop/tax.py"]
    assert both["shop/orders.py"] == spoken["shop/orders.py"] > neither["shop/orders.py"]
    assert both["shop/vat_of_all.py"] == neither["shop/vat_of_all.py"]
