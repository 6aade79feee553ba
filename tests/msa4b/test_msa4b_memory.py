"""The memory: numbers, packing, routing with few documents, removal, saving and reloading."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from msa4b_tiny import Shape

from codemem.model.errors import StoreError
from codemem.model.msa4b import Conversation, Msa4bMemory, Msa4bModel, load_memory, load_msa4b, save_memory
from codemem.model.msa4b import memory as memory_module

TEXTS = [(f"f{i}.py\n", f"def f{i}(x):\n    return x * {i}\n" * (1 + i % 3)) for i in range(7)]


@pytest.fixture
def memory(tiny: Msa4bModel) -> Msa4bMemory:
    memory = Msa4bMemory.of(tiny)
    memory.add(tiny, TEXTS)
    return memory


def all_tensors(memory: Msa4bMemory) -> dict[str, torch.Tensor]:
    layers = memory.config.memory.routed_layers
    return {f"{layer}.{name}": t for layer in layers for name, t in memory.layer(layer).tensors().items()}


def same(a: Msa4bMemory, b: Msa4bMemory) -> bool:
    ours, theirs = all_tensors(a), all_tensors(b)
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_entries_do_not_depend_on_packing(
    tiny: Msa4bModel, memory: Msa4bMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    for size in (1, 40):
        monkeypatch.setattr(memory_module, "TOKENS_AT_ONCE", size)
        other = Msa4bMemory.of(tiny)
        other.add(tiny, TEXTS[:3])
        other.add(tiny, TEXTS[3:])
        assert same(other, memory)


def test_numbers_ascend_and_are_never_given_again(tiny: Msa4bModel, memory: Msa4bMemory) -> None:
    assert [document.number for document in memory.documents] == list(range(7))
    kept = memory.layer(1).k[memory.rows(torch.tensor([0, 3, 6]))]
    memory.remove([1, 2, 4, 5])
    assert [document.number for document in memory.documents] == [0, 3, 6]
    assert torch.equal(memory.layer(1).k, kept)
    assert memory.index_of(3) == 1
    assert memory.index_of(4) is None
    memory.remove([6])
    assert memory.add(tiny, [("new\n", "text")]) == [7]
    with pytest.raises(KeyError):
        memory.remove([6])
    with pytest.raises(ValueError, match="is taken"):
        memory.append([tiny.protocol.document(3, "", "x")], {})


def test_a_removed_document_is_not_found(tiny: Msa4bModel, memory: Msa4bMemory) -> None:
    """In the lowest routed layer, whose queries depend on no memory, the next documents move up."""
    question = tiny.protocol.question("f4")
    conversation = Conversation(tiny, memory)
    conversation.feed(question)
    scores = memory.document_scores(1, conversation.context.queries[1])
    ranked = scores.argsort(descending=True).tolist()
    assert conversation.routes[1].documents.tolist() == ranked[:3]
    memory.remove([ranked[0]])
    again = Conversation(tiny, memory)
    again.feed(question)
    assert [memory.documents[i].number for i in again.routes[1].documents.tolist()] == ranked[1:4]


@pytest.mark.parametrize("count", [1, 2, 3])
def test_fewer_documents_than_top_k(tiny: Msa4bModel, count: int) -> None:
    memory = Msa4bMemory.of(tiny)
    memory.add(tiny, TEXTS[:count])
    conversation = Conversation(tiny, memory)
    conversation.feed(tiny.protocol.question("what is f0?"))
    for layer, route in conversation.routes.items():
        assert sorted(route.documents.tolist()) == list(range(count))
        assert torch.isfinite(route.scores).all()
        assert conversation.context.layers[layer].memory_rows == memory.chunks


def test_no_documents(tiny: Msa4bModel) -> None:
    conversation = Conversation(tiny, None)
    hidden = conversation.feed(tiny.protocol.question("what?"))
    assert torch.isfinite(hidden).all()
    with pytest.raises(ValueError, match="empty"):
        Msa4bMemory.of(tiny).layer(1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_reload_is_bit_for_bit(checkpoint: Callable[..., Path], tmp_path: Path, dtype: torch.dtype) -> None:
    model = load_msa4b(checkpoint(), dtype=dtype)
    memory = Msa4bMemory.of(model)
    memory.add(model, TEXTS)
    memory.remove([2])
    save_memory(memory, tmp_path / "deep" / "memory")
    again = load_memory(model, tmp_path / "deep" / "memory")
    assert same(again, memory)
    assert again.next_number == 7
    for mine, theirs in zip(again.documents, memory.documents, strict=True):
        assert mine.number == theirs.number
        assert mine.ids.tolist() == theirs.ids.tolist()
        assert mine.chunk_ends.tolist() == theirs.chunk_ends.tolist()
    question = model.protocol.question("f3?")
    assert torch.equal(Conversation(model, memory).feed(question), Conversation(model, again).feed(question))
    assert again.add(model, TEXTS[:1]) == [7]


def test_saving_again_replaces(tiny: Msa4bModel, memory: Msa4bMemory, tmp_path: Path) -> None:
    save_memory(memory, tmp_path / "memory")
    memory.add(tiny, [("g\n", "text")])
    save_memory(memory, tmp_path / "memory")
    assert same(load_memory(tiny, tmp_path / "memory"), memory)
    assert [path.name for path in tmp_path.iterdir()] == ["memory"]


def test_empty_memory_is_saved_too(tiny: Msa4bModel, tmp_path: Path) -> None:
    memory = Msa4bMemory.of(tiny)
    memory.add(tiny, TEXTS[:1])
    memory.remove([0])
    save_memory(memory, tmp_path / "memory")
    again = load_memory(tiny, tmp_path / "memory")
    assert len(again) == 0
    assert again.add(tiny, TEXTS[:1]) == [1]


@pytest.mark.parametrize("made_with", ["cosine", "scaled"])
def test_one_memory_serves_both_rankings(checkpoint: Callable[..., Path], tmp_path: Path, made_with: str) -> None:
    other = "scaled" if made_with == "cosine" else "cosine"
    maker, user = (load_msa4b(checkpoint(), dtype=torch.float32, ranking=r) for r in (made_with, other))
    memory, expected = Msa4bMemory.of(maker), Msa4bMemory.of(user)
    for each, model in ((memory, maker), (expected, user)):
        each.add(model, TEXTS)
    save_memory(memory, tmp_path / "memory")
    again = load_memory(user, tmp_path / "memory")
    for layer in user.config.memory.routed_layers:
        torch.testing.assert_close(again.layer(layer).route, expected.layer(layer).route, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(again.layer(layer).norms, expected.layer(layer).norms, rtol=1e-5, atol=1e-6)


class TestDamage:
    @pytest.fixture
    def folder(self, memory: Msa4bMemory, tmp_path: Path) -> Path:
        save_memory(memory, tmp_path / "memory")
        return tmp_path / "memory"

    def test_another_models_memory(self, folder: Path, checkpoint: Callable[..., Path]) -> None:
        with pytest.raises(StoreError, match="another model"):
            load_memory(load_msa4b(checkpoint(seed=1), dtype=torch.float32), folder)

    @pytest.mark.parametrize("name", ["documents.safetensors", "layer-01.safetensors", "layer-02.safetensors"])
    def test_a_flipped_bit_is_found(self, tiny: Msa4bModel, folder: Path, name: str) -> None:
        data = bytearray((folder / name).read_bytes())
        data[-1] ^= 1
        (folder / name).write_bytes(data)
        with pytest.raises(StoreError, match=f"{name} does not match its checksum"):
            load_memory(tiny, folder)

    @pytest.mark.parametrize("name", ["documents.safetensors", "layer-02.safetensors"])
    def test_a_missing_or_cut_file_is_found(self, tiny: Msa4bModel, folder: Path, name: str) -> None:
        (folder / name).write_bytes((folder / name).read_bytes()[:100])
        with pytest.raises(StoreError, match="damaged"):
            load_memory(tiny, folder, verify=False)
        (folder / name).unlink()
        with pytest.raises(StoreError, match="cannot be read"):
            load_memory(tiny, folder)

    @pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": "other", "files": {}}'])
    def test_a_foreign_manifest(self, tiny: Msa4bModel, folder: Path, text: str) -> None:
        (folder / "memory.json").write_text(text)
        with pytest.raises(StoreError):
            load_memory(tiny, folder)

    def test_a_manifest_that_leaves_its_folder(self, tiny: Msa4bModel, folder: Path) -> None:
        manifest = json.loads((folder / "memory.json").read_text())
        manifest["files"]["../x"] = "0"
        (folder / "memory.json").write_text(json.dumps(manifest))
        with pytest.raises(StoreError, match="no memory of this version"):
            load_memory(tiny, folder)

    def test_no_memory(self, tiny: Msa4bModel, tmp_path: Path) -> None:
        with pytest.raises(StoreError, match="holds no MSA-4B memory"):
            load_memory(tiny, tmp_path / "nothing")

    def test_layers_of_another_memory(self, tiny: Msa4bModel, folder: Path, tmp_path: Path) -> None:
        small = Msa4bMemory.of(tiny)
        small.add(tiny, TEXTS[:2])
        save_memory(small, tmp_path / "small")
        (folder / "layer-01.safetensors").write_bytes((tmp_path / "small" / "layer-01.safetensors").read_bytes())
        with pytest.raises(StoreError, match="layer 1 does not hold"):
            load_memory(tiny, folder, verify=False)


def test_growing_caches_keep_memory_and_text(tiny: Msa4bModel, memory: Msa4bMemory) -> None:
    """A cache that starts with room for one row gives what one with room enough gives."""
    prompt = tiny.protocol.question("where is f2?")
    outcomes = []
    for capacity in (3, 4096):
        conversation = Conversation(tiny, memory, capacity=capacity)
        conversation.feed(prompt)
        outcomes.append(torch.cat([conversation.feed_silent([i]) for i in range(40, 90)]))
    assert torch.equal(*outcomes)


def test_a_memory_for_another_top_k(tiny: Msa4bModel, memory: Msa4bMemory) -> None:
    settings = dataclasses.replace(tiny.config.memory, top_k=1)
    model = dataclasses.replace(tiny, config=dataclasses.replace(tiny.config, memory=settings))
    conversation = Conversation(model, memory)
    conversation.feed(model.protocol.question("f1"))
    assert all(len(route.documents) == 1 for route in conversation.routes.values())
    assert model.config.question_position == 4


def test_shape_is_used(checkpoint: Callable[..., Path]) -> None:
    model = load_msa4b(checkpoint(Shape(chunk=7)), dtype=torch.float32)
    memory = Msa4bMemory.of(model)
    memory.add(model, TEXTS)
    assert memory.chunks == sum(-(-len(document.ids) // 7) for document in memory.documents)
    assert memory.nbytes == sum(t.nbytes for t in all_tensors(memory).values())
