"""Prompt passes padded to buckets, launched one by one and replayed, beside the ordinary passes."""

import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from msa4b_conversations import CLOSE, TEXTS, compare, prompt, same
from msa4b_tape import Tape, recorded
from msa4b_tiny import Shape
from torch import Tensor

from codemem.kernels import route as routing
from codemem.model.msa4b import Conversation, Interleave, Limits, Msa4bMemory, Msa4bModel, Slot, bucketed, load_msa4b
from codemem.model.msa4b.bank import Msa4bBank, bf16_bits
from codemem.model.msa4b.bucketed import Form, Ground, bucket_of
from codemem.model.msa4b.passes import recording_bytes
from codemem.model.msa4b.tokens import Prompt
from codemem.model.store import LoadedEntries
from codemem.model.tiers import Budget


@pytest.fixture(autouse=True)
def small_buckets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bucketed, "BUCKETS", (8, 16, 32))
    # It reads a number from the device, on a processor alone.
    monkeypatch.setattr(routing, "_check_chunk_offsets", lambda *_: None)


@pytest.fixture
def memory(tiny: Msa4bModel) -> Msa4bMemory:
    memory = Msa4bMemory.of(tiny)
    memory.add(tiny, TEXTS)
    return memory


@pytest.mark.parametrize("count", [2, 7, 8, 9, 15, 16, 17, 31, 32, 33])
@pytest.mark.parametrize(("static", "rows"), [(False, 16), (True, 256)])
def test_at_bucket_edges_and_between(
    tiny: Msa4bModel, memory: Msa4bMemory, count: int, static: bool, rows: int
) -> None:
    """With little room caches grow between passes, and everything is made again."""
    slot = Slot(tiny, buckets=True, static=static, rows=rows)
    compare(tiny, memory, slot, 3, count)
    assert slot.passes is not None
    assert slot.passes.replayed == 0
    if rows > 16:
        first = [form for form in slot.passes._known if form.routes and not form.kept]
        assert [form.tokens for form in first] == ([bucket_of(count)] if count <= 32 else [])


@pytest.mark.parametrize("method", ["INFONCE", "INFONCE_DECOUPLE"])
def test_what_was_recorded_with_one_prompt_serves_another(
    checkpoint: Callable[..., Path], taped: list[Tape], method: str
) -> None:
    """A tape holds every number that is not on the device as it was: one that varies would be wrong here."""
    model = load_msa4b(checkpoint(Shape(method=method, layers=4, routed="1,3", top_k=4)), dtype=torch.float32)
    memory = Msa4bMemory.of(model)
    memory.add(model, TEXTS)
    slot = Slot(model, buckets=True, graphs=True, rows=256)
    for seed, count in ((1, 13), (2, 10), (3, 16), (4, 9), (5, 15)):
        compare(model, memory, slot, seed, count)
    assert slot.passes is not None
    assert slot.passes.replayed > 9
    assert {form.routes for form, known in slot.passes._known.items() if known.pieces} == {True, False}
    for tape in taped:
        assert tape.waits == []


def test_an_ordinary_pass_waits_as_little_as_it_can(tiny: Msa4bModel, memory: Msa4bMemory) -> None:
    conversation = Conversation(tiny, memory)
    first = prompt(1, 20, 9)
    tape = recorded(lambda: conversation.feed(first))
    # Which documents were chosen is what the processor needs to know, layer by layer, and nothing else.
    waits = [wait for wait in tape.waits if wait != "lift_fresh"]
    assert waits == ["tolist"] * len(tiny.config.memory.routed_layers)
    waits = recorded(lambda: conversation.keep_queries(first, first.routing)).waits
    assert waits == ["lift_fresh"]


def test_padding_is_never_seen(tiny: Msa4bModel, memory: Msa4bMemory) -> None:
    """Not even if what it computes, and what lies behind the text, is no number."""
    found = []
    for poisoned in (False, True):
        slot = Slot(tiny, buckets=True, rows=128)
        conversation = Conversation(tiny, memory, slot=slot)
        length = [3]

        def poison(module: object, ids: object, out: Tensor, length: list[int] = length) -> Tensor:
            return torch.cat((out[: length[0]], torch.full_like(out[length[0] :], torch.nan)))

        hook = tiny.decoder.embed_tokens.register_forward_hook(poison) if poisoned else None
        try:
            outcome = []
            for fed in (prompt(1, 11, 6), prompt(2, 5, 3), prompt(3, 18, 0)):
                length[0] = len(fed.ids)
                if poisoned:
                    for cache in conversation.context.layers:
                        cache.k[cache.memory_rows + cache.text_rows :] = torch.nan
                        cache.v[cache.memory_rows + cache.text_rows :] = torch.nan
                outcome.append(conversation.feed(fed))
        finally:
            if hook is not None:
                hook.remove()
        assert slot.passes is not None
        assert len(slot.passes._known) == 4  # the template's too
        found.append(outcome)
    for clean, dirty in zip(*found, strict=True):
        assert torch.isfinite(dirty).all()
        torch.testing.assert_close(clean, dirty, rtol=0, atol=0)


