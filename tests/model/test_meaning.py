"""Of a definition that a question names the explanation stands in that definition (decision 0051)."""

import pytest

from codemem.model.meaning import FEW, can_be_meant

FOUND = {
    "first = read(stream)": {"Session.send"},
    "second = read(first)": {"Session.send"},
    "return second or None": {"Session.send.inner"},
    "if self.closed { return false }": {"Other.send"},
    "self.closed = true": {"Other.send"},
    "notify(listeners)": {"Other.send"},
    "text = emit(node.children)": {"Compiler.emit_regexp"},
    "options = node.options": {"Compiler.emit_regexp"},
    "code << text + options": {"Compiler.emit_regexp"},
    "raise Closed.new(channel)": {"Channel.raise_if_closed!"},
    "return @internals.retry": {"Options.retry"},
    "unrelated.statement()": set(),
}


@pytest.mark.parametrize(
    ("question", "places"),
    [
        ("What happens in `Session.send` when nothing is read?", {"Session.send", "Session.send.inner"}),
        ("What happens in Session::send() when nothing is read?", {"Session.send", "Session.send.inner", "Other.send"}),
        ("What does `Session::send` give back?", {"Session.send", "Session.send.inner"}),
        ("What does `send` give back?", {"Session.send", "Session.send.inner", "Other.send"}),
        ("What does `Compiler` emit?", {"Compiler.emit_regexp"}),
        ("What are the options in emit regexp?", {"Compiler.emit_regexp"}),
        ("Was gibt `Other#send` zurück?", {"Other.send"}),
        ("How does `Options.retry` back off?", {"Options.retry"}),
    ],
)
def test_what_is_named_is_explained_by_its_own_statements(question: str, places: set[str]) -> None:
    kept = can_be_meant(question, FOUND)
    assert {place for names in kept.values() for place in names} == places
    assert "unrelated.statement()" not in kept


@pytest.mark.parametrize(
    "question",
    [
        "What happens when the stream is empty?",  # names nothing
        "How is `send` used?",
        "Who calls `Session.send`?",
        "Where is `Session.send` retried?",
        "Wo wird `send` verwendet?",
        "How does `retry` back off?",  # one statement of it was read
        "What raises `raise_if_closed!` if the channel is gone?",
        "What does emitting regexp cost?",
        "Why emit regexp code at all?",  # two words by chance
    ],
)
def test_other_questions_leave_every_statement(question: str) -> None:
    assert can_be_meant(question, FOUND) == FOUND


def test_a_statement_that_stands_elsewhere_too_is_said_to_stand_where_it_is_asked_about() -> None:
    found = {f"step_{n}()": {"send", "receive"} for n in range(FEW)}
    assert set(map(frozenset, can_be_meant("What does `send` do?", found).values())) == {frozenset({"send"})}


def test_so_few_statements_are_no_explanation() -> None:
    few = {f"step_{n}()": {"send"} for n in range(FEW)} | {"other()": {"receive"}}
    assert "other()" not in can_be_meant("What does `send` do?", few)
    del few["step_0()"]
    assert "other()" in can_be_meant("What does `send` do?", few)


def test_what_declares_the_function_that_is_named_says_nothing_of_it() -> None:
    found = {"def send(self, data):": {"send"}} | {f"step_{n}()": {"send"} for n in range(FEW)}
    assert "def send(self, data):" not in can_be_meant("Can the stream be closed in `send`?", found)
    assert "def send(self, data):" in can_be_meant("Can the stream be closed?", found)
