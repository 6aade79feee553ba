"""What is cut for the way to a lent machine comes together bit for bit, and damage is named."""

import json
import subprocess
from pathlib import Path

import gguf
import numpy as np
import pytest

from codemem.model.weights import checkpoint_folder
from codemem.training.carry.__main__ import calls, lay, main
from codemem.training.carry.gguf_hole import hole_and_patches
from codemem.training.carry.parts import cut, join, missing, read_plan


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "weights.bin"
    path.write_bytes(np.random.default_rng(0).bytes(100_003))
    return path


@pytest.mark.parametrize("most", [100_003, 100_004, 1000, 33_333])
def test_parts_make_the_file_again(tmp_path: Path, file: Path, most: int) -> None:
    if most == 1000:
        with pytest.raises(ValueError, match="100 can be named"):
            cut(file, tmp_path / "parts", most_bytes=most)
        return
    plan = cut(file, tmp_path / "parts", most_bytes=most)
    assert max(part.bytes for part in plan.parts) <= most
    assert join(tmp_path / "parts", file.name, tmp_path / "made/weights.bin").read_bytes() == file.read_bytes()


@pytest.mark.parametrize("holes", [[(0, 10)], [(10, 5000), (5000, 6000)], [(99_000, 100_003)], [(40_000, 90_000)]])
def test_holes_come_back_as_zeros_and_patches_as_given(
    tmp_path: Path, file: Path, holes: list[tuple[int, int]]
) -> None:
    plan = cut(file, tmp_path / "parts", most_bytes=20_000, holes=holes, patches={7000: b"patched"})
    expected = bytearray(file.read_bytes())
    expected[7000:7007] = b"patched"
    for start, end in holes:
        expected[start:end] = bytes(end - start)
    assert join(tmp_path / "parts", file.name, tmp_path / "made").read_bytes() == expected
    assert sum(part.bytes for part in plan.parts) == len(expected) - sum(end - start for start, end in holes)


def test_a_missing_or_damaged_part_is_named_and_makes_nothing(tmp_path: Path, file: Path) -> None:
    parts = tmp_path / "parts"
    cut(file, parts, most_bytes=40_000)
    held = (parts / "weights.bin.01").read_bytes()
    (parts / "weights.bin.01").write_bytes(held[:-1] + bytes([held[-1] ^ 1]))
    with pytest.raises(ValueError, match=r"weights\.bin\.01"):
        join(parts, file.name, tmp_path / "made")
    (parts / "weights.bin.01").unlink()
    assert missing(parts, read_plan(parts, file.name)) == ["weights.bin.01"]
    with pytest.raises(ValueError, match=r"lacks weights\.bin\.01"):
        join(parts, file.name, tmp_path / "made")
    assert not list(tmp_path.glob("made*"))


def test_calls_hold_as_much_as_fits_and_few_paths() -> None:
    sizes = {Path(f"a.{i:02}"): size for i, size in enumerate((60, 60, 30, 30, 5, 1, 1, 1))}
    found = calls(sizes, 64)
    assert sorted(path for call in found for path in call) == sorted(sizes)
    assert all(sum(sizes[path] for path in call) <= 64 and len(call) <= 4 for call in found)
    assert len(found) == 4


def test_a_folder_travels_as_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = tmp_path / "tree"
    (tree / ".work/course/deep").mkdir(parents=True)
    for number in range(3):
        (tree / f".work/course/deep/{number}.bin").write_bytes(np.random.default_rng(number).bytes(5000))
    (tree / ".gitignore").write_text(".work/\n")
    subprocess.run(["git", "init", "--quiet", str(tree)], check=True)
    monkeypatch.chdir(tree)
    main(["cut", ".work/course", "--into", ".work/carry", "--part-bytes", "9000"])
    carried = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert all((tree / path).is_file() for call in carried for path in call)
    main(["join", "course.tar", "--folder", ".work/carry", "--to", str(tmp_path / "there")])
    for number in range(3):
        name = f"course/deep/{number}.bin"
        assert (tmp_path / "there" / name).read_bytes() == (tree / ".work" / name).read_bytes()
    with pytest.raises(SystemExit, match="no plan"):
        main(["join", "other", "--folder", ".work/carry", "--to", str(tmp_path)])