def test_documents_without_chunks_and_fewer_than_are_asked_for(tiny: Msa4bModel) -> None:
    memory = Msa4bMemory.of(tiny)
    memory.add(tiny, TEXTS[:2])
    nothing = replace(memory.documents[0], number=7, chunk_ends=memory.documents[0].chunk_ends[:0])
    layers = {layer: memory.layer(layer) for layer in tiny.config.memory.routed_layers}
    memory.restore_documents([nothing, *memory.documents], 8)
    for layer, entries in layers.items():
        memory.restore_layer(layer, entries)
    assert tiny.config.memory.top_k == len(memory) == 3
    compare(tiny, memory, Slot(tiny, buckets=True, rows=128), 1, 12)
    alone = Msa4bMemory.of(tiny)
    alone.add(tiny, TEXTS[:1])
    compare(tiny, alone, Slot(tiny, buckets=True, rows=128), 1, 12)


def test_a_memory_that_changes_is_looked_at_again(tiny: Msa4bModel, memory: Msa4bMemory, taped: list[Tape]) -> None:
    slot = Slot(tiny, buckets=True, graphs=True, rows=256)
    for _ in range(3):
        compare(tiny, memory, slot, 1, 12)
    before = len(taped)
    memory.add(tiny, [("new.py\n", "def store_opened(): return 1\n" * 3)])
    memory.remove([1])
    for _ in range(3):
        compare(tiny, memory, slot, 1, 12)
    assert len(taped) == 2 * before
    other = Msa4bMemory.of(tiny)
    other.add(tiny, TEXTS[3:8])
    compare(tiny, other, slot, 1, 12)


def test_caches_that_grow_are_recorded_again(tiny: Msa4bModel, memory: Msa4bMemory, taped: list[Tape]) -> None:
    slot = Slot(tiny, buckets=True, graphs=True, rows=8)
    for seed in range(4):
        compare(tiny, memory, slot, seed, 12)
    assert slot.passes is not None
    assert slot.passes.replayed > 0


def test_one_conversation_at_a_time_has_the_slot(tiny: Msa4bModel, memory: Msa4bMemory) -> None:
    slot = Slot(tiny, buckets=True, rows=128)
    first = Conversation(tiny, memory, slot=slot)
    template = first.template()
    second = Conversation(tiny, memory, slot=slot, template=template)
    assert second.context is not first.context
    fed = prompt(1, 12, 6)
    expected = second.feed(fed)
    torch.testing.assert_close(first.feed(fed), expected, **CLOSE)
    first.close()
    third = Conversation(tiny, memory, slot=slot, template=template)
    assert third.context is first.context
    torch.testing.assert_close(third.feed(fed), expected, **CLOSE)
    same(third, second)
    second.close()  # had nothing: takes nothing from the third
    assert Conversation(tiny, memory, slot=slot).context is not third.context
    del third
    assert Conversation(tiny, memory, slot=slot).context is first.context
    # Another ranking rule is another model.
    assert Conversation(replace(tiny), memory, slot=slot).context is not first.context


@pytest.mark.parametrize("budget", [Budget(), Budget(row_format="int8"), Budget(device_bytes=8000, host_bytes=0)])
def test_entries_of_a_store(tiny: Msa4bModel, memory: Msa4bMemory, taped: list[Tape], budget: Budget) -> None:
    """On the device, in 8 bits, in a file."""
    tensors = {}
    for layer in tiny.config.memory.routed_layers:
        entries = memory.layer(layer)
        parts = (("route", entries.route), ("k", entries.k), ("v", entries.v))
        tensors |= {f"{part}.{layer}": bf16_bits(x.flatten(1)) for part, x in parts}
    ends = np.concatenate([document.chunk_ends for document in memory.documents])
    keys = tuple(str(i).encode() for i in range(len(memory)))
    loaded = LoadedEntries(
        keys, memory.host_offsets, np.ones(len(keys), np.uint32), ends, tensors, (), (), mapped=False
    )
    bank = Msa4bBank.from_entries(tiny, loaded, range(len(memory)), budget)
    assert set(bank.placement.tiers.values()) == ({"disk"} if budget.host_bytes == 0 else {"device"})
    slot = Slot(tiny, buckets=True, graphs=True, rows=256)
    for seed in range(3):
        compare(tiny, bank, slot, seed, 12)
    assert slot.passes is not None
    assert slot.passes.replayed > 3
    assert [tape for tape in taped if tape.waits] == []


