"""A base model asks about a document and answers, both in its own words, so that training keeps plain language.

    python -m codemem.training.dialogues --base FOLDER --data FOLDER [--part 0 --parts 1] [--documents 4000] [--seed 5]

Questions made by rule have the rules' forms, and a model that learns from them alone answers what is asked otherwise in
those forms. `--base` is a checkpoint in Hugging Face's layout, the larger the better; how a question begins is drawn
for each document. Kept is a question that says what it is about, with an answer whose names and numbers all
stand in the source. Writes `explained-dialogue-PART.jsonl.zst`, which a run reads as further answers of
the kind `dialogue`. Several GPUs take a part each.
"""

import argparse
import json
import random
import re
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from codemem.training.colleague import EXAMPLES
from codemem.training.data.definition import split_name
from codemem.training.data.read import DOCUMENTS, Writer, rows
from codemem.training.explain import Generating, explain_prompt, explained
from codemem.training.prose_questions import says_something

KIND = "dialogue"
OPENINGS = (
    *("How does", "How does", "What happens when", "What happens if", "When does", "Why does", "Which", "What does"),
    *(
        "How many",
        "Under what condition",
        "Does",
        "Can I",
        "Where does",
        "What is",
        "In what order",
        "How is",
        "By what",
    ),
    *("How are", "What is the purpose of", "Why is", "Where is", "What decides", "If", "What makes", "How can"),
)
DISTRACTORS, QUESTION_TOKENS = 4, 40
SHOWN = 5
"""Of the first records so many are shown."""
TOGETHER = 256
"""Documents asked about at once; some 32 GB of a GPU with the medium model."""
_TASK = (
    "You are shown one piece of a project's source code. Write the question that a colleague who works on the project "
    "asks about it, with the beginning that you are given. The code must answer it. The question says which function "
    "or class it is about, by name or in plain words, because the colleague does not see the code."
)
# Header, text, opening, question; three of the sources are those of the questions that a colleague asks.
_EXAMPLES = (
    (
        "src/net/http_client.py HttpClient\n",
        "    def _send_with_backoff(self, request, tries=4):\n"
        "        for attempt in range(tries):\n"
        "            try:\n"
        "                return self._transport.send(request)\n"
        "            except (ConnectionError, Timeout):\n"
        "                time.sleep(self.base_delay * 2**attempt)\n"
        "        raise GaveUp(request.url)",
        "How many",
        "How many times does the HTTP client try to send a request before it gives up?",
    ),
    (
        *EXAMPLES[1][:2],
        "What happens when",
        "What happens when evictExpired finds an item whose deadline has passed?",
    ),
    (*EXAMPLES[2][:2], "How does", "How does the command line find its settings file?"),
    (*EXAMPLES[3][:2], "Does", "Does the Mixer keep a frame that is pushed while its ring is full?"),
)
_QUESTION_WORDS = range(5, 26)
_ANSWER_CHARACTERS = range(8, 420)
_SHOWN = re.compile(
    r"\b(?:this|the (?:given|above|shown|following)) (?:function|method|class|code|snippet|file|piece)\b", re.I
)
_CODE_LIKE = re.compile(r"`([^`\n]+)`|\b(\w*[a-z0-9]_\w+|[A-Za-z]+[a-z0-9][A-Z]\w*|\d[\d_.]*\d|\d)\b")
_NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def prompt(document: dict[str, Any], opening: str) -> str:
    """What the model goes on from to ask: the task, the examples, the document."""
    turns = [f"<|im_start|>system\n{_TASK}<|im_end|>\n"]
    for header, text, begins, question in _EXAMPLES:
        turns.append(f"{_shown(header, text, begins)}{question}<|im_end|>\n")
    return "".join(turns) + _shown(document["header"], document["text"], opening) + opening


def _shown(header: str, text: str, opening: str) -> str:
    asked = f"The question begins with '{opening}'."
    return f"<|im_start|>user\n{header.rstrip()}\n{text}\n\n{asked}<|im_end|>\n<|im_start|>assistant\n"


def speaks_of_what_is_shown(question: str) -> bool:
    """Whether a question is about 'this function', which who asks does not see."""
    return _SHOWN.search(question) is not None


def names_code(text: str) -> bool:
    """Whether a text has anything that is written as in code, numbers included."""
    return _CODE_LIKE.search(text) is not None


def question_fault(question: str, document: dict[str, Any]) -> str | None:
    """Why a question is not asked, or None."""
    if not question.endswith("?") or "\n" in question or len(question.split()) not in _QUESTION_WORDS:
        return "no question"
    if speaks_of_what_is_shown(question):
        return "speaks of what is shown"
    words = set(re.findall(r"[a-z0-9]+", question.lower()))
    return None if words & _names(document) else "says not what it is about"


def answer_fault(question: str, answer: str | None, document: dict[str, Any]) -> str | None:
    """Why an answer is not learnt, or None."""
    source = f"{document['header']}\n{document['text']}"
    if answer is None or len(answer) not in _ANSWER_CHARACTERS:
        return "no plain answer"
    if any(not _stands(found[0] or found[1], source, question) for found in _CODE_LIKE.findall(answer)):
        return "names what is not there"
    return None


def _stands(name: str, source: str, question: str) -> bool:
    bare = name.strip().rstrip("()").rstrip(".,")
    return bare in source or bare in question or (bare.isdecimal() and _spelled(bare, source))


def _spelled(number: str, source: str) -> bool:
    return int(number) < len(_NUMBERS) and _NUMBERS[int(number)] in source.lower()


