"""A hop from the draft: an answer that speaks of code that was not read is written anew with it."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from app.bench import Bench
from app.conftest import write
from app.fake_engine import FakeEngine
from codemem.ask import Piece, RoundDone, ask
from codemem.draft import WATCHED, Draft, claimed, led, unread
from codemem.links import GAIN, MOST_NAMED
from codemem.model.events import Answer, AnswerEvent, LayerChoice, Read, Round, Source, TextPiece
from codemem.model.store import LoadedEntries
from codemem.recall import Recall
from codemem.results import AskResult

FONTS = {
    "fonts/dfont.py": "class DFont(TTF):\n    def load(self):\n        return embed\n",
    "fonts/ttf.py": "class TTF(Font):\n    def embed(self):\n        raise NoPostscriptName\n",
    "fonts/font.py": "class Font:\n    pass\n",
    "draw/canvas.py": "def paint(fonts):\n    return [font.embed() for font in fonts]\n",
}
QUESTION = "Which error does the `embed` signal that `DFont` takes from its parent?"
DRAFT = "`DFont` inherits from `TTF`; `TTF.embed` raises `UnknownFont`."


class Reader(FakeEngine):
    """Reads the first document of the prior, and answers as what it has read decides."""

    def __init__(self, wrote: Callable[[str], str]) -> None:
        super().__init__()
        self.wrote = wrote
        self.asked = 0
        self.by_model = False
        self.written: list[str] = []
        self.priors: list[npt.NDArray[np.float32]] = []

    def answer(
        self,
        question: str,
        bank: LoadedEntries,
        read: Callable[[int], Source],
        *,
        prior: npt.NDArray[np.float32] | None = None,
        cancelled: Callable[[], bool],
        **limits: Any,
    ) -> Iterator[AnswerEvent]:
        assert prior is not None
        self.asked += 1
        self.priors.append(prior)
        first = int(np.argmax(prior))
        yield Round([LayerChoice(0, [first], [1.0])], [first], self.by_model)
        source = read(first)
        span = Read(first, 0, len(source.text.encode()))
        yield span
        text, stopped = "", "end"
        for word in self.wrote(source.text).split(" "):
            if cancelled():
                stopped = "cancelled"
                break
            text += f"{word} "
            self.written.append(word)
            yield TextPiece(f"{word} ")
        yield Answer(text.strip(), bool(text), [span], [span], 0.1, 1.0, len(text.split()), 10.0, stopped)


def fonts_of(text: str) -> str:
    return "It raises `NoPostscriptName`." if "raise" in text else f"{DRAFT} That is all that it does."


@pytest.fixture
def fonts(tmp_path: Path) -> Path:
    root = tmp_path / "fonts"
    write(root, FONTS)
    return root


def recall_of(bench: Bench, root: Path) -> Recall:
    bench.index(root)
    session = bench.session(root, answering=True)
    assert session.recall is not None
    return session.recall


def index_of(recall: Recall, path: str) -> int:
    for index in range(len(recall)):
        tree, document = recall.where(index)
        if tree.work.manifest.paths[tree.work.manifest.row_of_document(document)] == path:
            return index
    raise AssertionError(path)


def asked(bench: Bench, root: Path, question: str = QUESTION, **config: object) -> list[object]:
    bench.index(root)
    with bench.session(root, answering=True) as session:
        return list(ask(session, question, replace(session.config, **config)))


def test_what_is_claimed_is_what_more_is_said_of() -> None:
    assert list(claimed(DRAFT)) == ["DFont", "TTF.embed"]
    called = "`send` is called by `Client.get` in `net/http.py` and by `retry` in `net/retry.py`."
    assert list(claimed(called)) == ["send"], "a path is no name"
    assert list(claimed("`main` calls `parse`, `run` and `stop`.")) == ["main"]
    takes = "`setup` takes `logger` from `logging`; its `name` defaults to `None`."
    assert list(claimed(takes)) == ["setup", "logger", "name"]
    assert list(claimed("Nothing is said of `one`.")) == []
    assert list(claimed("An unended `name")) == []


def test_an_answer_that_speaks_of_what_was_not_read_is_written_anew(bench: Bench, fonts: Path) -> None:
    bench.engine = engine = Reader(fonts_of)
    *events, result = asked(bench, fonts)
    assert isinstance(result, AskResult)
    assert result.answer == "It raises `NoPostscriptName`."
    assert [citation.path for citation in result.citations] == ["fonts/ttf.py"]
    assert [done["named"] for done in result.rounds] == [["fonts/dfont.py"], ["fonts/ttf.py"]]
    assert [done["by_model"] for done in result.rounds] == [False, True]
    assert "".join(event.text for event in events if isinstance(event, Piece)).strip() == result.answer
    assert [type(event) for event in events[:2]] == [RoundDone, RoundDone]
    assert engine.asked == 2
    assert "does." not in engine.written, "a draft that is given up is not written on"
    assert result.stats["first_token_ms"] > 1.0


def test_one_round_leaves_the_first_answer_as_it_is(bench: Bench, fonts: Path) -> None:
    bench.engine = engine = Reader(fonts_of)
    result = asked(bench, fonts, max_rounds=1)[-1]
    assert isinstance(result, AskResult)
    assert result.answer.startswith(DRAFT)
    assert (engine.asked, len(result.rounds)) == (1, 1)


def test_without_hops_neither_a_draft_nor_a_name_leads_on(bench: Bench, fonts: Path) -> None:
    bench.engine = engine = Reader(fonts_of)
    bench.index(fonts)
    with bench.session(fonts, answering=True) as session:
        result = [*ask(session, QUESTION, session.config, hops=False)][-1]
        assert isinstance(result, AskResult)
        assert result.answer.startswith(DRAFT)
        assert (engine.asked, len(result.rounds)) == (1, 1)
        for hops in (False, True):
            [*ask(session, "What is `DFont` for?", replace(session.config, max_rounds=1), hops=hops)]
        assert session.recall is not None
        behind = index_of(session.recall, "fonts/ttf.py")
    gained = engine.priors[-1] - engine.priors[-2]
    assert np.flatnonzero(gained).tolist() == [behind], "`DFont` names `TTF`"
    assert gained[behind] == pytest.approx(GAIN)


def test_a_model_that_names_documents_itself_is_left_alone(bench: Bench, fonts: Path) -> None:
    bench.engine = engine = Reader(fonts_of)
    engine.by_model = True
    result = asked(bench, fonts)[-1]
    assert isinstance(result, AskResult)
    assert result.answer.startswith(DRAFT)
    assert engine.asked == 1


@pytest.mark.parametrize(
    "answer",
    [
        "`DFont.load` returns `embed`.",  # what it speaks of was read
        "`DFont` inherits from `TTF`.",  # nothing more is said of it
        "`DFont` is drawn by `nobody_knows`, which raises `UnknownFont`.",  # defined nowhere
        "See `raise NoPostscriptName` in `TTF.embed`. It raises `NoPostscriptName`.",  # a quotation is of what was read
        "Fonts are embedded. `TTF.embed` raises `UnknownFont`.",  # beyond the first sentence
    ],
)
def test_an_answer_stands_that_leads_nowhere(bench: Bench, fonts: Path, answer: str) -> None:
    bench.engine = engine = Reader(lambda _: answer)
    *events, result = asked(bench, fonts)
    assert isinstance(result, AskResult)
    assert result.answer == answer
    assert "".join(event.text for event in events if isinstance(event, Piece)).strip() == answer
    assert engine.asked == 1


def test_of_the_second_answer_nothing_is_doubted(bench: Bench, fonts: Path) -> None:
    again = {"dfont": DRAFT, "ttf": "`TTF` inherits from `Font`; `paint` calls `TTF.embed`."}
    bench.engine = engine = Reader(lambda text: again["ttf" if "raise" in text else "dfont"])
    result = asked(bench, fonts)[-1]
    assert isinstance(result, AskResult)
    assert result.answer == again["ttf"]
    assert engine.asked == 2


def test_who_stops_an_answer_gets_no_second_one(bench: Bench, fonts: Path) -> None:
    bench.engine = engine = Reader(fonts_of)
    bench.index(fonts)
    with bench.session(fonts, answering=True) as session:
        *_, result = ask(session, QUESTION, session.config, cancelled=lambda: len(engine.written) >= 7)
    assert isinstance(result, AskResult)
    assert engine.asked == 1


def test_the_first_sentence_comes_when_it_has_ended_and_the_rest_at_once(bench: Bench, fonts: Path) -> None:
    recall = recall_of(bench, fonts)
    draft = Draft(recall, QUESTION)
    assert [draft.push(" "), draft.push("`DFont` is "), draft.push("embedded. ")] == ["", "", " `DFont` is embedded. "]
    assert draft.push("`TTF.embed` raises ") == "`TTF.embed` raises "
    quoting = Draft(recall, QUESTION)
    assert quoting.push("See `raise") == "See `raise", "a quotation is shown as it comes"
    prose = Draft(recall, QUESTION)
    assert prose.push("Fonts are ") == "Fonts are ", "so is prose"
    endless = Draft(recall, QUESTION)
    assert endless.push("`" * WATCHED) == ""
    assert endless.push("y") == "`" * WATCHED + "y"


def test_a_name_leads_to_what_it_means(bench: Bench, fonts: Path) -> None:
    write(fonts, {f"other/o{n}.py": f"def shared():\n    return {n}\n" for n in range(MOST_NAMED + 1)})
    recall = recall_of(bench, fonts)
    dfont, ttf, canvas = (index_of(recall, path) for path in ("fonts/dfont.py", "fonts/ttf.py", "draw/canvas.py"))
    assert unread(recall, "TTF.embed", {dfont}) == [ttf]
    assert unread(recall, "embed", {dfont}) == [ttf]
    assert unread(recall, "DFont.embed", {dfont}) == [ttf], "inherited: no definition has that scope"
    assert unread(recall, "TTF.embed", {ttf}) == []
    assert unread(recall, "paint", {dfont}) == [canvas]
    assert unread(recall, "shared", {dfont}) == [], "too many bear the name"
    assert unread(recall, "nobody_knows", {dfont}) == []
    assert unread(recall, "…", {dfont}) == []
    assert unread(recall, "TTF.embed", set()) == [], "nothing is known of what was read"
    assert unread(recall, "paint " + "x" * 200, {dfont}) == []


def test_a_long_function_is_read_to_its_end_and_of_a_class_the_beginning(bench: Bench, fonts: Path) -> None:
    body = "".join(f"        value_{n} = compute_{n}(value_{n - 1})\n" for n in range(120))
    write(
        fonts,
        {"fonts/long.py": f"class Long:\n    def first(self):\n        return 1\n\n    def second(self):\n{body}"},
    )
    recall = recall_of(bench, fonts)
    first = index_of(recall, "fonts/long.py")
    whole = unread(recall, "Long.second", {index_of(recall, "fonts/ttf.py")})
    assert len(whole) > 1
    assert unread(recall, "Long.second", set(whole[:1]))[:2] == whole[1:]
    assert unread(recall, "Long", {index_of(recall, "fonts/ttf.py")}) == [first]
    assert unread(recall, "Long", {first}) == []


def test_what_a_draft_leads_to_ranks_first_in_its_order() -> None:
    prior = np.array([0.2, 1.1, 0.4, 0.0], np.float32)
    assert np.argsort(-led(prior, [3, 0])).tolist() == [3, 0, 1, 2]
    assert prior[3] == 0.0, "the prior given is left as it is"
