"""Which definitions a question means, and what of the code that they lead to it asks for."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from app.bench import Bench
from app.conftest import commit, write
from codemem.links import GAIN, LINKED, SOUGHT_GAIN, each_name_first, first_found, lead_of, linked
from codemem.meant import HEIRS, meant
from codemem.outline.query import understand
from codemem.recall import Recall
from codemem.sought import BESIDE, Sought
from codemem.spelled_places import MOST_FILES, SPELLED_GAIN, SURE_GAIN, WRITTEN_GAIN, spelled_out

FILES = {
    "shop/base.py": "class Record:\n    def total(self, currency='EUR'):\n        return self.sum\n",
    "shop/sales.py": "from .base import Record\n\n\nclass Sale(\n    Record,\n    metaclass=Meta,\n):\n    rate = 1\n",
    "shop/orders.py": "from shop.sales import Sale\n\n\n@registered\nclass Order(Sale):\n    '''What is ordered.'''\n",
    "shop/stock.py": "class Stock:\n    def total(self):\n        return 0\n\n    def __init__(self):\n        pass\n",
}


def fill(root: Path, files: dict[str, str]) -> Path:
    write(root, files)
    commit(root)
    return root


def means(bench: Bench, root: Path, question: str) -> tuple[set[str], set[str], set[str]]:
    """Definitions, what lies between, and heirs, each as `path name`."""
    bench.index(root)
    with bench.session(root, answering=True) as session:
        assert session.recall is not None
        found = meant(session.recall.trees[0], understand(question, ()))
    named = [
        {f"{path} {symbol.name}" for path, symbol in part} for part in (found.definitions, found.between, found.heirs)
    ]
    return named[0], named[1], named[2]


def documents(recall: Recall, found: dict[int, float]) -> dict[str, float]:
    """First line of each document's text, after its path -> what it gains."""
    named = {}
    for index, gain in found.items():
        tree, number = recall.where(index)
        document = tree.passages.document(number)
        named[f"{document.path} {document.text.splitlines()[0].strip()}"] = gain
    return named


@pytest.mark.parametrize("question", ["Follow `Stock.total`.", "What does the `total` method of `Stock` return?"])
def test_of_all_that_bear_a_name_the_one_is_meant_whose_class_is_spelled(
    bench: Bench, repository: Path, question: str
) -> None:
    assert means(bench, fill(repository, FILES), question) == ({"shop/stock.py total"}, set(), set())
    assert means(bench, repository, "What does `total` return?")[0] == {"shop/base.py total", "shop/stock.py total"}


@pytest.mark.parametrize("question", ["Which `total` does `Order` inherit?", "What does `Order.total` return?"])
def test_what_is_inherited_is_looked_for_in_what_is_extended_however_far_up(
    bench: Bench, repository: Path, question: str
) -> None:
    definitions, between, heirs = means(bench, fill(repository, FILES), question)
    assert definitions - {"shop/orders.py Order"} == {"shop/base.py total"}
    assert between == {"shop/sales.py Sale", "shop/base.py Record"}
    assert heirs == {"shop/orders.py Order"}


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("web/Cart.ts", "export class Cart<T>\n    extends Basket {\n  size = 1;\n}\n"),
        ("web/Cart.java", "public class Cart extends Basket {\n  int size = 1;\n}\n"),
        ("web/cart.rb", "class Cart < Basket\n  SIZE = 1\nend\n"),
    ],
)
def test_other_languages_say_what_they_extend_in_their_own_ways(
    bench: Bench, repository: Path, path: str, text: str
) -> None:
    basket = {
        "ts": ("web/Basket.ts", "export class Basket {\n  weigh(all: boolean): number {\n    return 2;\n  }\n}\n"),
        "java": ("web/Basket.java", "public class Basket {\n  int weigh() {\n    return 2;\n  }\n}\n"),
        "rb": ("web/basket.rb", "class Basket\n  def weigh\n    2\n  end\nend\n"),
    }[path.rpartition(".")[2]]
    stray = {"other/Scale.py": "class Scale:\n    def weigh(self):\n        return 3\n"}
    fill(repository, {path: text, basket[0]: basket[1], **stray})
    definitions, _, heirs = means(bench, repository, "Which `weigh` does `Cart` take from its parent?")
    assert heirs == {f"{path} Cart"}
    assert f"{basket[0]} weigh" in definitions
    assert "other/Scale.py weigh" not in definitions


def test_a_name_is_meant_as_it_is_written_where_something_bears_it_so(bench: Bench, repository: Path) -> None:
    files = {
        "a.py": "class Transaction:\n    pass\n\n\ndef transaction():\n    return 1\n",
        "b.rb": "class Link\n  def ping!(host)\n    raise Lost\n  end\nend\n",
        "c.py": "class Link:\n    def ping(self):\n        return 2\n",
    }
    fill(repository, files)
    assert means(bench, repository, "What does `transaction` return?")[0] == {"a.py transaction"}
    assert means(bench, repository, "What is `Transaction`?")[0] == {"a.py Transaction"}
    assert means(bench, repository, "What is TRANSACTION()?")[0] == {"a.py Transaction", "a.py transaction"}
    assert means(bench, repository, "What may the `ping!` method of `Link` raise?")[0] == {"b.rb ping!", "c.py ping"}


