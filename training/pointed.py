"""A base model asks what one statement answers: plain questions whose line is known.

    python -m codemem.training.pointed --base FOLDER --data FOLDER [--part 0 --parts 1] [--documents 4000] [--seed 7]

An explanation begins with the statement that it rests on (decision 0036), and of plain questions that go wrong most
quote one beside the matter. Explanations are learnt behind the statement that shares most words with them, which
questions in plain words often do not. So a statement is drawn first, one that decides something, and the model is asked
for the question that it answers, without names of the code, and for the answer. `--base` is a checkpoint in Hugging
Face's layout, the larger the better. Writes `explained-statement-PART.jsonl.zst`, which a run reads as further answers
of the kind `statement`.
"""

import json
import random
import re
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from codemem.model.evidence import words
from codemem.model.quotes import can_be_quoted
from codemem.model.statements import COMMENT, statements
from codemem.training.colleague import EXAMPLES
from codemem.training.data.definition import split_name
from codemem.training.definition_names import definition_name
from codemem.training.dialogues import (
    answer_fault,
    names_code,
    part_arguments,
    speaks_of_what_is_shown,
    without_opening,
    write_part,
)
from codemem.training.explain import Generating

KIND = "statement"
WRITTEN_TOKENS = 72
NAMED = 0.5
"""Share of questions that say which definition they are about; the others stand as the model asked them."""
_TASK = (
    "You are shown one piece of a project's source code and one statement of it. First write the question that this "
    "statement answers, as a colleague asks it who has never seen the code: in plain words, without names of the code. "
    "In a second line answer it in one short sentence, from what the statement says."
)
# By the place of their code among the examples of a colleague's questions: statement, question, answer.
_EXAMPLES = (
    (
        0,
        "time.sleep(self.base_delay * 2**attempt)",
        "How long is the pause before the next try?",
        "It doubles with every attempt, beginning with the base delay.",
    ),
    (
        1,
        "if e.deadline.Before(now) { delete(c.items, k)",
        "What happens to things that were kept for too long?",
        "They are deleted once their deadline has passed.",
    ),
    (
        3,
        "if self.ring.len() == self.capacity { self.dropped += 1;",
        "When is sound thrown away?",
        "When the ring already holds as much as its capacity.",
    ),
    (
        4,
        "if ($row === null || $row->created < time() - 86400) { return false;",
        "How old may a confirmation link be?",
        "At most 86400 seconds, which is a day.",
    ),
)
_QUESTION_WORDS, _ANSWER_WORDS = range(4, 19), range(3, 31)
_OWN_WORDS = 4
"""Of an answer, at most, that stand neither in the source nor in the question: beyond them it is made up."""
CONDITION = 4.0
LONGEST_STATEMENT = 8
"""Lines that a statement is read to the end of, at most (model/statements.py)."""
_KINDS = (
    (re.compile(r"(?:\} *)?(?:if|elif|elsif|else if|unless|when|case|except|catch|rescue|while)\b"), CONDITION),
    (re.compile(r"(?:raise|throw|panic|return\s+(?:Err|nil, |null|None|-1|False|false))\b|\w*panic!"), 2.0),
    (re.compile(r"[^=]*[^=!<>]=[^=].*(?:\b[2-9]\b|\d[\d.])"), 2.0),
)
"""How statements begin that decide something, and how many times as often as others they are drawn."""
_NOTHING = re.compile(
    r"(?:return|break|continue|yield)?\s*[\w.&*]*;?$"  # a bare name
    r"|(?:\} *)?else\b[^?]*$|[)}\]\"'&.|?:=-]"  # what goes on with something before it
    r"|.*[=:]\s*(?:[01](?:\.0)?|\[\]|\{\}|\(\)|[\"']{2})[,;]?$"  # something that begins at nothing
    r"|(?:(?:pub|public|private|protected|internal|static|async|export|default|final|override|virtual|abstract) +)*"
    r"(?:def|func|fun|function|fn|class|struct|enum|interface|trait|impl|module|namespace|type|package)\b"
)
"""Statements that say nothing by themselves, unless they are conditions."""
_UNENDED = re.compile(r"[,(\[{]$")
"""How lines end that are a part of a longer statement."""
_FORMS = ("In `{name}`, {lower}", "{bare} in `{name}`?", "{bare} in {words}?")


