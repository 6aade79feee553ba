"""Several processes compare their questions with the documents of all, and learn as one with the whole batch would."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from codemem.model.config import DecoderConfig, MemoryConfig
from codemem.model.load import load_decoder
from codemem.model.losses import chunk_scores_to_documents
from codemem.model.tokenizer import Tokenizer
from codemem.model.weights import load_checkpoint
from codemem.training.batching import RoutingBatches, no_negatives
from codemem.training.corpus import Corpus
from codemem.training.feed import Feed, StepData
from codemem.training.processes import Processes
from codemem.training.recipe import Recipe
from codemem.training.trainer import Trainer

SETTINGS = {"rank": 4, "questions": 6, "group": 8, "phases": [{"answers": 0}]}


def make_trainer(base: Path, processes: Processes) -> Trainer:
    checkpoint = load_checkpoint(base)
    config = DecoderConfig.from_huggingface(checkpoint.config)
    decoder = load_decoder(config, checkpoint.tensors, device=torch.device("cpu"), dtype=torch.float32)
    recipe = Recipe.from_json(MemoryConfig((1, 2), find_layers=1), SETTINGS)
    tokenizer = Tokenizer.from_folder(base)
    trainer = Trainer(decoder, tokenizer, recipe, device=torch.device("cpu"), base_sha256="0" * 64, processes=processes)
    for adapter in trainer.network.adapters.values():  # or A has no gradient yet
        torch.nn.init.normal_(adapter.b, std=0.02)
    return trainer


def step_of(trainer: Trainer, corpus: Corpus, rank: int, count: int) -> StepData:
    feed = Feed(corpus, trainer.prompts, trainer.recipe, trainer.recipe.phases[0], seed=3, rank=rank, count=count)
    with feed as steps:
        return next(steps)


def gradients(trainer: Trainer) -> dict[str, torch.Tensor]:
    return {name: p.grad for name, p in trainer._parameters().items() if p.grad is not None}


SCRIPT = textwrap.dedent(
    """
    import sys
    from pathlib import Path
    import torch
    from codemem.model.tokenizer import Tokenizer
    from codemem.training.corpus import Corpus
    from codemem.training.processes import Processes, device_of_process
    from training.test_gathering import gradients, make_trainer, step_of

    torch.set_num_threads(1)
    base, data, out = map(Path, sys.argv[1:])
    processes = Processes.join(device_of_process("cpu"))
    trainer = make_trainer(base, processes)
    corpus = Corpus.load(data, Tokenizer.from_folder(base))
    step = step_of(trainer, corpus, processes.rank, processes.count)
    losses = trainer.losses(corpus, step, trainer.recipe.phases[0])
    losses["total"].backward()
    processes.average(gradients(trainer).values())
    torch.save((losses["total"].item(), gradients(trainer)), out / f"{processes.rank}.pt")
    processes.leave()
    if sys.platform == "linux":
        names = [task.joinpath("comm").read_text() for task in Path("/proc/self/task").iterdir()]
        assert not [name for name in names if "gloo" in name], names
    """
)


def test_two_processes_learn_as_one_with_both_batches(tmp_path: Path, base: Path, data: Path) -> None:
    script = tmp_path / "both.py"
    script.write_text(SCRIPT)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*launcher, str(script), str(base), str(data), str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
    )
    assert done.returncode == 0, done.stderr
    (first, found), (second, other) = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1))
    assert all(torch.equal(found[name], other[name]) for name in found)

    alone = make_trainer(base, Processes())
    corpus = Corpus.load(data, Tokenizer.from_folder(base))
    steps = [step_of(alone, corpus, rank, 2) for rank in (0, 1)]
    encoded = [alone.network.encode_documents(step.documents) for step in steps]
    widest = max(e.chunks.shape[1] for e in encoded)
    indices = [index for step in steps for index in step.indices]
    losses = []
    for rank, step in enumerate(steps):
        queries, routes = alone.network.encode_questions(step.questions)
        scores = {}
        for layer in (1, 2):
            keys = torch.cat([F.pad(e.layers[layer].route, (0, 0, 0, widest - e.chunks.shape[1])) for e in encoded])
            exists = torch.cat([F.pad(e.chunks, (0, widest - e.chunks.shape[1])) for e in encoded])
            scores[layer] = chunk_scores_to_documents(queries[layer], routes, keys, exists)
        ignore = no_negatives(corpus, step.queries, indices)
        positive = np.zeros_like(ignore)
        start = 0 if rank == 0 else len(steps[0].indices)
        positive[:, start : start + len(step.indices)] = step.positive
        parts = alone.routing_losses(scores, torch.from_numpy(positive), torch.from_numpy(ignore & ~positive))
        losses.append(0.5 * parts["layers"] + 0.25 * parts["find"] + 0.25 * parts["all"])
    assert [loss.item() for loss in losses] == pytest.approx([first, second], rel=1e-5)
    torch.stack(losses).mean().backward()  # type: ignore[no-untyped-call]
    for name, gradient in gradients(alone).items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-4, atol=1e-7)


def test_processes_share_a_package_and_no_question(base: Path, data: Path) -> None:
    corpus = Corpus.load(data, Tokenizer.from_folder(base))
    parts = [RoutingBatches(corpus, size=4, group=8, hard=0, seed=1, rank=r, count=2).next() for r in (0, 1)]
    together = [query for part in parts for query in part.queries]
    assert len(set(together)) == 8
    assert len({int(corpus.packages[corpus.positives[query][0]]) for query in together}) == 1


def test_other_documents_of_a_file_and_copies_of_the_answer_are_no_negatives(base: Path, data: Path) -> None:
    corpus = Corpus.load(data, Tokenizer.from_folder(base))
    corpus.same[0] = [5]
    corpus.texts[9] = corpus.texts[0]
    copied = Corpus(
        corpus.tokenizer, corpus.headers, corpus.texts, corpus.packages, corpus.questions, corpus.positives,
        corpus.negatives, [], corpus.same,
    )  # fmt: skip
    assert no_negatives(copied, [0, 1], [0, 5, 9, 3]).tolist() == [[True, True, True, False], [False] * 4]
