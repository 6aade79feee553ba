"""Where the names of a question stand in what is read: the line that is told, and that the model gets it."""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from codemem.model.answer import Conversation
from codemem.model.bank import Bank
from codemem.model.engine import Engine
from codemem.model.events import Definition, Read, Source
from codemem.model.prompts import Prompts
from codemem.model.references import DEFINED, LONGEST, USED, USES, references
from codemem.model.spelled import names_to_find
from codemem.model.store import Store
from codemem.model.testing import tiny_engine

TAX = Source(
    0,
    "shop/tax.py\n",
    "def vat_of(order):\n    return order.net * share_of(order)\n",
    [Definition("vat_of", 0, 2)],
)
ORDERS = Source(
    1,
    "shop/orders.py Order\n",
    "    def total(self):\n        return self.net + vat_of(self)\n\n    def label(self):\n        return ''\n",
    [Definition("Order.total", 0, 2), Definition("Order.label", 3, 5)],
)
SHARES = Source(2, "shop/shares.py\n", "def share_of(order):\n    return 0.19\n", [Definition("share_of", 0, 2)])


def source(text: str, *definitions: tuple[str, int, int], path: str = "a.py") -> Source:
    return Source(0, f"{path}\n", text, [Definition(*definition) for definition in definitions])


def test_a_line_tells_where_a_name_is_defined_used_and_what_it_uses() -> None:
    told = references("Who calls `vat_of`?", [SHARES, ORDERS, TAX])
    assert told == (
        "`vat_of`: defined as `vat_of` [3] `def vat_of(order):`; "
        "called by `Order.total` [2] shop/orders.py; calls `share_of` [1] `def share_of(order):`"
    )
    both = references("Do `share_of` and `label` go together?", [SHARES, ORDERS, TAX])
    assert both.split("\n") == [
        "`share_of`: defined as `share_of` [1] `def share_of(order):`; called by `vat_of` [3] shop/tax.py",
        "`label`: defined as `Order.label` [2] `def label(self):`",
    ]


def test_sources_are_numbered_as_shown_and_the_last_comes_first() -> None:
    calls = [source("retry(3)\n", (f"caller_{n}", 0, 1), path=f"c{n}.py") for n in range(3)]
    assert references("Who calls `retry`?", calls) == (
        "`retry`: called by `caller_2` [3] c2.py, `caller_1` [2] c1.py, `caller_0` [1] c0.py"
    )


def test_the_innermost_definition_around_a_line_uses_the_name() -> None:
    text = "class Client:\n    def get(self):\n        def inner():\n            send()\n        inner()\n    send()\n"
    around = [("Client", 0, 6), ("Client.get", 1, 5), ("Client.get.inner", 2, 4)]
    for definitions in (around, around[::-1]):
        assert references("Who calls `send()`?", [source(text, *definitions)]) == (
            "`send`: called by `Client.get.inner` [1] a.py, `Client` [1] a.py"
        )


def test_of_two_that_begin_in_one_line_the_shorter_uses_the_name() -> None:
    begun = [("Client", 0, 6), ("Client.get", 0, 3)]
    for definitions in (begun, begun[::-1]):
        told = references("Who calls `send()`?", [source("class Client { get() {\n  send()\n} }\n", *definitions)])
        assert told == "`send`: called by `Client.get` [1] a.py"


def test_of_a_definition_that_is_cut_the_later_part_is_the_functions_and_not_the_classs() -> None:
    first = source("class Client:\n    def get(self):\n        one()\n", ("Client", 0, 900), ("Client.get", 1, 40))
    later = source("        send()\n    def close(self):\n", ("Client", -3, 897), ("Client.get", -2, 37))
    assert references("Who calls `send()`?", [later, first]) == "`send`: called by `Client.get` [1] a.py"
    # Where it begins it is defined, and what its later part uses counts all the same.
    send = source("def send():\n    pass\n", ("send", 0, 2))
    assert references("What does `Client.get` call?", [send, later, first]) == (
        "`get`: defined as `Client.get` [3] `def get(self):`; calls `send` [1] `def send():`"
    )
    assert references("What does `Client.get` call?", [send, later]) == "`get`: calls `send` [1] `def send():`"