def telling(text: str) -> dict[int, float]:
    """Line -> weight, of the statements of a text that something could be asked about; each once, and not the first,
    which declares what all of it is."""
    lines, begun = [line.strip() for line in text.split("\n")], statements(text)
    found: dict[int, float] = {}
    for at, statement in enumerate(begun):
        if not at or lines.count(lines[at]) > 1 or not can_be_quoted(statement) or statement.startswith(COMMENT):
            continue
        within = any(begun[n] != lines[n] and lines[at] in begun[n] for n in range(max(0, at - LONGEST_STATEMENT), at))
        weight = next((weight for begins, weight in _KINDS if begins.match(statement)), 1.0)
        nothing = weight < CONDITION and (_UNENDED.search(statement) or _NOTHING.match(statement))
        if not (within or nothing) and len(words(statement)) >= 2:
            found[at] = weight
    return found


def prompt(document: dict[str, Any], statement: str) -> str:
    """What the model goes on from: the task, the examples, the document and its statement."""
    turns = [f"<|im_start|>system\n{_TASK}<|im_end|>\n"]
    for place, shown, question, answer in _EXAMPLES:
        turns.append(f"{_shown(*EXAMPLES[place][:2], shown)}{question}\n{answer}<|im_end|>\n")
    return "".join(turns) + _shown(document["header"], document["text"], statement)


def _shown(header: str, text: str, statement: str) -> str:
    return (
        f"<|im_start|>user\n{header.rstrip()}\n{text}\n\nThe statement: {statement}<|im_end|>\n<|im_start|>assistant\n"
    )


def question_and_answer(written: str) -> tuple[str, str]:
    """The two lines that were asked for; '' for one that is not there."""
    question, _, answer = written.strip().partition("\n")
    return question.strip(), " ".join(answer.strip().partition("\n")[0].split())


def fault(question: str, answer: str, statement: str, document: dict[str, Any]) -> str | None:
    """Why a question is not learnt, or None."""
    if not question.endswith("?") or len(question.split()) not in _QUESTION_WORDS:
        return "no question"
    if speaks_of_what_is_shown(question) or names_code(question):
        return "speaks of what is shown"
    if len(answer.split()) not in _ANSWER_WORDS or not answer.endswith("."):
        return "no plain answer"
    asked, said = words(question), words(answer)
    new = said - asked - words(f"{document['header']}\n{document['text']}")
    faults = {
        "says the question again": not said - asked,
        "makes things up": len(new) > _OWN_WORDS,
        "speaks of something else": not words(statement) & (asked | said),
    }
    return answer_fault(question, answer, document) or next((why for why, wrong in faults.items() if wrong), None)


def asked_of(question: str, document: dict[str, Any], draw: random.Random) -> str:
    """The question, half of the time with the definition that it is about."""
    name = definition_name(document["header"], document["text"])
    if not name or draw.random() >= NAMED:
        return question
    spelled = " ".join(split_name(name.rpartition(".")[2]))
    lower = question[0].lower() + question[1:]
    return draw.choice(_FORMS).format(name=name, lower=lower, bare=question[:-1], words=spelled)


def pointed(
    model: Generating, given: Sequence[tuple[dict[str, Any], dict[str, Any]]], faults: Counter[str], *, until: float
) -> Iterator[dict[str, Any]]:
    """Records with question, answer and the line that decides; what is of no use is counted by its fault. Stops at
    `until` (monotonic)."""
    draw = random.Random(len(given))  # noqa: S311
    chosen = []
    for document, record in given:
        if weights := telling(document["text"]):
            (at,) = draw.choices(list(weights), list(weights.values()))
            chosen.append((document, record, at, statements(document["text"])[at]))
    chosen.sort(key=lambda one: len(one[0]["text"]))
    draw.shuffle(batches := [chosen[i : i + model.together] for i in range(0, len(chosen), model.together)])
    for batch in batches:
        if time.monotonic() > until:
            return
        written = model.write([prompt(document, said) for document, _, _, said in batch], most=WRITTEN_TOKENS)
        for (document, record, at, statement), (text, _) in zip(batch, written, strict=True):
            question, answer = question_and_answer(text)
            wrong = fault(question, answer, statement, document)
            faults[wrong or "kept"] += 1
            if not wrong:
                line = document["text"].split("\n")[at].strip()
                asked = asked_of(question, document, draw)
                answered = {"question": asked, "answer": answer, "evidence": line}
                yield {**without_opening(record), "kind": KIND, **answered}


def main(arguments: list[str] | None = None) -> None:
    """Writes one part; counts as a JSON object to stdout."""
    options = part_arguments("codemem.training.pointed", __doc__, seed=7).parse_args(arguments)
    print(json.dumps(write_part(options, KIND, pointed)))


if __name__ == "__main__":
    main()
