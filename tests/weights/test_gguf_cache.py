"""A GGUF file becomes a mapped checkpoint once, whatever interrupts it."""

import json
import os
import shutil
import signal
from collections import namedtuple
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from weights_samples import LAYERS, matrices, start_python, vocabulary, write_gguf

from codemem.model.errors import WeightsCorrupt, WeightsMissing
from codemem.model.weights import checkpoint_folder, load_checkpoint, weights_sha256
from codemem.model.weights.cache import read_record
from codemem.model.weights.files import file_sha256
from codemem.model.weights.safetensors_file import PlannedTensor, write_safetensors

CONVERT = """
import sys, time
from pathlib import Path
from codemem.model.weights import checkpoint_folder
def slowly(done, total):
    print(done, flush=True)
    time.sleep(float(sys.argv[3]))
print(checkpoint_folder(Path(sys.argv[1]), cache=Path(sys.argv[2]), progress=slowly))
"""

HUB_NAMES = {
    "blk.1.attn_q.weight": "model.layers.1.self_attn.q_proj.weight",
    "blk.1.attn_k.weight": "model.layers.1.self_attn.k_proj.weight",
    "blk.0.attn_v.weight": "model.layers.0.self_attn.v_proj.weight",
    "blk.0.attn_output.weight": "model.layers.0.self_attn.o_proj.weight",
    "blk.0.ffn_gate.weight": "model.layers.0.mlp.gate_proj.weight",
    "blk.0.ffn_up.weight": "model.layers.0.mlp.up_proj.weight",
    "blk.0.ffn_down.weight": "model.layers.0.mlp.down_proj.weight",
}


@pytest.mark.parametrize("architecture", ["qwen2", "qwen3"])
def test_tensors_carry_hub_names_and_the_values_of_the_file(tmp_path: Path, architecture: str) -> None:
    path = write_gguf(tmp_path / "tiny.gguf", architecture)
    config, tensors = load_checkpoint(path, cache=tmp_path / "cache")
    stored = {tensor.name: tensor for tensor in gguf.GGUFReader(path).tensors}
    for theirs, ours in HUB_NAMES.items():
        exact = gguf.dequantize(stored[theirs].data, stored[theirs].tensor_type)
        assert tensors[ours].dtype == torch.float16
        assert np.array_equal(tensors[ours].numpy(), exact.astype(np.float16))
    own = "bias" if architecture == "qwen2" else "q_norm.weight"
    vectors = {name: tensors[name] for name in tensors if name.endswith((own, "layernorm.weight"))}
    assert len(vectors) == (5 if architecture == "qwen2" else 3) * LAYERS
    assert all(vector.dtype == torch.float32 for vector in vectors.values())
    assert config["model_type"] == architecture
    assert config["attention_bias"] == (architecture == "qwen2")
    assert (config["rms_norm_eps"], config["rope_theta"], config["head_dim"]) == (1e-6, 1e6, 16)
    assert config["vocab_size"] == len(vocabulary()[0])


def test_tensors_are_mapped_and_private(tiny_gguf: Path, tmp_path: Path) -> None:
    folder = checkpoint_folder(tiny_gguf, cache=tmp_path / "cache")
    before = file_sha256(folder / "model.safetensors")
    load_checkpoint(folder).tensors["model.embed_tokens.weight"].zero_()
    assert file_sha256(folder / "model.safetensors") == before
    assert load_checkpoint(folder).tensors["model.embed_tokens.weight"].any()


def test_of_a_tied_matrix_stored_twice_the_finer_is_kept(tmp_path: Path) -> None:
    tensors = matrices("qwen2")
    tensors["output.weight"] = tensors["token_embd.weight"]
    config, mapped = load_checkpoint(write_gguf(tmp_path / "tied.gguf", tensors=tensors))
    error = np.abs(mapped["model.embed_tokens.weight"].float().numpy() - tensors["token_embd.weight"]).max()
    coarse = load_checkpoint(write_gguf(tmp_path / "once.gguf", tensors=matrices("qwen2"))).tensors
    coarse_error = np.abs(coarse["model.embed_tokens.weight"].float().numpy() - tensors["token_embd.weight"]).max()
    assert config["tie_word_embeddings"] is True
    assert "lm_head.weight" not in mapped
    assert error < coarse_error / 4


