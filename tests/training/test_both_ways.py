"""Documents encoded in both directions: what the product does with them is what was trained."""

from pathlib import Path

import numpy as np
import pytest
import torch

from codemem.model.memory import EncodingContext
from codemem.model.testing import tiny_engine, write_tiny_adapter
from codemem.training.evaluate import load_trained
from codemem.training.network import Network


def loaded(tmp_path: Path, base: Path, *, both: bool) -> Network:
    adapter = write_tiny_adapter(tmp_path / "adapter.safetensors", bidirectional=both)
    network, _ = load_trained(base, adapter, device=torch.device("cpu"))
    return network


def documents() -> list[np.ndarray]:
    random = np.random.default_rng(0)
    return [random.integers(5, 40, size).astype(np.uint32) for size in (7, 48, 17)]


@pytest.mark.parametrize("both", [False, True])
@torch.no_grad()
def test_the_product_pools_what_training_pools(tmp_path: Path, base: Path, both: bool) -> None:
    network = loaded(tmp_path, base, both=both)
    lengths = [len(d) for d in documents()]
    context = EncodingContext(lengths, network.routers, network.recipe.memory)
    ids = torch.from_numpy(np.concatenate(documents()).astype(np.int64))
    network.decoder(ids, torch.cat([torch.arange(n) for n in lengths]), context)
    trained = network.encode_documents(documents())
    for layer in (1, 2):
        pooled, mine = context.pooled[layer], trained.layers[layer]
        for name in ("k", "v"):
            torch.testing.assert_close(getattr(pooled, name), getattr(mine, name)[trained.chunks])
        route = torch.nn.functional.normalize(pooled.route, dim=-1).flatten(1)
        torch.testing.assert_close(route, mine.route[trained.chunks])


@pytest.mark.parametrize("both", [False, True])
@torch.no_grad()
def test_a_first_chunk_knows_what_stands_behind_it_in_both_directions_alone(
    tmp_path: Path, base: Path, both: bool
) -> None:
    (document,) = documents()[1:2]
    changed = document.copy()
    changed[-1] = 4
    network = loaded(tmp_path, base, both=both)
    first, other = (network.encode_documents([d]).layers[2].route[0, 0] for d in (document, changed))
    assert torch.equal(first, other) is not both


@torch.no_grad()
def test_padding_changes_nothing_in_both_directions(tmp_path: Path, base: Path) -> None:
    network = loaded(tmp_path, base, both=True)
    together = network.encode_documents(documents())
    for row, document in enumerate(documents()):
        alone = network.encode_documents([document])
        count = alone.chunks.shape[1]
        for layer in (1, 2):
            torch.testing.assert_close(together.layers[layer].route[row, :count], alone.layers[layer].route[0])


def test_an_adapter_says_how_its_documents_are_read(tmp_path: Path) -> None:
    texts = [("a.py\n", "x = 1\n" * 30)]
    causal, both = (tiny_engine(tmp_path / str(way), bidirectional=way) for way in (False, True))
    (first,), (other,) = (engine.encode(engine.tokenise(texts), engine.layout) for engine in (causal, both))
    assert (first.tensors["route.2"][0] != other.tensors["route.2"][0]).any()
    assert first.key != other.key  # what was read in one way is never taken for what is read in the other
