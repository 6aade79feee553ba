"""Golden vectors of the public engine, replayed; and that the replay would notice a mistake."""

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from codemem.evals import golden as golden_module
from codemem.evals.golden import MISSING, run_case, run_golden, tolerance
from codemem.kernels.pool import chunk_table, pool_chunks
from codemem.kernels.route import fold_query
from codemem.model import memory as model_memory
from codemem.model.errors import WeightsMissing
from codemem.model.msa4b import Conversation, Msa4bMemory, load_msa4b
from codemem.model.msa4b.memory import encode
from codemem.model.msa4b.tokens import NumberedDocument, Prompt, Transcript

CASES = [
    "batch-a-decouple",
    "few-a-infonce",
    "odd-a-decouple",
    "odd-a-infonce",
    "odd-b-decouple",
    "odd-b-infonce",
    "rounds-a-decouple",
]


DEVICES = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", CASES)
def test_case_is_reproduced(golden: Path, name: str, device: str) -> None:
    result = run_case(golden / "cases" / f"{name}.json", device=device)
    stored = load_file(golden / "cases" / f"{name}.safetensors")
    assert set(stored) <= set(result["worst"])
    assert result["ok"], {t: d for t, d in result["worst"].items() if d > tolerance(t)}


def test_folder_gives_the_contracts_json(golden: Path, tmp_path: Path) -> None:
    copy_case(golden, tmp_path, "few-a-infonce")
    result = json.loads(json.dumps(run_golden(tmp_path), allow_nan=False))
    assert set(result) == {"ok", "cases"}
    assert result["ok"] is True
    assert set(result["cases"]["few-a-infonce"]) == {"ok", "worst"}


def test_folder_without_cases(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing, match="holds no golden vectors"):
        run_golden(tmp_path)


@pytest.mark.parametrize("name", ["call0.prompt.logits", "memory.2.v", "call0.route.3.doc_scores", "memory.doc"])
def test_a_changed_tensor_fails(golden: Path, tmp_path: Path, name: str) -> None:
    path = copy_case(golden, tmp_path, "few-a-infonce")
    tensors = load_file(path.with_suffix(".safetensors"))
    tensors[name].view(-1)[-1] += 1
    save_file(tensors, path.with_suffix(".safetensors"))
    result = run_case(path)
    assert not result["ok"]
    assert result["worst"][name] == pytest.approx(1, abs=1e-3)


def test_an_unknown_or_misshapen_tensor_fails(golden: Path, tmp_path: Path) -> None:
    path = copy_case(golden, tmp_path, "few-a-infonce")
    tensors = load_file(path.with_suffix(".safetensors"))
    tensors["call0.prompt.something"] = torch.zeros(1)
    tensors["memory.2.k"] = tensors["memory.2.k"][:-1].clone()
    save_file(tensors, path.with_suffix(".safetensors"))
    result = run_case(path)
    assert not result["ok"]
    assert result["worst"]["call0.prompt.something"] == result["worst"]["memory.2.k"] == MISSING


def swap_ranking(patch: pytest.MonkeyPatch) -> None:
    load = golden_module.load_msa4b

    def swapped(folder: Path, *, device: str, dtype: torch.dtype, ranking: str) -> object:
        return load(folder, device=device, dtype=dtype, ranking="scaled" if ranking == "cosine" else "cosine")

    patch.setattr(golden_module, "load_msa4b", swapped)


def short_chunks_divided_by_a_whole(patch: pytest.MonkeyPatch) -> None:
    def pool(x: torch.Tensor, lengths: Sequence[int], tokens: int) -> torch.Tensor:
        count = chunk_table(lengths, tokens)[1]
        return pool_chunks(x, lengths, tokens) * (count / tokens)[:, None, None]

    patch.setattr(model_memory, "pool_chunks", pool)


def template_left_out(patch: pytest.MonkeyPatch) -> None:
    feed = Conversation.feed

    def feed_and_forget(self: Conversation, prompt: Prompt, **options: bool) -> torch.Tensor:
        hidden = feed(self, prompt, **options)
        if prompt.ids == self.model.protocol.template:
            for cache in self.context.layers:
                cache.truncate(0)
        return hidden

    patch.setattr(Conversation, "feed", feed_and_forget)


def all_tokens_route(patch: pytest.MonkeyPatch) -> None:
    feed = Conversation.feed

    def feed_all(self: Conversation, prompt: Prompt, **options: bool) -> torch.Tensor:
        routes = any(prompt.routing)
        return feed(self, Prompt(prompt.ids, [routes] * len(prompt.ids)), **options)

    patch.setattr(Conversation, "feed", feed_all)


def heads_of_other_groups(patch: pytest.MonkeyPatch) -> None:
    def rolled(queries: torch.Tensor, groups: int, *, normalise: bool) -> torch.Tensor:
        return fold_query(queries.roll(1, dims=1), groups, normalise=normalise)

    patch.setattr(model_memory, "fold_query", rolled)


def appended_question_causal(patch: pytest.MonkeyPatch) -> None:
    feed = Conversation.feed
    patch.setattr(Conversation, "feed", lambda self, prompt, causal=True, layers=None: feed(self, prompt))


@pytest.mark.parametrize(
    "mistake",
    [
        swap_ranking,
        short_chunks_divided_by_a_whole,
        template_left_out,
        all_tokens_route,
        heads_of_other_groups,
        appended_question_causal,
    ],
)
def test_a_mistake_in_the_model_fails(
    golden: Path, monkeypatch: pytest.MonkeyPatch, mistake: Callable[[pytest.MonkeyPatch], None]
) -> None:
    """A replay that compared a tensor with itself would pass these."""
    mistake(monkeypatch)
    assert not run_case(golden / "cases" / "rounds-a-decouple.json")["ok"]