def test_where_it_is_not_clear_what_is_extended_nothing_is_inherited(bench: Bench, repository: Path) -> None:
    twice = {f"{part}/base.py": "class Record:\n    def total(self):\n        return 1\n" for part in ("a", "b")}
    heir = {"shop/orders.py": "class Order(Record):\n    kind = 1\n"}
    definitions, between, heirs = means(bench, fill(repository, twice | heir), "Which `total` does `Order` inherit?")
    assert (len(definitions), between, heirs) == (3, set(), set())


def test_what_extends_itself_or_is_too_many_ends(bench: Bench, repository: Path) -> None:
    circle = {
        "a.py": "class One(Two):\n    x = 1\n",
        "b.py": "class Two(One):\n    y = 1\n",
        "c.py": FILES["shop/stock.py"],
    }
    assert means(bench, fill(repository, circle), "Which `total` does `One` inherit?")[2] == set()
    many = {
        f"m{n}/order.py": f"from m{n} import Record\n\n\nclass Order(Record):\n    n = {n}\n" for n in range(HEIRS + 1)
    }
    fill(repository, many | {"m0/base.py": "class Record:\n    def total(self):\n        return 1\n"})
    assert means(bench, repository, "Which `total` does `Order` inherit?")[2] == set()


def spelled(bench: Bench, root: Path, question: str) -> dict[str, float]:
    bench.index(root)
    with bench.session(root, answering=True) as session:
        assert session.recall is not None
        return documents(session.recall, spelled_out(session.recall, question))


def test_the_way_to_what_is_inherited_gains_more_than_what_is_spelled(bench: Bench, repository: Path) -> None:
    gained = spelled(bench, fill(repository, FILES), "Which `total` does `Order` inherit?")
    assert {place.partition(" ")[0]: gain for place, gain in gained.items()} == {
        "shop/orders.py": SPELLED_GAIN,
        "shop/sales.py": SURE_GAIN,
        "shop/base.py": SURE_GAIN,
    }


def test_all_of_a_function_gains_and_of_a_class_what_it_begins_with(bench: Bench, repository: Path) -> None:
    long = "".join(f"    value = value + step_{n}(value, {n})\n" for n in range(120))
    methods = "".join(f"    def part_{n}(self):\n        return self.size * {n}\n\n" for n in range(60))
    files = {
        "shop/long.py": f"def work_through(value):\n{long}    return value\n",
        "shop/wide.py": f"class Wide:\n{methods}",
    }
    fill(repository, files)
    of_function = spelled(bench, repository, "What does `work_through` return?")
    assert len(of_function) > 2
    assert set(of_function.values()) == {SPELLED_GAIN}
    assert spelled(bench, repository, "What is `Wide`?") == {"shop/wide.py class Wide:": SPELLED_GAIN}


def test_in_a_file_that_is_spelled_the_place_gains_where_a_name_stands(bench: Bench, repository: Path) -> None:
    listed = "".join(f"from shop.part_{n} import Part{n}\n" for n in range(200))
    fill(repository, {"shop/__init__.py": f"{listed}from shop.stock import Stock\n", **FILES})
    gained = spelled(bench, repository, "Take `Stock` as `shop/__init__.py` offers it: what is it?")
    (place,) = [place for place, gain in gained.items() if gain == WRITTEN_GAIN]
    assert gained["shop/stock.py class Stock:"] == SPELLED_GAIN  # not its `__init__`, as the path would have it
    assert place.startswith("shop/__init__.py")
    assert not place.endswith("import Part0")  # the document that holds the name, not the file's first
    ending = spelled(bench, repository, "Take `Stock` as `__init__.py` offers it: what is it?")
    assert ending[place] == WRITTEN_GAIN
    fill(repository, {f"p{n}/__init__.py": "from shop.stock import Stock\n" for n in range(MOST_FILES)})
    assert place not in spelled(bench, repository, "Take `Stock` as `__init__.py` offers it: what is it?")
    assert place in spelled(bench, repository, "Take `Stock` as `shop/__init__.py` offers it: what is it?")


CALLED = {
    "take_share": "def take_share(order, share=0.19):\n    return order\n",
    "check_order": "def check_order(order):\n    if not order:\n        raise EmptyOrder(order)\n",
    "MOST_ORDERS": "MOST_ORDERS = 12\n",
}


