"""Routing on the CPU against the specification's wording."""

from itertools import pairwise

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from codemem.kernels.route import (
    KeyFormat,
    RoutingKeys,
    cpu,
    dequantise,
    fold_query,
    quantise_keys,
    reference,
    route,
    score_chunks,
    score_documents,
    score_documents_summed,
    top_documents,
)
from codemem.kernels.route.keys import LARGEST

SIZES = [1, 63, 64, 65, 1000]
FORMATS: list[KeyFormat] = ["fp32", "bf16", "fp16", "int8", "fp8"]


def ragged_offsets(chunks: int, generator: torch.Generator) -> Tensor:
    """Chunk offsets of documents of 0 to 6 chunks, the first of none."""
    counts = [0]
    while sum(counts) < chunks:
        counts.append(min(int(torch.randint(0, 7, (), generator=generator)), chunks - sum(counts)))
    return torch.tensor([0, *counts]).cumsum(0)


@pytest.mark.parametrize("cosine", [True, False])
@pytest.mark.parametrize(("heads", "groups"), [(8, 2), (6, 6), (5, 1)])
def test_folding_the_query_is_exact(heads: int, groups: int, cosine: bool, generator: torch.Generator) -> None:
    queries = torch.randn(13, heads, 24, generator=generator) * 3
    keys = torch.randn(65, groups, 24, generator=generator)
    expected = reference.head_scores(queries, keys, normalise=cosine)
    folded = fold_query(queries, groups, normalise=cosine)
    stored = (normalize(keys, dim=-1) if cosine else keys).flatten(1)
    torch.testing.assert_close(folded @ stored.T, expected.float(), atol=2e-6, rtol=1e-5)
    if cosine:
        assert expected.abs().max() <= 1


def test_folding_refuses_heads_that_no_group_owns() -> None:
    with pytest.raises(ValueError, match="5 query heads do not divide into 2 groups"):
        fold_query(torch.zeros(1, 5, 4), 2, normalise=True)