def _names(document: dict[str, Any]) -> set[str]:
    """Words of what is defined, of its scope and of its file, long enough to tell."""
    path, _, scope = document["header"].rstrip("\n").partition(" ")
    first = next((line for line in document["text"].split("\n") if line.strip() and line.strip()[0] not in "@#/*"), "")
    names = [*re.findall(r"\w+", scope), *re.findall(r"\w+", first)[:6], path.rsplit("/", 1)[-1].partition(".")[0]]
    words = {word.lower() for name in names for word in (*split_name(name), name)}
    return {word for word in words if len(word) > 3}


def drawn(folder: Path, count: int, seed: int = 5) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """So many (document, record without question and answer), languages by the square root of their number."""
    draw = random.Random(seed)  # noqa: S311
    by_package: dict[str, list[int]] = defaultdict(list)
    documents: list[dict[str, Any]] = []
    for index, row in enumerate(rows(folder / DOCUMENTS)):
        documents.append(row)
        if says_something(row) and row["language"] != "markdown":
            by_package[row["package"]].append(index)
    languages = Counter(documents[i]["language"] for found in by_package.values() for i in found)
    weight = {language: number**-0.5 for language, number in languages.items()}
    every = [index for found in by_package.values() for index in found]
    # Exponential keys: a weighted draw without putting back (Efraimidis and Spirakis, 2006).
    keys = {index: draw.random() ** (1 / (weight[documents[index]["language"]] * 1000)) for index in every}
    found = []
    for index in sorted(every, key=lambda i: -keys[i])[:count]:
        near = [other for other in by_package[documents[index]["package"]] if other != index]
        distractors = draw.sample(near, min(DISTRACTORS, len(near)))
        record = {"gold": [index], "distractors": distractors, "kind": KIND, "language": documents[index]["language"]}
        found.append((documents[index], {**record, "opening": draw.choice(OPENINGS)}))
    return found


class Asking(Protocol):
    """What makes records of documents by a model."""

    def __call__(
        self,
        model: Generating,
        given: Sequence[tuple[dict[str, Any], dict[str, Any]]],
        faults: Counter[str],
        *,
        until: float,
    ) -> Iterator[dict[str, Any]]: ...


def dialogues(
    model: Generating, given: Sequence[tuple[dict[str, Any], dict[str, Any]]], faults: Counter[str], *, until: float
) -> Iterator[dict[str, Any]]:
    """Records with question and answer; what is of no use is counted by its fault. Stops at `until` (monotonic)."""
    order = sorted(range(len(given)), key=lambda i: len(given[i][0]["text"]))
    random.Random(0).shuffle(batches := [order[i : i + model.together] for i in range(0, len(order), model.together)])  # noqa: S311
    for batch in batches:
        if time.monotonic() > until:
            return
        asked = model.write([prompt(given[i][0], given[i][1]["opening"]) for i in batch], most=QUESTION_TOKENS)
        found = []
        for index, (text, _) in zip(batch, asked, strict=True):
            document, record = given[index]
            question = f"{record['opening']}{text}".strip()
            wrong = question_fault(question, document)
            faults[wrong or "asked"] += 1
            if not wrong:
                found.append((document, {"question": question, **without_opening(record)}))
        written = model.write([explain_prompt(record["question"], document) for document, record in found])
        for (document, record), (text, whole) in zip(found, written, strict=True):
            answer = explained(text, whole=whole)
            wrong = answer_fault(record["question"], answer, document)
            faults[wrong or "kept"] += 1
            if not wrong:
                yield {**record, "answer": answer}


def without_opening(record: dict[str, Any]) -> dict[str, Any]:
    """A record that was drawn, as it is learnt."""
    return {name: value for name, value in record.items() if name != "opening"}


def part_arguments(module: str, about: str | None, *, seed: int) -> argparse.ArgumentParser:
    """What a program takes that writes a part of a course's words: which model, which documents, for how long."""
    parser = argparse.ArgumentParser(
        prog=f"python -m {module}", description=about, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--base", type=Path, required=True, help="a checkpoint folder in Hugging Face's layout")
    add("--data", type=Path, required=True)
    add("--part", type=int, default=0)
    add("--parts", type=int, default=1)
    add("--documents", type=int, default=4000, help="of all parts together")
    add("--seconds", type=float, default=3600.0, help="begin no more after so long")
    add(
        "--seed", type=int, default=seed, help="which documents are drawn: another one for words that no course has had"
    )
    return parser


def write_part(options: argparse.Namespace, kind: str, ask: Asking) -> Counter[str]:
    """Writes `explained-KIND-PART.jsonl.zst`, shows some of it on stderr, and counts what was of no use."""
    given = drawn(options.data, options.documents, options.seed)[options.part :: options.parts]
    model = Generating(options.base, prompt_tokens=1536, together=TOGETHER)
    faults: Counter[str] = Counter()
    until = time.monotonic() + options.seconds
    with Writer(options.data / f"explained-{kind}-{options.part}.jsonl.zst") as writer:
        for row in ask(model, given, faults, until=until):
            writer.write(row)
            if faults["kept"] <= SHOWN:
                print(
                    *(row[name] for name in ("question", "evidence", "answer") if name in row),
                    sep=" | ",
                    file=sys.stderr,
                )
    return faults


def main(arguments: list[str] | None = None) -> None:
    """Writes one part; counts as a JSON object to stdout."""
    options = part_arguments("codemem.training.dialogues", __doc__, seed=5).parse_args(arguments)
    print(json.dumps(write_part(options, KIND, dialogues)))


if __name__ == "__main__":
    main()