def led(bench: Bench, root: Path, question: str, *, caller: Sequence[str] = ()) -> dict[str, float]:
    """What documents gain of all that a function calls, of which the rest says nothing."""
    plain = [f"plain_step_{n}" for n in range(2 * LINKED)]
    body = (
        "".join(f"    {name}(order)\n" for name in [*plain, *caller])
        + "    take_share(order)\n    check_order(order)\n"
    )
    files = {f"shop/{name}.py": f"def {name}(order):\n    return order\n" for name in plain}
    files |= {f"shop/x_{name}.py": text for name, text in CALLED.items()}
    files["shop/caller.py"] = f"def handle_order(order):\n{body}    return MOST_ORDERS\n"
    bench.index(fill(root, files))
    with bench.session(root, answering=True) as session:
        recall = session.recall
        assert recall is not None
        found = documents(recall, linked(recall, question, np.zeros(len(recall), np.float32)))
    return {place.partition(" ")[0]: gain for place, gain in found.items()}


@pytest.mark.parametrize(
    ("question", "path"),
    [
        ("Which value has `share` in what `handle_order` calls?", "shop/x_take_share.py"),
        ("Which error may come out of what `handle_order` calls?", "shop/x_check_order.py"),
        ("Welcher Fehler kann aus `handle_order` kommen?", "shop/x_check_order.py"),
        ("To what is the constant set that `handle_order` uses?", "shop/x_MOST_ORDERS.py"),
        ("`handle_order` 使用的常量是什么？", "shop/x_MOST_ORDERS.py"),
    ],
)
def test_of_all_that_a_definition_names_that_leads_first_in_which_stands_what_is_sought(
    bench: Bench, repository: Path, question: str, path: str
) -> None:
    found = led(bench, repository, question)
    assert found[path] == GAIN + SOUGHT_GAIN == max(found.values())
    assert sum(gain > GAIN for gain in found.values()) == 1


def test_a_parameter_is_sought_though_something_elsewhere_bears_its_name(bench: Bench, repository: Path) -> None:
    write(repository, {f"far/f{n}.py": f"def share():\n    return {n}\n" for n in range(3)})
    found = led(bench, repository, "Which value has `share` in what `handle_order` calls?")
    assert found["shop/x_take_share.py"] == GAIN + SOUGHT_GAIN


@pytest.mark.parametrize(
    ("question", "path"),
    [
        ("To what is the constant set that `handle_order` uses?", "shop/x_MOST_ORDERS.py"),
        ("Which value has `share` in what `handle_order` calls?", "shop/x_take_share.py"),
    ],
)
def test_what_other_languages_and_declarations_call_by_a_name_hides_no_body(
    bench: Bench, repository: Path, question: str, path: str
) -> None:
    keys = {f"lang/{n}.json": '{"MOST_ORDERS": "most", "take_share": 1}\n' for n in range(8)}
    write(repository, {**keys, "shop/x_take_share.pyi": "def take_share(order, share: float = ...): ...\n"})
    found = led(bench, repository, question)
    assert found[path] == GAIN + SOUGHT_GAIN
    assert "shop/x_take_share.pyi" not in found


def test_of_several_names_the_best_of_each_is_followed() -> None:
    unsure = [(True, "a", 1), (True, "a", 2), (True, "b", 3), (True, "a", 4), (True, "b", 5)]
    assert each_name_first(unsure) == [1, 3, 2, 5, 4]
    assert each_name_first([(False, "c", 6), (False, "c", 7), *unsure])[:3] == [6, 7, 1]  # what is surely meant
    assert each_name_first([]) == []
    lost = {7: lead_of("plain", 1)}
    found = {8: lead_of("plain", 1, sought=True)}
    assert first_found([lost, found]) is found
    assert first_found([found, lost]) is found
    assert first_found([{}, lost]) is lost


def test_a_question_that_seeks_nothing_leads_as_before(bench: Bench, repository: Path) -> None:
    assert max(led(bench, repository, "What does `handle_order` do?").values()) == GAIN


def test_what_stands_in_a_definition_itself_is_not_sought_beyond_it(bench: Bench, repository: Path) -> None:
    files = {"shop/own.py": "def own_error(order):\n    check_order(order)\n    raise Refused(order)\n"}
    files["shop/check.py"] = CALLED["check_order"]
    bench.index(fill(repository, files))
    with bench.session(repository, answering=True) as session:
        recall = session.recall
        assert recall is not None
        found = linked(recall, "Which error does `own_error` raise?", np.zeros(len(recall), np.float32))
    assert list(found.values()) == [GAIN]


def test_of_a_long_report_few_names_are_sought() -> None:
    report = "Why does `first` fail? " + " ".join(f"`other_{n}`" for n in range(3000))
    sought = Sought.of(report, {"first"})
    assert sought.text is not None
    assert sum(sought.text.search(f"other_{n}") is not None for n in range(3000)) == BESIDE
    assert sought.text.search("first") is None
    assert Sought.of("Why does `first` fail in `shop/first.py`?", {"first"}).nearer  # a path is no name