def test_prompts_one_position_off_fail(golden: Path, tmp_path: Path) -> None:
    path = copy_case(golden, tmp_path, "odd-a-infonce")
    case = json.loads(path.read_text())
    case["first_prompt_position"] += 1
    path.write_text(json.dumps(case))
    result = run_case(path)
    assert not result["ok"]
    assert result["worst"]["call0.prompt.logits"] > 100 * tolerance("call0.prompt.logits")


def test_the_products_transcript_is_the_engines(golden: Path) -> None:
    """The structured transcript, never spelled out, has the ids and classes that the engine parses from strings."""
    case = json.loads((golden / "cases" / "rounds-a-decouple.json").read_text())
    stored = load_file(golden / "cases" / "rounds-a-decouple.safetensors")
    model = load_msa4b(golden / "ckpt-a", dtype=torch.float32)
    protocol = model.protocol
    question, texts = case["calls"][0]["submitted"][0], {d["id"]: d["text"] for d in case["documents"]}
    transcript = Transcript(protocol.question_again(question))
    first = protocol.question(question)
    assert first.ids == stored["call0.prompt.input_ids"][0].tolist()
    assert first.routing == (stored["call0.prompt.classes"][0] == 0).tolist()
    for call, named in ((0, [0, 2]), (1, [3])):
        appended = protocol.sources([protocol.source(n, texts[n]) for n in named])
        transcript.rounds.append((stored[f"call{call}.decode.input_ids"][0].tolist(), appended))
        prompt = transcript.prompt()
        assert prompt.ids == stored[f"call{call + 1}.prompt.input_ids"][0].tolist()
        assert prompt.routing == (stored[f"call{call + 1}.prompt.classes"][0] == 0).tolist()
    fed = stored["call2.decode.input_ids"][0].tolist()
    assert fed[:4] + protocol.answer_request(question) == fed[: 4 + 14]
    assert protocol.retrieval_end_ids() == fed[:4]
    for document in case["documents"]:
        assert protocol.document(document["id"], "", document["text"]).ids.tolist() == document["input_ids"]


BF16_EPSILON = 2.0**-7
"""Spacing of bfloat16 numbers just above 1; a rounding errs by at most half of it."""


@pytest.mark.parametrize("name", ["odd-a-decouple", "odd-a-infonce", "odd-b-decouple", "odd-b-infonce"])
def test_bf16_graph_stays_within_rounding(golden: Path, name: str) -> None:
    """The same graph in bf16 against the fp32 vectors.

    Bound: a layer rounds about eight times on the way of one number (two norms, the outputs of attention's and the
    MLP's products, the product of gate and up, two residual sums). Roundings are independent, so after L layers their
    root-mean-square is at most sqrt(8 L) / 2 epsilon of the tensor's own; twice that is allowed, for the norms amplify
    small rows. The prompt adds its own roundings to those of the memory that it attends to, and may attend to a
    neighbour where two scores differ by less than their error: three times. A wrong step (see the mistakes above) errs
    by the order of the tensor itself, 20 times more.
    """
    case = json.loads((golden / "cases" / f"{name}.json").read_text())
    stored = load_file(golden / "cases" / f"{name}.safetensors")
    ranking = "cosine" if case["aux_loss_method"] == "INFONCE" else "scaled"
    model = load_msa4b(golden / case["checkpoint"], dtype=torch.bfloat16, ranking=ranking)
    bound = (8 * model.config.decoder.layers) ** 0.5 * BF16_EPSILON
    memory = Msa4bMemory.of(model)
    documents = [numbered(document, model.config.memory.chunk_tokens) for document in case["documents"]]
    memory.append(documents, encode(model, documents))
    for layer in model.config.memory.routed_layers:
        entries = memory.layer(layer)
        for found, expected in ((entries.k, "k"), (entries.v, "v"), (entries.route.view_as(entries.k), "router")):
            assert relative_error(found, stored[f"memory.{layer}.{expected}"]) < bound
    conversation = Conversation(model, memory)
    hidden = conversation.feed(model.protocol.question(case["calls"][0]["submitted"][0]))
    for layer in model.config.memory.routed_layers:
        scores = memory.document_scores(layer, conversation.context.queries[layer])
        expected = stored[f"call0.route.{layer}.doc_scores"][0]
        assert relative_error(scores, expected) < bound
        chosen = conversation.routes[layer].documents
        lowest = expected.sort(descending=True).values[len(chosen) - 1]
        assert float((lowest - expected[chosen]).max()) <= 2 * float((scores - expected).abs().max())
    assert relative_error(hidden, stored["call0.prompt.final"][0]) < 3 * bound


def numbered(document: dict[str, Any], chunk_tokens: int) -> NumberedDocument:
    ids = np.array(document["input_ids"], dtype=np.uint32)
    return NumberedDocument(document["id"], ids, np.zeros(-(-len(ids) // chunk_tokens), dtype=np.uint32))


def relative_error(found: torch.Tensor, expected: torch.Tensor) -> float:
    """Root-mean-square of the error over that of what is expected."""
    difference = (found.float() - expected.float()).square().mean().sqrt()
    return float(difference / expected.float().square().mean().sqrt())


def copy_case(golden: Path, target: Path, name: str) -> Path:
    case = json.loads((golden / "cases" / f"{name}.json").read_text())
    shutil.copytree(golden / case["checkpoint"], target / case["checkpoint"])
    (target / "cases").mkdir()
    for suffix in (".json", ".safetensors"):
        shutil.copyfile(golden / "cases" / f"{name}{suffix}", target / "cases" / f"{name}{suffix}")
    return target / "cases" / f"{name}.json"
