"""Chunks of whole lines, against a reference that pools them one by one."""

from pathlib import Path

import numpy as np
import pytest
import torch

from codemem.model.testing import write_tiny_adapter
from codemem.training.carried.aligned import encode_aligned, line_chunks, line_ends, share_of_chunks
from codemem.training.evaluate import encode_pool, load_trained
from codemem.training.network import Network

TEXTS = ["def alpha(limit):\n    return limit\n", "x = 1\n" * 9, "one line that goes on and on without an end " * 6]


@pytest.fixture
def network(tmp_path: Path, base: Path) -> tuple[Network, list[np.ndarray], np.ndarray]:
    network, tokenizer = load_trained(
        base, write_tiny_adapter(tmp_path / "adapter.safetensors"), device=torch.device("cpu")
    )
    documents = [np.asarray(ids, np.uint32) for ids in tokenizer.encode_batch(TEXTS)]
    return network, documents, line_ends(tokenizer, documents)


def test_a_chunk_is_as_many_whole_lines_as_fit() -> None:
    ends = np.array([False, True])  # token 1 ends a line
    ids = np.array([0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 0], np.uint32)
    assert line_chunks(ids, ends, 6).tolist() == [0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 2, 2]
    assert line_chunks(ids, ends, 4).tolist() == [0, 0, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3]
    assert line_chunks(ids, ends, 100).tolist() == [0] * 13
    assert share_of_chunks([ids, ids[:6]], ends, 3) == (5 + 3) / (5 + 2)


def test_keys_are_the_means_of_whole_lines(network: tuple[Network, list[np.ndarray], np.ndarray]) -> None:
    trained, documents, ends = network
    most = trained.recipe.memory.chunk_tokens
    found = encode_aligned(trained, documents, ends)
    for number, ids in enumerate(documents):
        chunks = line_chunks(ids, ends, most)
        for layer, (keys, exists) in found.items():
            assert int(exists[number].sum()) == chunks[-1] + 1
            # Its first chunk alone is the product's own chunk of a document that is no longer: causal attention sees
            # nothing of what follows.
            first = ids[chunks == 0]
            alone, _ = encode_pool(trained, [first])[layer]
            torch.testing.assert_close(keys[number, 0], alone[0, 0], atol=1e-5, rtol=1e-4)
            lengths = keys[number, : chunks[-1] + 1].norm(dim=-1) / keys[number, 0].norm()
            torch.testing.assert_close(lengths, torch.ones_like(lengths), atol=1e-4, rtol=1e-4)
            assert not keys[number, chunks[-1] + 1 :].any()


def test_lines_of_exactly_a_chunk_give_the_products_keys(network: tuple[Network, list[np.ndarray], np.ndarray]) -> None:
    trained, documents, ends = network
    never = np.zeros_like(ends)  # no token ends a line, so chunks are cut where the product cuts them
    aligned, usual = encode_aligned(trained, documents, never), encode_pool(trained, documents)
    for layer, (keys, exists) in usual.items():
        torch.testing.assert_close(aligned[layer][1], exists)
        torch.testing.assert_close(aligned[layer][0][exists], keys[exists], atol=1e-5, rtol=1e-4)
