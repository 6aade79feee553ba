"""Golden folders as others may make them: other shapes, less in them, other number formats, and broken ones."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from msa4b_tiny import Shape, write_shards
from msa4b_vectors import Writer
from safetensors.torch import load_file, save_file

from codemem.cli.app import run
from codemem.evals import golden as golden_module
from codemem.evals.golden import run_golden, tolerance
from codemem.model.errors import WeightsCorrupt, WeightsMissing

TEXTS = [
    "def open_store(path): return Store(path)\n",
    "import os\n" * 4,
    "",
    "class Store:\n    pass\n",
    "café [0][1]\n",
]
OPTIONAL = ("checkpoint", "aux_loss_method", "top_k_docs", "pooling_kernel_size", "router_layers", "template_ids")
SHAPES = {
    "one-key-head-five-query-heads": Shape(heads=5, groups=1, head_dim=6, hidden=20, method="INFONCE"),
    "seven-heads-one-layer": Shape(layers=1, routed="0", heads=7, groups=7, head_dim=2, method="BCE", chunk=1),
    "lowest-layer-routes-cosine": Shape(layers=3, routed="0,1", tied=False, shards=2, method="INFONCE", top_k=5),
    "more-places-than-documents": Shape(layers=2, routed="1", top_k=40, chunk=200, method="INFONCE_DECOUPLE_FOCAL"),
    "qwen2": Shape(qwen2=True, layers=3, routed="all", top_k=1),
}


def written(folder: Path, shape: Shape = Shape(), name: str = "case", passes: int = 2) -> Writer:  # noqa: B008 (frozen)
    """A folder with one case: two prompts of different length, in one batch."""
    writer = Writer(folder, shape, TEXTS)
    said = [9, 200, 31][:passes]
    samples = [writer.question(question, list(said)) for question in ("where?", "who opens the store, and where?")]
    writer.write(name, [writer.call(0, samples, passes)])
    return writer


def edit(folder: Path, change: Callable[[dict[str, Any]], object], name: str = "case") -> None:
    path = folder / "cases" / f"{name}.json"
    case = json.loads(path.read_text())
    change(case)
    path.write_text(json.dumps(case))


def edit_tensors(folder: Path, change: Callable[[dict[str, torch.Tensor]], object], name: str = "case") -> None:
    path = folder / "cases" / f"{name}.safetensors"
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path)


def wrong(result: dict[str, Any]) -> dict[str, Any]:
    """What is out of bounds, by case."""
    return {
        name: case.get("error") or {t: d for t, d in case["worst"].items() if d > tolerance(t)}
        for name, case in result["cases"].items()
        if not case["ok"]
    }


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_other_shapes(tmp_path: Path, shape: Shape) -> None:
    written(tmp_path, shape)
    assert wrong(run_golden(tmp_path)) == {}


def test_what_is_left_out_comes_from_the_checkpoint(tmp_path: Path) -> None:
    """In folders of other names, one with spaces."""
    root = tmp_path / "golden vectors of somebody"
    written(root, Shape(method="INFONCE"))
    (root / "ckpt").rename(root / "a model (tiny)")

    def strip(case: dict[str, Any]) -> None:
        for name in (*OPTIONAL, "first_prompt_position", "name"):
            del case[name]
        case["calls"][0].pop("argmax")
        for document in case["documents"]:
            del document["id"]
            document.pop("input_ids")

    edit(root, strip)
    assert wrong(run_golden(root)) == {}
    (root / "another").mkdir()
    (root / "another" / "config.json").write_text("{}")
    assert "does not say which checkpoint" in str(wrong(run_golden(root)))
    edit(root, lambda case: case.update(checkpoint="a model (tiny)"))
    assert wrong(run_golden(root)) == {}


def test_documents_alone(tmp_path: Path) -> None:
    written(tmp_path)
    edit(tmp_path, lambda case: case.pop("calls"))
    edit_tensors(tmp_path, lambda t: [t.pop(name) for name in list(t) if name.startswith("call")])
    result = run_golden(tmp_path)
    assert wrong(result) == {}
    assert "memory.last_hidden" in result["cases"]["case"]["worst"]


def test_one_prompt_spelled_without_lists(tmp_path: Path) -> None:
    writer = Writer(tmp_path, Shape(), TEXTS)
    writer.write("case", [writer.call(0, [writer.question("where?", [9, 31])], 2)])

    def flatten(case: dict[str, Any]) -> None:
        call = case["calls"][0]
        call["submitted"], call["forced_output_ids"] = call["submitted"][0], call["forced_output_ids"][0]

    edit(tmp_path, flatten)
    edit_tensors(tmp_path, lambda t: t.pop("call0.decode.splits"))
    assert wrong(run_golden(tmp_path)) == {}


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_narrow_vectors_are_compared_as_narrowly(tmp_path: Path, dtype: torch.dtype) -> None:
    """Stored in 16 bits, a right number lies within half a step of what is stored; a wrong one does not."""
    written(tmp_path)

    def narrow(tensors: dict[str, torch.Tensor]) -> None:
        for name, tensor in tensors.items():
            if tensor.is_floating_point():
                tensors[name] = tensor.clamp_min(-6e4).to(dtype)

    edit_tensors(tmp_path, narrow)
    assert wrong(run_golden(tmp_path)) == {}
    edit_tensors(tmp_path, lambda t: t["memory.2.k"].view(-1)[5:6].add_(0.25))
    assert list(wrong(run_golden(tmp_path))["case"]) == ["memory.2.k"]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_checkpoint_of_16_bits_with_more_in_it(tmp_path: Path, dtype: torch.dtype) -> None:
    """Further tensors of a checkpoint are left alone, also of types that no weight has."""
    shape = Shape(method="INFONCE", shards=2)

    class Narrow(Shape):
        def tensors(self, vocabulary: int, seed: int) -> dict[str, torch.Tensor]:
            return {name: x.to(dtype).float() for name, x in shape.tensors(vocabulary, seed).items()}

    written(tmp_path, Narrow(method="INFONCE", shards=2))
    folder = tmp_path / "ckpt"
    tensors: dict[str, torch.Tensor] = {}
    for path in folder.glob("*.safetensors"):
        tensors |= {name: x.to(dtype) for name, x in load_file(path).items()}
        path.unlink()
    tensors |= {"temperature": torch.tensor(0.1), "model.rotary.steps": torch.arange(4), "b": torch.zeros(3).double()}
    write_shards(folder, tensors, 3)
    assert wrong(run_golden(tmp_path)) == {}


def test_fewer_documents_than_places_stored_without_the_empty_ones(tmp_path: Path) -> None:
    written(tmp_path, Shape(top_k=9))

    def trim(tensors: dict[str, torch.Tensor]) -> None:
        for name in list(tensors):
            if name.rpartition(".")[2] in ("chosen", "chosen_scores"):
                tensors[name] = tensors[name][:, : len(TEXTS)].contiguous()

    edit_tensors(tmp_path, trim)
    assert wrong(run_golden(tmp_path)) == {}


def test_which_of_two_equal_documents_comes_first_is_nobodys(tmp_path: Path) -> None:
    writer = Writer(tmp_path, Shape(chunk=100, routed="1"), TEXTS)
    writer.write("case", [writer.call(0, [writer.question("where?", [9])], 1)])
    chosen = "call0.route.1.chosen"
    edit_tensors(tmp_path, lambda t: t.update({chosen: t[chosen][:, [1, 0, 2]].contiguous()}))
    assert list(wrong(run_golden(tmp_path))["case"]) == [chosen]  # these two are not equal
    replay = golden_module.Replay.run

    def tied(self: Any) -> None:
        """As if the first two documents had one score."""
        replay(self)
        first, second = (self.documents[int(i)] for i in self.tensors[chosen][0, :2])
        scores = self.tensors["call0.route.1.doc_scores"].clone()
        scores[:, second] = scores[:, first]
        self.tensors["call0.route.1.doc_scores"] = scores

    edit_tensors(tmp_path, lambda t: t.pop("call0.route.1.doc_scores"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(golden_module.Replay, "run", tied)
        assert wrong(run_golden(tmp_path)) == {}
        edit_tensors(tmp_path, lambda t: t[chosen].sub_(1).abs_())  # other documents are no tie
        assert list(wrong(run_golden(tmp_path))["case"]) == [chosen]


BROKEN: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "no-documents": (lambda case: case.pop("documents"), "names no documents"),
    "documents-no-list": (lambda case: case.update(documents={"0": "text"}), "'documents' is no list of objects"),
    "document-of-nothing": (lambda case: case["documents"].append({"id": 9}), "document 5 has neither text nor"),
    "ids-that-are-no-ids": (
        lambda case: case["documents"][1].update(input_ids=["a"]),
        "of document 1 are no token ids",
    ),
    "falling-ids": (lambda case: case["documents"].reverse(), "must ascend"),
    "call-of-nothing": (lambda case: case["calls"][0].pop("submitted"), "call 0 does not say what was submitted"),
    "forced-for-another-batch": (lambda case: case["calls"][0].update(forced_output_ids=[[1]]), "forced_output_ids"),
    "top-k-none": (lambda case: case.update(top_k_docs=-1), "top_k_docs -1"),
    "token-beyond-the-vocabulary": (lambda case: case["documents"][0].update(input_ids=[99_999]), "the replay failed"),
}


@pytest.mark.parametrize(("change", "message"), BROKEN.values(), ids=BROKEN)
def test_a_broken_case_says_why_and_costs_no_other(
    tmp_path: Path, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    written(tmp_path)
    for suffix in (".json", ".safetensors"):
        shutil.copyfile(tmp_path / "cases" / f"case{suffix}", tmp_path / "cases" / f"broken{suffix}")
    edit(tmp_path, change, "broken")
    result = run_golden(tmp_path)
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    assert not result["ok"]
    assert result["cases"]["case"]["ok"]
    broken = result["cases"]["broken"]
    assert (broken["ok"], broken["worst"]) == (False, {})
    assert message in broken["error"]
    assert "broken.json" in broken["error"]
    assert "\n" not in broken["error"]


def test_a_mistake_of_the_replay_is_not_called_the_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path)

    def fail(self: object) -> None:
        raise KeyError(2)

    monkeypatch.setattr(golden_module.Replay, "run", fail)
    (error,) = wrong(run_golden(tmp_path)).values()
    assert "the replay failed: KeyError: 2" in error


@pytest.mark.parametrize("text", ["", "[]", '{"documents": '])
def test_json_that_is_none(tmp_path: Path, text: str) -> None:
    written(tmp_path)
    (tmp_path / "cases" / "case.json").write_text(text)
    assert "case.json cannot be read" in wrong(run_golden(tmp_path))["case"]


def test_tensors_that_are_not_there(tmp_path: Path) -> None:
    written(tmp_path)
    (tmp_path / "cases" / "case.safetensors").unlink()
    assert "case.json cannot be read" in wrong(run_golden(tmp_path))["case"]


def test_faults_of_the_checkpoint_are_the_checkpoints(tmp_path: Path) -> None:
    written(tmp_path)
    tensors = load_file(tmp_path / "ckpt" / "model.safetensors")
    del tensors["model.layers.1.self_attn.router_q_proj.0.weight"]
    save_file(tensors, tmp_path / "ckpt" / "model.safetensors")
    with pytest.raises(WeightsCorrupt, match=r"lacks the tensor 'model\.layers\.1\.self_attn\.router_q_proj"):
        run_golden(tmp_path)
    shutil.rmtree(tmp_path / "ckpt")
    with pytest.raises(WeightsMissing, match="is no checkpoint"):
        run_golden(tmp_path)


def test_the_command_says_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written(tmp_path)
    assert run(["eval", "golden", str(tmp_path), "--device", "cpu"]) == 0
    assert "case: within tolerance" in capsys.readouterr().out
    edit(tmp_path, lambda case: case.update(documents=[]))
    assert run(["eval", "golden", str(tmp_path)]) == 1
    assert "names no documents" in capsys.readouterr().out
    shutil.rmtree(tmp_path / "cases")
    assert run(["eval", "golden", str(tmp_path)]) == 4


def test_scaled_positions_of_newer_configurations_are_refused(tmp_path: Path) -> None:
    written(tmp_path)
    path = tmp_path / "ckpt" / "config.json"
    raw = json.loads(path.read_text())
    theta = raw.pop("rope_theta")
    path.write_text(json.dumps(raw | {"rope_parameters": {"rope_type": "default", "rope_theta": theta}}))
    assert wrong(run_golden(tmp_path)) == {}
    path.write_text(json.dumps(raw | {"rope_parameters": {"rope_type": "yarn", "factor": 4.0, "rope_theta": theta}}))
    with pytest.raises(WeightsCorrupt, match="scaled rotary positions"):
        run_golden(tmp_path)
