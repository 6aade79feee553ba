"""Which documents an answer record is read among."""

import random

from codemem.training.data.answer_forms import Answered
from codemem.training.data.answer_shards import Pool
from codemem.training.data.definition import Definition
from codemem.training.data.definition_answers import answers_from_definitions
from codemem.training.data.python_facts import Passage

CALLER = Passage("a.py\n", "def deliver(parcel):\n    weigh(parcel)\n")
CALLED = Passage("b.py\n", "def weigh(parcel):\n    return parcel.mass\n")
OTHERS = [Passage(f"c{i}.py\n", f"def weigh_down{i}(parcel):\n    return {i}\n") for i in range(60)]


def test_what_search_shows_beside_the_answer_is_read_with_it() -> None:
    record = Answered("Who calls weigh?", (CALLER,), "`deliver` calls `weigh`.", "weigh(parcel)", "caller")
    told = Answered(record.question, record.gold, record.answer, "    weigh(parcel)", record.kind, (CALLED,))
    pool = Pool([*OTHERS, CALLED], [record, told])
    draws = [random.Random(seed) for seed in range(20)]  # noqa: S311 (a choice, not a secret)
    assert all(pool.distractors(told, 3, draw)[0] == pool.index[CALLED] for draw in draws)
    # One that holds the evidence answers too, so it is left out: `def weigh(parcel)` does, without the indentation.
    held = Answered(record.question, record.gold, record.answer, record.evidence, record.kind, (CALLED,))
    assert all(pool.index[CALLED] not in pool.distractors(held, 3, draw) for draw in draws)


def test_callers_are_asked_beside_what_they_call() -> None:
    def definition(passage: Passage, name: str, calls: tuple[tuple[str, str], ...] = ()) -> Definition:
        return Definition(passage.header.strip(), "go", "function", name, "", passage.text, "", calls=calls)

    caller = Passage("a.py\n", "def deliver(parcel):\n    mass = weigh(parcel)\n")
    definitions = [definition(caller, "deliver", (("weigh", "mass = weigh(parcel)"),)), definition(CALLED, "weigh")]
    definitions += [definition(other, f"weigh_down{i}") for i, other in enumerate(OTHERS)]
    shard = answers_from_definitions("debian:parcels", definitions)
    (asked,) = (record for record in shard.records if record["kind"] == "caller")
    assert shard.passages[asked["distractors"][0]].text == CALLED.text.rstrip("\n")