def quantised(
    path: Path, *, output: gguf.GGMLQuantizationType, embedding: gguf.GGMLQuantizationType, tied: bool = True
) -> Path:
    """A tiny Qwen2 whose tied matrix is stored twice, in two quantisations; or one of two different matrices."""
    writer = gguf.GGUFWriter(path, "qwen2")
    writer.add_block_count(1)
    writer.add_context_length(64)
    writer.add_embedding_length(32)
    writer.add_feed_forward_length(32)
    writer.add_head_count(2)
    writer.add_head_count_kv(2)
    writer.add_rope_freq_base(1e6)
    writer.add_layer_norm_rms_eps(1e-6)
    tokens = [chr(c) for c in range(33, 97)]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types([1] * 63 + [3])
    writer.add_token_merges(['! "'])
    writer.add_eos_token_id(63)
    draw = np.random.default_rng(1)
    matrix = draw.standard_normal((64, 32)).astype(np.float32)
    tensors = {"output.weight": (matrix, output), "token_embd.weight": (matrix if tied else -matrix, embedding)}
    plain = gguf.GGMLQuantizationType.F32
    for name in ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"):
        tensors[f"blk.0.{name}.weight"] = (draw.standard_normal((32, 32)).astype(np.float32), plain)
    for name in ("blk.0.attn_norm", "blk.0.ffn_norm", "output_norm"):
        tensors[f"{name}.weight"] = (np.ones(32, np.float32), plain)
    for name, (values, kind) in tensors.items():
        if kind == plain:
            writer.add_tensor(name, values)
        else:
            writer.add_tensor(name, gguf.quantize(values, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.mark.parametrize("finer", ["output", "embedding"])
def test_the_copy_that_is_not_read_stays_and_the_weights_are_the_same(tmp_path: Path, finer: str) -> None:
    fine, coarse = gguf.GGMLQuantizationType.Q8_0, gguf.GGMLQuantizationType.Q5_0
    output, embedding = (fine, coarse) if finer == "output" else (coarse, fine)
    file = quantised(tmp_path / "tied.gguf", output=output, embedding=embedding)
    holes, patches = hole_and_patches(file)
    ((start, end),) = holes
    assert end - start == 64 * 22  # a block of 32 in Q5_0
    cut(file, tmp_path / "parts", most_bytes=4000, holes=holes, patches=patches)
    made = join(tmp_path / "parts", file.name, tmp_path / "there/tied.gguf")
    here, there = (checkpoint_folder(path, cache=path.parent / "cache") for path in (file, made))
    for name in ("model.safetensors", "config.json", "tokenizer.json"):
        assert (here / name).read_bytes() == (there / name).read_bytes()


def test_a_file_without_a_second_copy_has_no_hole(tmp_path: Path) -> None:
    kinds = gguf.GGMLQuantizationType
    file = quantised(tmp_path / "untied.gguf", output=kinds.Q8_0, embedding=kinds.Q5_0, tied=False)
    assert hole_and_patches(file) == ([], {})


def test_calls_are_laid_out_in_the_order_in_which_things_are_needed(tmp_path: Path) -> None:
    cut_folder, into = tmp_path / "cut", tmp_path / "call"
    big = tmp_path / "big.bin"
    big.write_bytes(bytes(range(250)))
    cut(big, cut_folder, most_bytes=100)
    for name, size in (("first", 60), ("last", 30)):
        (cut_folder / name).write_bytes(b"x" * size)
    (into / "07").mkdir(parents=True)  # of an earlier lease
    plan = (cut_folder / "big.bin.parts.json").stat().st_size
    room = max(plan, 100) + 60
    made = lay(cut_folder, ["first", "big.bin", "last"], into, room)
    assert [folder.name for folder in made] == [f"{n + 1:02}" for n in range(len(made))]
    assert sorted(into.iterdir()) == made
    carried = [sorted(path.name for path in folder.iterdir()) for folder in made]
    assert carried[0] == ["big.bin.parts.json", "first"]
    assert [name for names in carried for name in names] == [
        "big.bin.parts.json",
        "first",
        "big.bin.00",
        "big.bin.01",
        "big.bin.02",
        "last",
    ]
    assert all(sum(path.stat().st_size for path in folder.iterdir()) <= room for folder in made)
    with pytest.raises(ValueError, match="nothing"):
        lay(cut_folder, ["nothing"], into, room)
    with pytest.raises(ValueError, match="larger than the 20 bytes"):
        lay(cut_folder, ["first"], into, 20)
    assert sorted(into.iterdir()) == made  # what was laid out stays
    with pytest.raises(ValueError, match="holds big"):
        lay(cut_folder, ["first"], cut_folder, room)  # a folder of something else is not made anew
    assert (cut_folder / "first").is_file()
