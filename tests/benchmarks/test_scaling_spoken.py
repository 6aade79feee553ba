"""What `ask` reads besides, over a pool of texts: the same documents gain as in a tree."""

import numpy as np
import pytest

from codemem.benchmarks.scaling.names import Named
from codemem.benchmarks.scaling.spoken import Spoken
from codemem.links import GAIN, MOST_NAMED, SOUGHT_GAIN, STEP
from codemem.mentions import MOST, WORTH
from codemem.spelled_places import SPELLED_GAIN

SHOP = [
    (
        "shop/shop/orders.py\n",
        "from shop.tax import vat_of\n\n\ndef total(order):\n    return order.net + vat_of(order)\n",
    ),
    ("shop/shop/tax.py\n", "RATE = 0.19\n\n\ndef vat_of(order, share=RATE):\n    return order.net * share\n"),
    ("shop/shop/vat_of_all.py\n", "def vat_of_all(orders):\n    return [order.vat for order in orders]\n"),
    ("shop/tests/test_tax.py\n", "def test_rate():\n    assert vat_of(ORDER) == 19\n"),
]


def gained(documents: list[tuple[str, str]], question: str, chosen: list[bool] | None = None) -> dict[int, float]:
    spoken = Spoken.of(documents, [question], Named.of(documents, [question]))
    mask = np.array(chosen or [True] * len(documents))
    gains = spoken.read(0, np.zeros(len(mask)), mask)
    return {int(document): float(gains[document]) for document in np.flatnonzero(gains)}


def test_documents_that_hold_a_name_gain_and_a_test_less() -> None:
    found = gained(SHOP, "Who calls `vat_of`?")
    assert found.keys() == {0, 1, 3}
    assert found[0] == pytest.approx(WORTH / 2**0.5)
    assert found[3] < found[0]
    asked_for = gained(SHOP, "Which test calls `vat_of`?")
    assert asked_for[3] == asked_for[0]
    assert gained(SHOP, "Where are taxes computed?") == {}
    alone = gained(SHOP, "Who calls `vat_of`?", [True, False, True])  # a memory may end before the pool does
    assert alone == {0: pytest.approx(WORTH)}


def test_a_name_that_many_documents_of_a_memory_hold_leads_to_what_defines_it_alone() -> None:
    many = [(f"other/f{n}.py\n", "x = vat_of(3)\n") for n in range(MOST)]
    assert gained([*SHOP, *many], "Who calls `vat_of`?") == {1: pytest.approx(SPELLED_GAIN)}
    others = [(f"other/g{n}.py\n", "def vat_of(x):\n    return x\n") for n in range(3)]
    found = gained([*SHOP, *many, *others], "Who calls `vat_of`?")
    assert list(found.values()) == pytest.approx([SPELLED_GAIN / 2] * 4)
    assert gained([*SHOP, *many], "Who calls `vat_of`?", [True] * 4 + [False] * MOST).keys() == {0, 1, 3}


def test_what_a_definition_names_is_looked_for_near_by_first() -> None:
    question = "Which default has `share` in the function that `total()` calls?"
    sought = WORTH + GAIN + SOUGHT_GAIN  # it alone holds `share`, in what `total` calls
    assert gained(SHOP, question)[1] == pytest.approx(sought)
    others = [(f"other{n}/tax.py\n", "def vat_of(order):\n    return 0\n") for n in range(MOST_NAMED + 1)]
    assert gained([*SHOP, *others], question)[1] == pytest.approx(sought)
    elsewhere = gained([SHOP[0], *others], question)
    assert elsewhere.keys() == {0}  # none of them is nearer than another
    few = gained([SHOP[0], *others[:2]], question)
    assert few.keys() == {0, 1, 2}
    assert sorted(few[n] for n in (1, 2)) == pytest.approx([GAIN - STEP, GAIN])


def test_only_the_lines_of_the_definition_are_followed() -> None:
    neighbours = SHOP[0][1] + "\n\ndef label(order):\n    return caption(order)\n"
    documents = [(SHOP[0][0], neighbours), SHOP[1], ("shop/shop/text.py\n", "def caption(order):\n    return ''\n")]
    assert gained(documents, "What does `total()` need?").keys() == {0, 1}
    assert gained(documents, "What does `label()` need?").keys() == {0, 2}


def test_several_processes_find_the_same() -> None:
    documents = [*SHOP, *((f"other/g{n}.py\n", f"def g{n}(x):\n    return x\n") for n in range(2500))]
    questions = ["Who calls `vat_of`?", "What does `g2400` return?"]
    named = Named.of(documents, questions)
    one, two = (Spoken.of(documents, questions, named, processes=n) for n in (1, 2))
    assert one.mentioned.keys() == two.mentioned.keys() == {"vat_of", "g2400"}
    assert two.mentioned["g2400"].tolist() == [2404]
    assert all((one.defined[name] == two.defined[name]).all() for name in one.defined)


SALES = [
    ("shop/order.py Order\n", "class Order:\n    def total(self):\n        return add_vat(self.net)\n"),
    ("shop/order.py Order.total\n", "        if self.net < 0:\n            raise NegativeSum(self)\n"),
    ("shop/offer.py Offer\n", "class Offer:\n    def total(self):\n        return add_rebate(self.net)\n"),
    ("shop/vat.py\n", "def add_vat(net):\n    return net * 1.19\n"),
    ("shop/rebate.py\n", "def add_rebate(net):\n    raise NoRebate(net)\n"),
]


@pytest.mark.parametrize("question", ["What does `Order.total` need?", "What does the `total` method of `Order` need?"])
def test_of_all_that_bear_a_name_the_one_is_meant_whose_class_is_spelled(question: str) -> None:
    found = gained(SALES, question)
    assert 3 in found
    assert 4 not in found  # what the other `total` names
    assert found[1] == pytest.approx(SPELLED_GAIN)  # the later part of the one that is meant
    assert found[0] > found.get(2, 0.0)
    assert {3, 4} <= gained(SALES, "What does `total` need?").keys()


def test_what_is_sought_leads_first_unless_it_stands_in_what_is_asked_about() -> None:
    question = "Which error may come out of `Offer.total`?"
    assert gained(SALES, question)[4] == pytest.approx(GAIN + SOUGHT_GAIN)
    own = "class Offer:\n    def total(self):\n        add_rebate(self)\n        raise NoOffer(self)\n"
    assert gained([*SALES[:2], (SALES[2][0], own), *SALES[3:]], question)[4] == pytest.approx(GAIN)