@pytest.mark.parametrize("cosine", [True, False])
def test_folding_has_the_gradients_of_the_heads(cosine: bool, generator: torch.Generator) -> None:
    queries = torch.randn(3, 4, 5, generator=generator, requires_grad=True)
    keys = normalize(torch.randn(7, 2, 5, generator=generator), dim=-1)
    weight = torch.randn(3, 7, generator=generator)
    (expected,) = torch.autograd.grad((reference.head_scores(queries, keys, normalise=cosine) * weight).sum(), queries)
    folded = fold_query(queries, 2, normalise=cosine) @ keys.flatten(1).T
    (actual,) = torch.autograd.grad((folded * weight).sum(), queries)
    torch.testing.assert_close(actual, expected, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("chunks", SIZES)
def test_chunk_scores_at_odd_sizes(chunks: int, format: KeyFormat, generator: torch.Generator) -> None:
    keys = quantise_keys(torch.randn(chunks, 96, generator=generator), format)
    for tokens in SIZES[:4]:
        q = torch.randn(tokens, 96, generator=generator)
        expected = reference.chunk_scores(q, dequantise(keys)).float()
        torch.testing.assert_close(score_chunks(q, keys), expected, atol=1e-4, rtol=1e-5)


def test_scores_do_not_depend_on_tiles(monkeypatch: pytest.MonkeyPatch, generator: torch.Generator) -> None:
    keys = quantise_keys(torch.randn(1000, 128, generator=generator), "int8", group=64)
    q = torch.randn(9, 128, generator=generator)
    whole = score_chunks(q, keys)
    monkeypatch.setattr(cpu, "TILE_NUMBERS", 128 * 37)
    torch.testing.assert_close(score_chunks(q, keys), whole, atol=1e-5, rtol=1e-6)


@pytest.mark.parametrize("chunks", SIZES)
def test_document_scores_and_top_documents(chunks: int, generator: torch.Generator) -> None:
    keys = quantise_keys(torch.randn(chunks, 64, generator=generator), "int8")
    q = torch.randn(21, 64, generator=generator)
    offsets = ragged_offsets(chunks, generator)
    expected = reference.document_scores(reference.chunk_scores(q, dequantise(keys)), offsets.tolist()).float()
    actual = score_documents(q, keys, offsets)
    torch.testing.assert_close(actual, expected, atol=1e-4, rtol=1e-5)
    documents, scores = route(q, keys, offsets, 16)
    assert documents.tolist() == reference.top(actual, 16)
    # Near ties may swap between precisions; what is chosen must score the same.
    best = sorted(expected.tolist(), reverse=True)[: len(scores)]
    torch.testing.assert_close(scores, torch.tensor(best), atol=1e-4, rtol=1e-5)


def test_a_batch_gives_what_each_question_gives_alone(generator: torch.Generator) -> None:
    keys = quantise_keys(torch.randn(200, 128, generator=generator), "int8")
    q = torch.randn(40, 128, generator=generator)
    offsets = ragged_offsets(200, generator)
    query_offsets = [0, 1, 17, 40]
    chosen, scores = route(q, keys, offsets, 5, query_offsets=query_offsets)
    summed = score_documents_summed([q, q], [keys, keys], offsets, weights=[1, 3], query_offsets=query_offsets)
    assert chosen.shape == scores.shape == (3, 5)
    for question, (first, last) in enumerate(pairwise(query_offsets)):
        alone, alone_scores = route(q[first:last], keys, offsets, 5)
        torch.testing.assert_close(scores[question], alone_scores, atol=1e-4, rtol=1e-5)
        one = score_documents(q[first:last], keys, offsets)
        torch.testing.assert_close(one[chosen[question]], one[alone], atol=1e-4, rtol=1e-5)
        torch.testing.assert_close(summed[question], 4 * one, atol=1e-3, rtol=1e-5)


def test_a_question_of_no_tokens_scores_nothing(generator: torch.Generator) -> None:
    keys = quantise_keys(torch.randn(8, 16, generator=generator), "fp32")
    offsets = torch.tensor([0, 4, 8])
    scores = score_documents(torch.randn(3, 16, generator=generator), keys, offsets, query_offsets=[0, 3, 3])
    assert scores[0].isfinite().all()
    assert scores[1].tolist() == [-torch.inf, -torch.inf]


def test_ties_go_to_the_lower_index() -> None:
    scores = torch.tensor([0.5, -0.0, 1.0, 0.0, torch.nan, 1.0, -torch.inf, 0.5])
    indices, values = top_documents(scores, 7)
    assert indices.tolist() == [2, 5, 0, 7, 1, 3, 4]
    assert values.tolist() == [1.0, 1.0, 0.5, 0.5, 0.0, 0.0, -torch.inf]


def test_top_documents_of_a_million_equal_scores_are_the_first() -> None:
    indices, _ = top_documents(torch.full((2, 1_000_000), 0.25), 16)
    assert indices.tolist() == [list(range(16))] * 2


def test_fewer_documents_than_asked_for_are_all_returned(generator: torch.Generator) -> None:
    keys = quantise_keys(torch.randn(3, 32, generator=generator), "bf16")
    documents, _ = route(torch.randn(2, 32, generator=generator), keys, torch.tensor([0, 1, 3]), 16)
    assert sorted(documents.tolist()) == [0, 1]


def test_the_second_pass_restores_the_exact_choice(generator: torch.Generator) -> None:
    exact = normalize(torch.randn(2000, 64, generator=generator), dim=-1)
    # Keys of seven levels stand in for a format that is too narrow by itself.
    narrow = RoutingKeys(torch.round(3 * exact / exact.abs().amax(1, keepdim=True)))
    offsets = torch.arange(0, 2001, 4)
    q = torch.randn(12, 64, generator=generator)
    source = quantise_keys(exact, "fp32")
    wanted, wanted_scores = route(q, source, offsets, 8)
    first_pass, _ = route(q, narrow, offsets, 8)
    assert set(first_pass.tolist()) != set(wanted.tolist())
    chosen, scores = route(q, narrow, offsets, 8, rescore=source, candidates=100)
    assert chosen.tolist() == wanted.tolist()
    torch.testing.assert_close(scores, wanted_scores, atol=1e-5, rtol=1e-5)
    batched, _ = route(q, narrow, offsets, 8, rescore=source, candidates=100, query_offsets=[0, 5, 12])
    assert batched[1].tolist() == route(q[5:], source, offsets, 8)[0].tolist()


def test_layers_are_summed_with_their_weights(generator: torch.Generator) -> None:
    offsets = torch.tensor([0, 2, 2, 9])
    keys = [quantise_keys(torch.randn(9, 32, generator=generator), "int8") for _ in range(3)]
    queries = [torch.randn(tokens, 32, generator=generator) for tokens in (4, 1, 7)]
    weights = [0.5, -1.0, 0.0]
    layers = [score_documents(q, k, offsets) for q, k in zip(queries, keys, strict=True)]
    expected = 0.5 * layers[0] - layers[1]
    actual = score_documents_summed(queries, keys, offsets, weights=weights)
    torch.testing.assert_close(actual[[0, 2]], expected[[0, 2]])
    assert actual[1] == -torch.inf
    plain = score_documents_summed(queries, keys, offsets)
    torch.testing.assert_close(plain, layers[0] + layers[1] + layers[2])


@pytest.mark.parametrize(("format", "step"), [("int8", 1 / 254), ("fp8", 1 / 16)])
@pytest.mark.parametrize("magnitude", [1e-3, 1.0, 3e4])
def test_quantised_keys_are_within_half_a_step(
    format: KeyFormat, step: float, magnitude: float, generator: torch.Generator
) -> None:
    keys = torch.randn(65, 256, generator=generator) * magnitude
    keys[7] = 0
    keys[8, :64] *= 1e-3
    quantised = quantise_keys(keys, format, group=64)
    assert quantised.scales is not None
    assert quantised.scales.shape == (65, 4)
    assert quantised.nbytes == 65 * (256 + 4 * 2)
    error = (dequantise(quantised) - keys).abs().view(65, 4, 64).amax(-1)
    largest = keys.abs().view(65, 4, 64).amax(-1)
    # The scale as float16 may cut the largest number: by 2^-11 of it, or half a subnormal step times the largest code.
    assert (error <= largest * (step + 2**-11) + LARGEST[format] * 2**-25).all()
    assert (dequantise(quantised)[7] == 0).all()


def test_int8_keys_choose_almost_what_float32_keys_choose(generator: torch.Generator) -> None:
    keys = normalize(torch.randn(4000, 8, 64, generator=generator), dim=-1).flatten(1)
    offsets = torch.arange(0, 4001, 4)
    overlap = 0
    for _ in range(20):
        q = fold_query(torch.randn(8, 16, 64, generator=generator), 8, normalise=True)
        exact, _ = route(q, quantise_keys(keys, "fp32"), offsets, 16)
        narrow, _ = route(q, quantise_keys(keys, "int8"), offsets, 16)
        overlap += len(set(exact.tolist()) & set(narrow.tolist()))
    assert overlap >= 0.97 * 20 * 16


def test_wrong_arguments_are_named(generator: torch.Generator) -> None:
    keys = quantise_keys(torch.randn(4, 32, generator=generator), "int8")
    q = torch.randn(2, 32, generator=generator)
    with pytest.raises(ValueError, match="unknown key format 'int4'"):
        quantise_keys(torch.zeros(1, 8), "int4")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="groups of 5 do not divide"):
        quantise_keys(torch.zeros(1, 8), "int8", group=5)
    with pytest.raises(ValueError, match="int8 keys need scales"):
        RoutingKeys(keys.values)
    with pytest.raises(ValueError, match="fp32 keys take no scales"):
        RoutingKeys(keys.values.float(), keys.scales)
    with pytest.raises(ValueError, match=r"folded queries are \[tokens, 32\]"):
        score_chunks(q[:, :16], keys)
    with pytest.raises(ValueError, match="chunk_offsets end at 3, but there are 4 chunks"):
        score_documents(q, keys, torch.tensor([0, 3]))
    with pytest.raises(ValueError, match="query_offsets must rise from 0 to 2"):
        score_chunks(q, keys, query_offsets=[0, 3])
    with pytest.raises(ValueError, match="at least one document"):
        route(q, keys, torch.tensor([0, 4]), 0)
