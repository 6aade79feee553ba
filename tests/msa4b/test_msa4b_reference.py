"""Our path against the dense float64 reference, on random checkpoints of other shapes than the golden ones."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from msa4b_reference import Reference, Turn
from msa4b_tiny import Shape

from codemem.model.msa4b import Conversation, Msa4bMemory, Msa4bModel, load_msa4b
from codemem.model.msa4b.tokens import Prompt, Transcript

SHAPES = {
    "one-group": Shape(layers=3, routed="1,2", heads=4, groups=1, chunk=4, top_k=2, method="INFONCE"),
    "all-routed-few-documents": Shape(
        routed="all", hidden=30, heads=6, groups=3, head_dim=6, tied=False, chunk=5, top_k=9, shards=3
    ),
    "gap-between-routed": Shape(layers=5, routed="0,3", heads=3, groups=3, head_dim=10, chunk=16, top_k=1),
    "qwen2": Shape(layers=4, routed="2,3", qwen2=True, method="INFONCE", theta=1e6, chunk=7, top_k=3),
}
TEXTS = [
    ("a.py\n", "def open_store(path): return Store(path)\n"),
    ("b.py\n", "class Store:\n    pass\n" * 3),
    ("", "x"),
    ("src/naïve.py\n", "café = 'the store'\n" * 2),
    ("d.py\n", ""),
    ("e.py\n", "def where(is_the): question\n"),
]
MEMORY, SCORES, HIDDEN, LOGITS = 2e-5, 1e-5, 1e-4, 2e-4
"""float32 against float64, absolute, numbers of order one."""


@pytest.fixture(params=SHAPES, scope="module")
def shape(request: pytest.FixtureRequest) -> Shape:
    return SHAPES[request.param]


@pytest.fixture(scope="module")
def folder(shape: Shape, checkpoint: Callable[..., Path]) -> Path:
    return checkpoint(shape, 7)


@pytest.fixture(scope="module")
def model(folder: Path) -> Msa4bModel:
    return load_msa4b(folder, dtype=torch.float32)


@pytest.fixture(scope="module")
def reference(folder: Path, shape: Shape) -> Reference:
    return Reference(folder, cosine=shape.method == "INFONCE")


@pytest.fixture(scope="module")
def memory(model: Msa4bModel) -> Msa4bMemory:
    memory = Msa4bMemory.of(model)
    memory.add(model, TEXTS)
    return memory


def close(found: torch.Tensor, expected: np.ndarray, tolerance: float) -> None:
    assert found.shape == expected.shape
    assert float((found.double() - torch.from_numpy(expected)).abs().max()) < tolerance


def reference_documents(reference: Reference, memory: Msa4bMemory) -> list[dict]:
    return [reference.encode(document.ids.tolist())[0] for document in memory.documents]


def test_every_layers_memory(model: Msa4bModel, memory: Msa4bMemory, reference: Reference) -> None:
    documents = reference_documents(reference, memory)
    for layer in model.config.memory.routed_layers:
        entries = memory.layer(layer)
        close(entries.k, np.concatenate([d[layer].k for d in documents]), MEMORY)
        close(entries.v, np.concatenate([d[layer].v for d in documents]), MEMORY)
        router = np.concatenate([d[layer].router for d in documents])
        if reference.cosine:
            router = router / np.linalg.norm(router, axis=-1, keepdims=True)
        close(entries.route.view_as(entries.k), router, MEMORY)


def test_prompt_routing_and_steps(model: Msa4bModel, memory: Msa4bMemory, reference: Reference) -> None:
    prompt = model.protocol.question("where is the store opened?")
    steps = [11, 200, 7]
    run = reference.read(
        [
            Turn(model.protocol.template, [False] * 3),
            Turn(prompt.ids, prompt.routing),
            *(Turn([step], [False]) for step in steps),
        ],
        reference_documents(reference, memory),
    )
    conversation = Conversation(model, memory, capacity=4)
    hidden = conversation.feed(prompt)
    close(hidden, run.final[3 : 3 + len(prompt.ids)], HIDDEN)
    assert set(conversation.routes) == set(model.config.memory.routed_layers)
    for layer, route in conversation.routes.items():
        ranked = np.sort(run.scores[1][layer])[::-1]
        assert (ranked[:-1] - ranked[1:]).min() > 20 * SCORES, "the random documents are too near to compare an order"
        assert route.documents.tolist() == run.chosen[1][layer]
        close(route.scores, run.scores[1][layer][run.chosen[1][layer]], SCORES)
        close(memory.document_scores(layer, conversation.context.queries[layer]), run.scores[1][layer], SCORES)
    for i, step in enumerate(steps):
        hidden = conversation.feed_silent([step])
        close(conversation.logits(hidden), run.logits[3 + len(prompt.ids) + i], LOGITS)


@pytest.mark.parametrize("causal", [True, False])
def test_appended_question(model: Msa4bModel, memory: Msa4bMemory, reference: Reference, causal: bool) -> None:
    """Causal as the product feeds it, and in both directions as the public engine does; they differ."""
    prompt = model.protocol.question("what is café?")
    request = model.protocol.answer_request("what is café?")
    turns = [
        Turn(model.protocol.template, [False] * 3),
        Turn(prompt.ids, prompt.routing),
        Turn(request, [False] * len(request), causal=causal),
    ]
    documents = reference_documents(reference, memory)
    expected = reference.read(turns, documents).final[-len(request) :]
    turns[-1].causal = not causal
    other = reference.read(turns, documents).final[-len(request) :]
    conversation = Conversation(model, memory)
    conversation.feed(prompt)
    close(conversation.feed_silent(request, causal=causal), expected, HIDDEN)
    assert np.abs(expected - other).max() > 100 * HIDDEN


def test_second_round(model: Msa4bModel, memory: Msa4bMemory, reference: Reference) -> None:
    """Fed again as a whole, and extended by its new text: each as the reference computes it."""
    protocol, question = model.protocol, "where is Store?"
    first, again = protocol.question(question), protocol.question_again(question)
    generated = [*protocol.tokenizer.encode_text("[1]"), protocol.marker]
    appended = protocol.sources([protocol.source(1, "".join(TEXTS[1]))])
    documents = reference_documents(reference, memory)
    template = Turn(protocol.template, [False] * 3)

    whole = Transcript(again, [(generated, appended)]).prompt()
    run = reference.read([template, Turn(whole.ids, whole.routing)], documents)
    replayed = Conversation(model, memory)
    close(replayed.feed(whole), run.final[3:], HIDDEN)

    turns = [
        template,
        Turn(first.ids, first.routing),
        Turn(generated, [False] * len(generated)),
        Turn(appended.ids, appended.routing),
    ]
    # The instruction and question, without the last newline, take part in every later choice.
    kept = [3 + i for i, routes in enumerate(again.routing) if routes]
    extended = Conversation(model, memory)
    extended.feed(first)
    extended.keep_queries(first, again.routing)
    extended.feed(Prompt.silent(generated))
    hidden = extended.feed(appended)
    # In the first turn only its own tokens route: the kept ones are among them.
    run = reference.read(turns, documents, kept)
    close(hidden, run.final[-len(appended.ids) :], HIDDEN)
    for layer, route in extended.routes.items():
        assert route.documents.tolist() == run.chosen[3][layer]
