"""With the routed layers below `reading_from`, answers change what reads and leave what finds as it is."""

from pathlib import Path

import torch

from codemem.model.config import DecoderConfig, MemoryConfig
from codemem.model.load import load_decoder
from codemem.model.prompts import Prompts
from codemem.model.tokenizer import Tokenizer
from codemem.model.weights import load_checkpoint
from codemem.training.conversations import Conversations
from codemem.training.corpus import Corpus
from codemem.training.recipe import Recipe
from codemem.training.trainer import Trainer

CPU = torch.device("cpu")


def trained(
    base: Path, data: Path, *, reading_from: int, answer_weight: float
) -> tuple[Trainer, dict[str, torch.Tensor]]:
    """A trainer and its parameters after three steps."""
    checkpoint = load_checkpoint(base)
    config = DecoderConfig.from_huggingface(checkpoint.config)
    decoder = load_decoder(config, checkpoint.tensors, device=CPU, dtype=torch.float32)
    # Clipping scales all gradients together, so without a limit of its own one half would show in the other.
    settings = {"steps": 3, "warmup": 0.0, "clip": 1e9, "reading_from": reading_from, "answer_weight": answer_weight}
    recipe = Recipe.from_json(MemoryConfig((0,)), settings | {"questions": 4, "answers": 2})
    corpus = Corpus.load(data, tokenizer := Tokenizer.from_folder(base))
    trainer = Trainer(decoder, tokenizer, recipe, device=CPU, base_sha256="0" * 64)
    trainer.run(corpus, log=lambda report: None)
    return trainer, {name: p.detach().clone() for name, p in trainer._parameters().items()}


def of_layer(name: str) -> int:
    return int(name.split("layers.")[1].split(".", maxsplit=1)[0])


def test_answers_change_the_layers_that_read_and_no_other(base: Path, data: Path) -> None:
    _, little = trained(base, data, reading_from=1, answer_weight=0.01)
    _, much = trained(base, data, reading_from=1, answer_weight=5.0)
    changed = {name for name in little if not torch.equal(little[name], much[name])}
    adapters = {name for name in changed if "layers." in name and not name.startswith("routers.")}
    assert adapters
    assert all(of_layer(name) >= 1 for name in adapters)
    assert not any(name.startswith("routers.") for name in changed)


def test_by_default_answers_reach_every_layer(base: Path, data: Path) -> None:
    trainer, _ = trained(base, data, reading_from=0, answer_weight=0.3)
    drawn = Conversations(
        Corpus.load(data, tokenizer := Tokenizer.from_folder(base)),
        Prompts(tokenizer),
        tokens=900,
        memory_documents=2,
        seed=1,
    )
    trainer.answer_losses([drawn.next() for _ in range(2)], {})["answer"].backward()  # type: ignore[no-untyped-call]
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in trainer.network.adapter_parameters()[1::2])
