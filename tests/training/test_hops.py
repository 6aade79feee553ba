"""Hops: what was read first routes to what comes next."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from codemem.model.config import MemoryConfig
from codemem.model.engine import Engine
from codemem.model.following import routing_queries
from codemem.model.prompts import Prompts
from codemem.model.tokenizer import Tokenizer
from codemem.training.__main__ import main
from codemem.training.corpus import Corpus
from codemem.training.evaluate import load_trained
from codemem.training.feed import Feed, StepData
from codemem.training.hops import Hops
from codemem.training.recipe import Phase, Recipe

from .conftest import WORDS, write_rows

MEMORY = MemoryConfig((1, 2), find_layers=1)
RECIPE = {
    "rank": 4,
    "phases": [{"routed": 1, "answers": 0, "hops": 8}],
    "questions": 8,
    "group": 8,
    "max_document_tokens": 96,
    "adapter_rate": 1e-2,
    "router_rate": 1e-2,
}


@pytest.fixture
def chains(data: Path) -> Path:
    """Eight documents that each call another one by its name; nothing in the question says which."""
    names = [f"{word}{word}" for word in WORDS]
    calls = [(i + 3) % 8 for i in range(8)]
    texts = [f"def {n}():\n    return {names[c]}()\n" for n, c in zip(names, calls, strict=True)]
    texts += [f"def {n}_alone():\n    return 1\n" for n in names]
    kinds = {"kind": "calls", "language": "python"}
    write_rows(
        data / "documents.jsonl.zst",
        [
            {"header": f"f{i}.py\n", "text": t, "language": "python", "package": f"p{i % 2}"}
            for i, t in enumerate(texts)
        ],
    )
    write_rows(
        data / "qa.jsonl.zst",
        [
            {"question": "What does it lead to?", "gold": [i, c], "distractors": [8 + i, c], "answer": "So.", **kinds}
            for i, c in enumerate(calls)
        ],
    )
    return data


def steps(base: Path, data: Path, seed: int) -> tuple[Corpus, list[StepData]]:
    tokenizer = Tokenizer.from_folder(base)
    corpus = Corpus.load(data, tokenizer)
    recipe = Recipe.from_json(MEMORY, {**RECIPE, "questions": 4})
    with Feed(corpus, Prompts(tokenizer), recipe, recipe.phases[0], seed=seed) as drawn:
        return corpus, [next(drawn) for _ in range(3)]


def test_a_step_wants_the_next_document_of_a_chain_and_nothing_else_of_it(base: Path, chains: Path) -> None:
    corpus, drawn = steps(base, chains, 1)
    for step in drawn:
        hops = step.hops
        assert hops is not None
        assert len(hops.ids) == 8
        for row, ids in enumerate(hops.ids):
            (wanted,) = (step.indices[column] for column in np.flatnonzero(hops.positive[row]))
            (read,) = (step.indices[column] for column in np.flatnonzero(hops.ignore[row]))
            assert corpus.answers[read]["gold"] == [read, wanted]
            text = corpus.tokenizer.decode(ids[hops.silent[row] :].tolist())
            assert corpus.texts[read] in text
            assert "What does it lead to?" not in text, "what was read routes, the question does not"
            assert "What does it lead to?" in corpus.tokenizer.decode(ids[: hops.silent[row]].tolist())
        assert set(range(8, 16)) & set(step.indices), "a document that looks alike competes"


def test_the_same_seed_draws_the_same_hops(base: Path, chains: Path) -> None:
    def drawn(seed: int) -> list[Any]:
        return [[ids.tolist() for ids in step.hops.ids] for step in steps(base, chains, seed)[1] if step.hops]

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)


def test_without_chains_there_is_nothing_to_learn(base: Path, data: Path) -> None:
    tokenizer = Tokenizer.from_folder(base)
    with pytest.raises(ValueError, match="no answer record is a chain"):
        Hops(Corpus.load(data, tokenizer), Prompts(tokenizer), seed=0)
    assert Phase().hops == 0


def test_what_was_read_learns_to_lead_on(tmp_path: Path, base: Path, chains: Path) -> None:
    where = ["--base", str(base), "--data", str(chains), "--out", str(tmp_path / "run"), "--device", "cpu"]
    main([*where, "--recipe", json.dumps({**RECIPE, "steps": 60}), "--layers", "1,2", "--find-layers", "1"])
    log = [json.loads(line)["losses"] for line in (tmp_path / "run/log.jsonl").read_text().splitlines()]
    assert log[-1]["hop"] < 0.5 * log[0]["hop"]


def test_training_and_the_product_route_from_a_source_alike(tmp_path: Path, base: Path, chains: Path) -> None:
    where = ["--base", str(base), "--data", str(chains), "--out", str(tmp_path / "run"), "--device", "cpu"]
    main([*where, "--recipe", json.dumps({**RECIPE, "steps": 3}), "--layers", "1,2", "--find-layers", "1"])
    adapter = tmp_path / "run/codemem-adapter.safetensors"
    network, tokenizer = load_trained(base, adapter, device=torch.device("cpu"))
    corpus = Corpus.load(chains, tokenizer)
    hops = Hops(corpus, network.prompts, seed=0)
    (hop,) = hops.next(1)
    batch = hops.batch([hop], range(16), tokens=512)
    with torch.no_grad():
        queries, routes = network.encode_questions(batch.ids, silent=batch.silent)
    engine = Engine.open("tiny", base, adapter, device="cpu")
    learnt = queries[1][0][routes[0]]
    ids = engine._prompts.following(hop.question, corpus.headers[hop.read], corpus.texts[hop.read])
    with torch.inference_mode():
        asked = routing_queries(
            engine._decoder,
            engine._routers,
            engine._memory,
            silent=[*ids.template, *ids.question],
            routing=[*ids.source, engine._prompts.turn_end],
            layers=[1],
            device=torch.device("cpu"),
        )[1]
    assert asked.shape == learnt.shape
    cosine = torch.nn.functional.cosine_similarity
    assert cosine(asked.float(), learnt, dim=-1).mean() > 0.98, "the product computes in 8 bits"
    assert cosine(asked[1:].float(), learnt[:-1], dim=-1).mean() < 0.9, "a token further, it is another"