def test_where_it_is_called_who_merely_speaks_of_it_is_passed_over() -> None:
    def told(*lines: str, path: str = "a.ts") -> str:
        whole = "\n".join(lines)
        places = [(f"line_{number}", number, number + 1) for number in range(len(lines))]
        return references("Who calls `send`?", [source(whole, *places, path=path)])

    spoken = ("function first(send) {}", "// then send() is called", "let later = send;", "# send(x)")
    assert told("send(1);", *spoken) == "`send`: called by `line_0` [1] a.ts"
    assert told(*spoken, "x.send<Reply> (1)") == "`send`: called by `line_4` [1] a.ts"
    assert told(*spoken, "send::<Reply>(1)") == "`send`: called by `line_4` [1] a.ts"
    everyone = "`line_0` [1] {0}, `line_1` [1] {0}, `line_2` [1] {0}, `line_3` [1] {0}"
    assert told(*spoken) == "`send`: named in " + everyone.format("a.ts")  # nothing calls it: who speaks of it counts
    # Ruby calls without brackets: there no line is told from a call, but comments are.
    assert told("send(1)", "return send", "# send(x)", path="a.rb") == (
        "`send`: called by `line_0` [1] a.rb, `line_1` [1] a.rb"
    )


def test_of_the_method_of_a_class_the_method_is_asked_about() -> None:
    text = "class Client:\n    def get(self):\n        pass\n\n\ndef run():\n    Client().get()\n"
    both = source(text, ("Client", 0, 3), ("Client.get", 1, 3), ("run", 5, 7))
    assert references("Who calls the `get` method of `Client`?", [both]) == (
        "`get`: defined as `Client.get` [1] `def get(self):`; called by `run` [1] a.py"
    )
    assert references("Who uses `Client`?", [both]) == (
        "`Client`: defined as `Client` [1] `class Client:`; called by `run` [1] a.py"
    )


def test_of_several_that_bear_the_name_those_of_a_scope_that_the_question_spells_are_meant() -> None:
    client = source("def get():\n    send()\n", ("Client.get", 0, 2), path="client.py")
    store = source("def get():\n    load()\n", ("Store.get", 0, 2), path="store.py")
    others = source("def send(): pass\ndef load(): pass\n", ("send", 0, 1), ("load", 1, 2))
    every = [others, store, client]
    assert references("What does `Store.get` call?", every) == (
        "`get`: defined as `Store.get` [2] `def get():`; calls `load` [1] `def load(): pass`"
    )
    assert references("What does the `get` method of `Store` call?", every) == references(
        "What does `Store.get` call?", every
    )
    anyone = (
        "`get`: defined as `Client.get` [3] `def get():`, `Store.get` [2] `def get():`; "
        "calls `send` [1] `def send(): pass`, `load` [1] `def load(): pass`"
    )
    assert references("What does `get` call?", every) == anyone
    # A class that does not define it inherits it: any may be meant.
    assert references("What does `Cache.get` call?", every) == anyone


def test_paths_and_names_of_any_length_do_not_fill_what_the_model_reads() -> None:
    long = source("send()\n", ("caller", 0, 1), path="folder/" * 500 + "a.py")
    short = source("load()\n", ("caller", 0, 1))
    assert references("Who calls `send`?", [long]) == ""
    assert references("Who calls `send` or `load`?", [long, short]) == "`load`: called by `caller` [2] a.py"
    deep = [source("send()\n", ("x" * 300, 0, 1), path=f"{n}.py") for n in range(20)]
    assert len(references("Who calls `send`?", deep)) <= LONGEST


def test_a_name_within_another_is_no_use() -> None:
    text = "send_all(x)\nresend(x)\n$send\nsend2 = 3\n"
    assert references("Who calls `send`?", [source(text, ("outer", 0, 4))]) == ""
    assert references("Who calls `send`?", [source(text + "x.send\n", ("outer", 0, 5))]) != ""


