"""Vectors of other shapes and courses than the given ones, made by the dense reference, replayed by `eval golden`."""

from pathlib import Path

import pytest
from msa4b_tiny import Shape
from msa4b_vectors import ANCHOR, BEGIN, MARKER, WAIT, Writer

from codemem.evals.golden import run_golden, tolerance

TEXTS = [
    "def open_store(path): return Store(path)\n",
    "import os\n" * 4,
    "",
    "class Store:\n    pass\n",
    "naïve [0][1] café\n",
]
SHAPES = {
    "sharded-untied-cosine": Shape(
        layers=5, routed="1,4", heads=6, groups=2, head_dim=10, tied=False, chunk=6, top_k=2, method="INFONCE", shards=3
    ),
    "all-layers-dot": Shape(layers=2, routed="all", heads=3, groups=3, head_dim=8, chunk=9, top_k=4, method="BCE"),
    "few-documents": Shape(chunk=64, top_k=9, method="INFONCE_FOCAL"),
}


def check(folder: Path) -> None:
    result = run_golden(folder)
    wrong = {
        f"{name}: {tensor}": deviation
        for name, case in result["cases"].items()
        for tensor, deviation in case["worst"].items()
        if deviation > tolerance(tensor)
    }
    assert wrong == {}
    assert result["ok"]


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_batch_of_three(tmp_path: Path, shape: Shape) -> None:
    writer = Writer(tmp_path, shape, TEXTS)
    questions = ["where?", "who opens the store, and where is the path read?", "Store"]
    samples = [writer.question(question, [9 + i, 200, 31]) for i, question in enumerate(questions)]
    writer.write("batch", [writer.call(0, samples, 3)])
    check(tmp_path)


def test_three_rounds_one_of_which_names_nothing_known(tmp_path: Path) -> None:
    """After such a round the documents of the round before still route."""
    writer = Writer(tmp_path, Shape(method="INFONCE"), TEXTS)
    transcript = f"{BEGIN}where?{ANCHOR}\n<|im_end|>\n<|im_start|>"
    calls = []

    def said(text: str) -> list[int]:
        return writer.ids(text)

    first = said(f"[3][0]{MARKER}")
    calls.append(writer.call(0, [writer.question("where?", first)], len(first)))
    transcript += f"[3][0]{MARKER}[0]. {TEXTS[0]}\n[3]. {TEXTS[3]}\n{MARKER}"
    second = said(f"[77]{MARKER}")
    calls.append(writer.call(1, [writer.again(transcript, second, "[0]. ")], len(second)))
    transcript += f"[77]{MARKER}{MARKER}"
    third = said(f"[4]{MARKER}")
    calls.append(writer.call(2, [writer.again(transcript, third, "[0]. ")], len(third)))
    transcript += f"[4]{MARKER}[4]. {TEXTS[4]}\n{MARKER}"
    end = said("<End-of-Retrieve>")
    request = f"<|im_start|>The user's question is: where?\n{MARKER}"
    last = writer.again(transcript, end, "[4]. ", request=request, after=3)
    calls.append(writer.call(3, [last], len(end) + 1 + 3))
    writer.write("rounds", calls)
    check(tmp_path)


def test_a_sample_waits_for_the_others_of_its_batch(tmp_path: Path) -> None:
    writer = Writer(tmp_path, Shape(layers=4, routed="0,3", top_k=2), TEXTS)
    early, late = writer.ids(f"[1]{MARKER}"), writer.ids(f"well, [0][2]{MARKER}")
    samples = [
        writer.question("where is it?", early + [WAIT] * (len(late) - len(early))),
        writer.question("who?", late),
    ]
    writer.write("waiting", [writer.call(0, samples, len(late))])
    check(tmp_path)
