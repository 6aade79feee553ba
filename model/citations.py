"""What an answer cites: the places of what was read that carry it."""

import re
from collections.abc import Sequence

from codemem.model.events import Read, Source
from codemem.model.evidence import deciding_span, files_first, supporting, surroundings
from codemem.model.quotes import line_of, quoted_first, said_place, split_quotation

CITATIONS = 3
EXPLAINING = 0.25
"""The share of the best source's support that a citation of an explanation has: what decides a fact stands in one place
or two, what explains how something works in several."""
_CODE = re.compile(r"`([^`\n]+)`")


def citations(sources: Sequence[Source], cited: Sequence[int], text: str, question: str) -> list[Read]:
    """Spans of the sources that share most with the answer and the question, those that the model cited preferred.

    Of an explanation the line that it quotes comes first, which would outweigh whatever else is said; of any other
    answer the sources of the definitions that it names. Sources stand as they were read: the best is the last, and
    `cited` counts from 1 on.
    """
    (quoted, said), place = split_quotation(text), said_place(text)
    ranked = sources[::-1]
    texts = [f"{source.header} {source.text}" for source in ranked]
    numbers = [len(sources) - number for number in cited]
    if quoted:
        carrying = supporting(texts, f"{said} {question}", cited=numbers, share=EXPLAINING)
        carrying = quoted_first([(source.text, source.definitions) for source in ranked], carrying, quoted, place)
        carrying = files_first([source.path for source in ranked], carrying)
    else:
        statement = f"{text} {question}"
        around = [_around(source, text, statement) for source, text in zip(ranked, texts, strict=True)]
        carrying = supporting(texts, statement, cited=numbers, around=around)
        every = supporting(texts, statement, cited=numbers, around=around, share=0.0)
        carrying = named_first(ranked, every, text) + carrying
    spans = []
    for index in list(dict.fromkeys(carrying))[:CITATIONS]:
        source = ranked[index]
        holding = line_of(source.text, quoted, source.definitions, place)
        start, end = deciding_span(source.text, f"{text} {question}", holding=holding, definitions=source.definitions)
        spans.append(Read(source.document, start, end))
    return spans


def _around(source: Source, text: str, statement: str) -> list[set[str]]:
    """For each line of a source below its header."""
    within = surroundings(source.text, source.definitions, statement)
    above: list[set[str]] = [set() for _ in range(len(text.splitlines()) - len(within))]
    return above + within


def named_first(sources: Sequence[Source], order: Sequence[int], text: str) -> list[int]:
    """Of indices in an order those of the sources that hold a definition which a text names as code, or a part of it:
    in its own lines stands what is said of it."""
    names = set(_CODE.findall(text))
    own = {name.rpartition(".")[2].rstrip("()?!=") for name in names}
    return [
        at for at in order if any(found.name in names or found.own_name in own for found in sources[at].definitions)
    ]