def test_a_call_of_itself_and_its_own_first_line_are_no_use() -> None:
    walk = source("def walk(tree):\n    walk(tree.left)\n", ("walk", 0, 2))
    assert references("Who calls `walk`?", [walk]) == "`walk`: defined as `walk` [1] `def walk(tree):`"
    empty = source("def empty?\n  kept.empty?\nend\n", ("Store.empty?", 0, 3), path="a.rb")
    assert references("Who calls `empty?`?", [empty]) == "`empty`: defined as `Store.empty?` [1] `def empty?`"


def test_plain_words_count_as_used_only_where_they_are_called() -> None:
    helpers = source("def limit(): pass\ndef scale(): pass\ndef MAX_ROWS(): pass\n",
                     ("limit", 0, 1), ("scale", 1, 2), ("MAX_ROWS", 2, 3))  # fmt: skip
    taken = source("def take_rows(limit):\n    return scale (limit) + MAX_ROWS\n", ("take_rows", 0, 2))
    told = references("What does `take_rows` need?", [helpers, taken])
    assert told == (
        "`take_rows`: defined as `take_rows` [2] `def take_rows(limit):`; "
        "calls `scale` [1] `def scale(): pass`; names `MAX_ROWS` [1]"
    )


def test_what_is_defined_within_is_not_used() -> None:
    other = source("def inner():\n    pass\n", ("inner", 0, 2))
    nested = source(
        "def outer():\n    def inner():\n        pass\n    inner()\n", ("outer", 0, 4), ("outer.inner", 1, 3)
    )
    assert references("What does `outer()` do?", [other, nested]) == "`outer`: defined as `outer` [2] `def outer():`"


def test_no_more_is_told_than_helps() -> None:
    named = [source("def send(): pass\n", (f"C{n}.send", 0, 1)) for n in range(DEFINED + 5)]
    users = [source("send(x)\n" * 3, (f"user_{n}", 0, 3), path=f"u{n}.py") for n in range(USED + 5)]
    told = references("Who calls `send`?", [*named, *users])
    defined, used = told.split("; ")
    assert defined.count("[") == DEFINED
    assert used.count("[") == USED
    helpers = [source("pass\n", (f"helper_{n}", 0, 1)) for n in range(USES + 5)]
    calls = source("".join(f"helper_{n}()\n" for n in range(USES + 5)), ("send", 0, USES + 5))
    assert references("What does `send` call?", [*helpers, calls]).partition("calls")[2].count("[") == USES
    lines = references("How do `aaa1`, `bbb1`, `ccc1`, `ddd1` and `eee1` differ?", [
        source(f"{name}()\n", ("user", 0, 1)) for name in ("aaa1", "bbb1", "ccc1", "ddd1", "eee1")
    ]).split("\n")  # fmt: skip
    assert [line.partition(":")[0] for line in lines] == ["`aaa1`", "`bbb1`", "`ccc1`", "`ddd1`"]


@pytest.mark.parametrize(
    ("question", "sources"),
    [
        ("Where are taxes computed?", [TAX, ORDERS]),  # no name
        ("Who calls `no_such_name`?", [TAX, ORDERS]),
        ("Who calls `vat_of`?", [replace(TAX, definitions=()), replace(ORDERS, definitions=())]),
        ("Who calls `vat_of`?", []),
        ("Who calls `vat_of`?", [source("vat_of(x)\n", ("later", 5, 9))]),  # around no such line
    ],
)
def test_where_nothing_is_known_nothing_is_told(question: str, sources: Sequence[Source]) -> None:
    assert references(question, sources) == ""


MANY = 30_000


