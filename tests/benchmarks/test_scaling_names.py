"""Names that a question spells, joined with the memory as the product joins them."""

import numpy as np
import pytest

from codemem.benchmarks.scaling.names import Named, mixed
from codemem.outline.mix import OUTLINE_WEIGHT, mix_files


def test_documents_that_define_what_a_question_spells_are_lifted() -> None:
    documents = [
        ("a.py\n", "def read_rows(limit):\n    return limit\n"),
        ("a.py\n", "x = read_rows(3)\n"),
        ("b.py Reader.other\n", "        return 1\n"),
        ("c.go\n", "func (r *Reader) ReadRows(limit int) {}\n"),
        ("d.rb\n", "class Writer\n  def close\n"),
    ]
    asked = ["What does `Reader.other` do?", "what calls read_rows?", "which number is odd?", "`Absent`?"]
    named = Named.of(documents, asked)
    every = np.ones(5, np.bool_)
    of_class, of_function, of_none, of_absent = (named.scores(i, every) for i in range(4))
    assert np.flatnonzero(of_class).tolist() == [2]
    assert np.flatnonzero(of_function).tolist() == [0, 3]
    assert not of_none.any()
    assert not of_absent.any()
    chosen = np.array([True, True, True, False, True])
    alone = named.scores(1, chosen)
    assert np.flatnonzero(alone).tolist() == [0]
    assert alone[0] > of_function[0]  # the rarer a name, the more it earns
    several = Named.of(documents * 900, asked, processes=2)  # batches are put together in order
    assert np.flatnonzero(several.scores(1, np.ones(4500, np.bool_))).tolist()[:4] == [0, 3, 5, 8]


def test_memory_and_names_are_mixed_by_the_rule_of_the_product() -> None:
    rng = np.random.default_rng(0)
    memory, named, chosen = rng.normal(size=50), np.zeros(50), np.arange(50) < 40
    unique = Named.of([("a.py\n", "def lonely():\n")], ["`lonely`"]).scores(0, np.ones(1, np.bool_))[0]
    for lifted in ({}, {3: 2.0, 17: 1.0, 45: 9.0}, {3: 0.4 * unique, 17: 0.1 * unique}):
        named[:] = 0.0
        for document, score in lifted.items():
            named[document] = score
        found = mixed(memory, named * chosen, chosen)
        rule = mix_files(
            {str(i): memory[i] for i in range(40)},
            {str(i): named[i] for i in lifted if i < 40},
            weight=OUTLINE_WEIGHT * min(1.0, named[:40].max() / unique),
        )
        assert [found[int(i)] for i in rule] == pytest.approx(list(rule.values()), abs=1e-3)
        assert len(set(found[:40].tolist())) == 40  # below the median, where the rule has equals, too
        low = [i for i in np.argsort(memory[:40])[:15].tolist() if i not in lifted]
        assert sorted(low, key=lambda i: found[i]) == low