def test_an_output_matrix_of_its_own_is_kept(tmp_path: Path) -> None:
    tensors = matrices("qwen2")
    tensors["output.weight"] = matrices("qwen2", seed=1)["token_embd.weight"]
    config, mapped = load_checkpoint(write_gguf(tmp_path / "untied.gguf", tensors=tensors))
    assert config["tie_word_embeddings"] is False
    assert not torch.equal(mapped["lm_head.weight"], mapped["model.embed_tokens.weight"])


def test_the_second_start_reads_nothing_of_the_download(tiny_gguf: Path, tmp_path: Path) -> None:
    folder = checkpoint_folder(tiny_gguf, cache=tmp_path / "cache")
    written = (folder / "model.safetensors").stat().st_mtime_ns
    tiny_gguf.unlink()
    assert checkpoint_folder(tiny_gguf, cache=tmp_path / "cache") == folder
    assert (folder / "model.safetensors").stat().st_mtime_ns == written


def test_another_file_of_the_same_name_is_converted_again(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "tiny.gguf")
    first = load_checkpoint(path).tensors["model.norm.weight"].clone()
    path.unlink()
    write_gguf(path, tensors=matrices("qwen2", seed=7))
    assert not torch.equal(load_checkpoint(path).tensors["model.norm.weight"], first)


def test_a_touched_file_is_not_converted_again(tiny_gguf: Path, tmp_path: Path) -> None:
    folder = checkpoint_folder(tiny_gguf, cache=tmp_path / "cache")
    written = (folder / "model.safetensors").stat().st_mtime_ns
    os.utime(tiny_gguf)
    assert checkpoint_folder(tiny_gguf, cache=tmp_path / "cache") == folder
    assert (folder / "model.safetensors").stat().st_mtime_ns == written