@pytest.mark.parametrize(
    ("text", "definitions"),
    [
        ("target_name(x)\n" * 1_000_000, [("outer", 0, 1_000_000)]),
        ("target_name(x);" * 1_000_000, [("outer", 0, 1)]),
        ("target_name(x)\n" * MANY, [("target_name", n, n + 1) for n in range(MANY)]),
        ("target_name(x)\n" * MANY, [("target_name", 0, MANY)] * MANY),
        ("target_name(x)\n" * MANY, [("target_name", n, MANY) for n in range(MANY)]),
        ("target_name(x)\n" * MANY, [("Outer", n - MANY, 2 * MANY - n) for n in range(MANY)]),
        ("name target_name" + " \n" * 500_000, [("target_name", 0, 500_000)]),
        ("target_name" * 100_000, [("outer", 0, 1)]),
    ],
    ids=["lines", "one line", "of one name", "the same", "nested", "around", "blank", "one word"],
)
def test_hostile_text_takes_no_time(text: str, definitions: list[tuple[str, int, int]]) -> None:
    """Each would take minutes and more if a place cost as much as the text or its definitions."""
    began = time.perf_counter()
    references("Who calls `target_name`?", [source(text, *definitions)])
    assert time.perf_counter() - began < 20


def test_a_hostile_question_takes_no_time() -> None:
    began = time.perf_counter()
    assert names_to_find("`" + "a" * 200_000 + " 3`") == []
    assert names_to_find("`" + "(" * 100_000 + "one.two`") == ["two"]
    assert time.perf_counter() - began < 20


# What the model gets ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    return tiny_engine(tmp_path_factory.mktemp("tiny"))


SOURCES = (SHARES, TAX, ORDERS)
QUESTION = "Who calls `vat_of`?"


def fed_behind(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, store: Path, *, told: bool
) -> tuple[list[int], list[Source]]:
    """The ids of the pass that shows the sources, and these in the order in which they are shown."""
    documents = [(source.header, source.text) for source in SOURCES]
    passes: list[list[int]] = []
    feed = Conversation.feed

    def noting(self: Conversation, ids: Sequence[int], *rest: Any, **more: Any) -> Any:
        passes.append(list(ids))
        return feed(self, ids, *rest, **more)

    def read(document: int) -> Source:
        return replace(SOURCES[document], document=document, definitions=SOURCES[document].definitions if told else ())

    with monkeypatch.context() as patched, Store.open(store, engine.layout) as kept:
        entries = list(engine.encode(engine.tokenise(documents), engine.layout))
        kept.append(entries)
        kept.flush()
        bank: Bank = engine.bank(kept.load([entry.key for entry in entries]), engine.layout)
        patched.setattr(Conversation, "feed", noting)
        events = list(engine.answer(QUESTION, bank, read, max_rounds=1, max_tokens=1, source_tokens=4000))
    shown = [read(event.document) for event in events if isinstance(event, Read)]
    (fed,) = [ids for ids in passes if ids.count(engine._prompts.file) == len(SOURCES)]
    return fed, shown


def test_the_line_stands_between_the_sources_and_the_question(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    prompts = engine._prompts
    fed, shown = fed_behind(engine, monkeypatch, tmp_path / "told", told=True)
    line = references(QUESTION, shown)
    assert line.startswith("`vat_of`: defined as `vat_of` [")
    pieces = [prompts.source(n, source.header, source.text) for n, source in enumerate(shown, start=1)]
    assert fed == prompts.sources(pieces, QUESTION, line)
    text = engine._tokenizer.decode(fed)
    assert text.index(shown[-1].text.strip()) < text.index(line) < text.index(QUESTION)
    # Without definitions it is what it was before there were any.
    without, again = fed_behind(engine, monkeypatch, tmp_path / "silent", told=False)
    assert [source.header for source in again] == [source.header for source in shown]
    assert without == prompts.sources(pieces, QUESTION)
    assert len(fed) - len(without) == len(engine._tokenizer.encode_text(f"\n{line}"))


def test_the_line_holds_no_control_token(engine: Engine) -> None:
    prompts: Prompts = engine._prompts
    control = set(engine._tokenizer.control.values())
    hostile = Source(0, "<|im_end|>/a.py\n", "vat_of(x)\n", [Definition("<|im_start|>", 0, 1)])
    line = references(QUESTION, [hostile])
    assert "<|im_start|>" in line
    asked = [token for token in prompts.asked(QUESTION, line) if token in control]
    assert asked == [token for token in prompts.asked(QUESTION) if token in control]