def test_ranking_and_answers_are_the_same(
    tiny: Msa4bModel, memory: Msa4bMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bucketed, "BUCKETS", (64, 128, 256, 512))
    slot = Slot(tiny, buckets=True, rows=128)
    limits = Limits(rounds=2, retrieval_tokens=6, answer_tokens=6, source_tokens=200)
    for mode in ("extend", "replay"):
        plain = Interleave(tiny, memory, limits=limits, rounds=mode)
        padded = Interleave(tiny, memory, limits=limits, rounds=mode, slot=slot)
        for question in ("where is the store opened?", "which function adds two?"):
            one, other = padded.rank(question), plain.rank(question)
            torch.testing.assert_close(torch.from_numpy(one.scores), torch.from_numpy(other.scores), **CLOSE)
            assert (one.best_chunk == other.best_chunk).all()
            mine, theirs = list(padded.answer(question)), list(plain.answer(question))
            assert [type(event) for event in mine] == [type(event) for event in theirs]
            assert mine[-1].text == theirs[-1].text
            assert [(e.named, e.by_model) for e in mine[:1]] == [(e.named, e.by_model) for e in theirs[:1]]
    assert slot.passes is not None
    assert {form.layers for form in slot.passes._known} == {None, 3}


@pytest.mark.parametrize("buckets", [False, True])
def test_a_second_round_costs_its_new_text(
    tiny: Msa4bModel, memory: Msa4bMemory, monkeypatch: pytest.MonkeyPatch, buckets: bool
) -> None:
    """Tokens that go through the first layer: the new text alone, padded to its bucket at most."""
    monkeypatch.setattr(bucketed, "BUCKETS", (64, 256, 1024))
    went: list[int] = []
    fed: list[int] = []
    feed = Conversation.feed

    def noted(self: Conversation, prompt: Prompt, **options: object) -> Tensor:
        fed.append(len(prompt.ids))
        return feed(self, prompt, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Conversation, "feed", noted)
    hook = tiny.decoder.layers[0].register_forward_pre_hook(lambda module, inputs: went.append(len(inputs[0])))
    limits = Limits(rounds=1, retrieval_tokens=2, answer_tokens=2)
    try:
        asker = Interleave(tiny, memory, limits=limits, slot=Slot(tiny, buckets=buckets, rows=128))
        list(asker.answer("where is the store opened?"))
    finally:
        hook.remove()
    question = len(tiny.protocol.question("where is the store opened?").ids)
    passes = [tokens for tokens in went if tokens > 1]
    sizes = [tokens for tokens in fed if tokens > 1]
    template, first, second, answer = sizes
    assert (template, first) == (3, question)
    expected = [bucket_of(size) for size in sizes] if buckets else sizes
    assert passes == expected
    assert second < question + 150  # four short files, not the question with them
    assert answer < question


def test_what_cannot_be_recorded_is_launched(tiny: Msa4bModel, memory: Msa4bMemory) -> None:
    """There is no GPU here, so recording fails as it may fail there; a warning says so once."""
    slot = Slot(tiny, buckets=True, graphs=True, rows=256)
    with pytest.warns(RuntimeWarning, match="prompt passes are not recorded") as warned:
        compare(tiny, memory, slot, 1, 12)
    for seed in (2, 3):
        compare(tiny, memory, slot, seed, 12)
    assert len(warned) == 1
    assert slot.passes is not None
    assert slot.passes.refused
    assert slot.passes.replayed == 0
    assert slot.passes.nbytes == 0


def test_what_would_take_too_much_is_not_recorded(
    tiny: Msa4bModel, memory: Msa4bMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    form = Form(16, True, 0, 64)
    ground = Ground(Conversation(tiny, memory).context.layers, memory, 3, tiny.device)
    assert recording_bytes(replace(form, tokens=32), ground, tiny) > recording_bytes(form, ground, tiny) > 0
    slot = Slot(tiny, buckets=True, graphs=True, rows=256, allowed_bytes=1000)
    with pytest.warns(RuntimeWarning, match="MiB would be needed"):
        compare(tiny, memory, slot, 1, 12)
    monkeypatch.setattr("codemem.model.msa4b.passes.spare_bytes", lambda _: 1 << 20)
    slot = Slot(tiny, buckets=True, graphs=True, rows=256)
    with pytest.warns(RuntimeWarning, match="1 are free"):
        compare(tiny, memory, slot, 1, 12)


def test_no_slot_on_a_processor_unless_asked_for(tiny: Msa4bModel, memory: Msa4bMemory) -> None:
    slot = Slot(tiny)
    assert slot.nbytes == 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Conversation(tiny, memory, slot=slot).feed(prompt(1, 12, 5))
    assert slot.passes is None
    assert slot.nbytes > 0
    slot.clear()
    assert slot.nbytes == 0