def test_the_same_file_gives_the_same_bytes_everywhere(tiny_gguf: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    shutil.copyfile(tiny_gguf, elsewhere / "copy.gguf")
    folders = [checkpoint_folder(path, cache=tmp_path / "cache") for path in (tiny_gguf, elsewhere / "copy.gguf")]
    assert folders[0] != folders[1]
    assert weights_sha256(folders[0], tmp_path) == weights_sha256(folders[1], tmp_path)
    assert weights_sha256(folders[0], tmp_path) == file_sha256(folders[0] / "model.safetensors")


@pytest.mark.parametrize("damage", ["truncate", "header", "record", "delete"])
def test_a_damaged_cache_is_named_and_made_again(tiny_gguf: Path, tmp_path: Path, damage: str) -> None:
    folder = checkpoint_folder(tiny_gguf, cache=tmp_path / "cache")
    model = folder / "model.safetensors"
    if damage == "truncate":
        os.truncate(model, model.stat().st_size // 2)
    elif damage == "header":
        data = bytearray(model.read_bytes())
        data[40] ^= 1
        model.write_bytes(data)
    elif damage == "record":
        record = json.loads((folder / "source.json").read_text())
        (folder / "source.json").write_text(json.dumps({**record, "model": {"bytes": 1}}))
    else:
        model.unlink()
    with pytest.raises(WeightsCorrupt, match="made again"):
        load_checkpoint(folder)
    assert load_checkpoint(tiny_gguf, cache=tmp_path / "cache").tensors["model.norm.weight"].any()


def test_a_wrong_sha256_is_refused_before_and_after_conversion(tiny_gguf: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsCorrupt, match="checksum"):
        checkpoint_folder(tiny_gguf, cache=tmp_path / "cache", sha256="0" * 64)
    assert not list((tmp_path / "cache").glob("tiny-*/"))
    checkpoint_folder(tiny_gguf, cache=tmp_path / "cache", sha256=file_sha256(tiny_gguf))
    with pytest.raises(WeightsCorrupt, match="checksum"):
        checkpoint_folder(tiny_gguf, cache=tmp_path / "cache", sha256="0" * 64)


@pytest.mark.parametrize("share", [0.0, 0.05, 0.5, 0.99])
def test_a_truncated_file_is_refused(tiny_gguf: Path, tmp_path: Path, share: float) -> None:
    os.truncate(tiny_gguf, int(tiny_gguf.stat().st_size * share))
    with pytest.raises(WeightsCorrupt, match="whole GGUF"):
        load_checkpoint(tiny_gguf, cache=tmp_path / "cache")
    assert not list((tmp_path / "cache").glob("*.part"))


def test_foreign_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text.gguf").write_text("not weights\n" * 100)
    with pytest.raises(WeightsCorrupt, match="whole GGUF"):
        load_checkpoint(tmp_path / "text.gguf")
    tensors = matrices("qwen2") | {"blk.0.mystery.weight": np.zeros((32, 32), dtype=np.float32)}
    with pytest.raises(WeightsCorrupt, match=r"blk\.0\.mystery\.weight"):
        load_checkpoint(write_gguf(tmp_path / "unknown.gguf", tensors=tensors))
    with pytest.raises(WeightsCorrupt, match="'gpt2'/'llama-bpe'"):
        load_checkpoint(write_gguf(tmp_path / "tokens.gguf", pre="llama-bpe"))
    with pytest.raises(WeightsCorrupt, match="architecture 'llama'"):
        load_checkpoint(write_gguf(tmp_path / "llama.gguf", "llama", tensors=matrices("qwen2")))


def test_no_weights_at_all_say_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing, match="codemem model pull"):
        load_checkpoint(tmp_path / "none.gguf")
    with pytest.raises(WeightsMissing, match="codemem model pull"):
        load_checkpoint(tmp_path / "none")


def test_a_full_disk_is_met_before_anything_is_written(
    tiny_gguf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(1, 1, 1000))
    with pytest.raises(WeightsMissing, match="make room"):
        load_checkpoint(tiny_gguf, cache=tmp_path / "cache")
    assert [path.name for path in (tmp_path / "cache").iterdir() if path.suffix != ".lock"] == []


@pytest.mark.parametrize("stop", [signal.SIGKILL, signal.SIGINT])
def test_a_conversion_that_was_stopped_starts_again(tiny_gguf: Path, tmp_path: Path, stop: signal.Signals) -> None:
    cache = tmp_path / "cache"
    process = start_python(CONVERT, tiny_gguf, cache, 60)
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(stop)
    process.communicate(timeout=60)
    assert process.returncode != 0
    assert [path for path in cache.iterdir() if read_record(path)] == []
    folder = checkpoint_folder(tiny_gguf, cache=cache)
    assert load_checkpoint(folder).tensors["model.norm.weight"].any()
    assert [path.name for path in cache.iterdir() if path.name.endswith(".part")] == []


def test_two_processes_convert_once(tiny_gguf: Path, tmp_path: Path) -> None:
    processes = [start_python(CONVERT, tiny_gguf, tmp_path / "cache", 0.02) for _ in range(2)]
    said = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    lines = [out.splitlines() for out, _ in said]
    assert lines[0][-1] == lines[1][-1]
    assert sorted(len(each) > 1 for each in lines) == [False, True]


def test_rows_that_do_not_fill_their_shape_are_refused(tmp_path: Path) -> None:
    short = PlannedTensor("w", (4, 4), "float16", [np.zeros((2, 4), dtype=np.float32)])
    with (tmp_path / "w.safetensors").open("wb") as file, pytest.raises(WeightsCorrupt, match="other sizes"):
        write_safetensors(file, [short], {})
