"""The decoder against Hugging Face's Qwen2 and Qwen3 on tiny random configurations."""

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, Qwen2Config, Qwen3Config

from codemem.model.config import DecoderConfig, MemoryConfig
from codemem.model.decoder import Decoder
from codemem.model.load import load_decoder
from codemem.model.memory import TextContext
from codemem.model.packed import attend_within
from codemem.model.routers import Routers
from codemem.model.weights import load_checkpoint

SHAPE = {
    "vocab_size": 211,
    "hidden_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "intermediate_size": 80,
    "max_position_embeddings": 512,
    "rms_norm_eps": 1e-6,
    "rope_theta": 1e4,
}
CPU = torch.device("cpu")


class Packed:
    def __init__(self, lengths: list[int], *, causal: bool = True) -> None:
        self.lengths, self.causal = lengths, causal

    def attend(
        self, layer: int, hidden: torch.Tensor, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor
    ) -> torch.Tensor:
        return attend_within(q, k, v, self.lengths, causal=self.causal)


@pytest.fixture(params=["qwen2", "qwen2-untied", "qwen3"])
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[torch.nn.Module, Decoder]:
    """Theirs and ours, of the same weights, through a folder as `save_pretrained` leaves it."""
    torch.manual_seed(3)
    tied = request.param != "qwen2-untied"
    config = (
        Qwen3Config(**SHAPE, head_dim=16, tie_word_embeddings=tied)
        if request.param == "qwen3"
        else Qwen2Config(**SHAPE, tie_word_embeddings=tied)
    )
    theirs = AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
    for name, parameter in theirs.named_parameters():
        # Library defaults leave biases and norms where a forgotten one would not show.
        if name.endswith("bias") or "norm" in name:
            torch.nn.init.normal_(parameter, mean=1.0 if "norm" in name else 0.0, std=0.3)
    theirs.save_pretrained(tmp_path)
    opened = load_checkpoint(tmp_path)
    ours = load_decoder(DecoderConfig.from_huggingface(opened.config), opened.tensors, device=CPU, dtype=torch.float32)
    return theirs, ours


@torch.inference_mode()
def test_packed_sequences_give_the_logits_of_each_alone(pair: tuple[torch.nn.Module, Decoder]) -> None:
    theirs, ours = pair
    lengths = [1, 7, 33]
    sequences = [torch.randint(0, 211, (n,)) for n in lengths]
    positions = torch.cat([torch.arange(n) for n in lengths])
    logits = ours.logits(ours(torch.cat(sequences), positions, Packed(lengths)))
    for got, sequence in zip(logits.split(lengths), sequences, strict=True):
        torch.testing.assert_close(got, theirs(sequence[None]).logits[0], atol=2e-4, rtol=1e-4)


@torch.inference_mode()
def test_packed_sequences_read_in_both_directions_see_all_of_themselves(
    pair: tuple[torch.nn.Module, Decoder],
) -> None:
    theirs, ours = pair
    lengths = [1, 7, 33]
    sequences = [torch.randint(0, 211, (n,)) for n in lengths]
    positions = torch.cat([torch.arange(n) for n in lengths])
    logits = ours.logits(ours(torch.cat(sequences), positions, Packed(lengths, causal=False)))
    for got, sequence in zip(logits.split(lengths), sequences, strict=True):
        everything = torch.zeros(1, 1, len(sequence), len(sequence))
        expected = theirs(sequence[None], attention_mask=everything).logits[0]
        torch.testing.assert_close(got, expected, atol=2e-4, rtol=1e-4)
        if len(sequence) > 1:
            assert not torch.allclose(got, theirs(sequence[None]).logits[0], atol=1e-2)


@torch.inference_mode()
def test_cached_greedy_text_is_theirs(pair: tuple[torch.nn.Module, Decoder]) -> None:
    theirs, ours = pair
    prompt = torch.randint(0, 211, (19,))
    expected = theirs.generate(prompt[None], max_new_tokens=24, do_sample=False, eos_token_id=None, pad_token_id=0)[0]
    memory = MemoryConfig(routed_layers=())
    # A capacity of 4 makes the cache grow several times on the way.
    context = TextContext(
        ours.config, memory, Routers(ours.config, ()), None, capacity=4, device=CPU, dtype=torch.float32
    )
    ids = prompt.tolist()
    logits = ours.logits(ours(prompt, torch.arange(19), context)[-1:])
    for position in range(19, 19 + 24):
        token = int(logits.argmax())
        ids.append(token)
        logits = ours.logits(ours(torch.tensor([token]), torch.tensor([position]), context)[-1:])
    assert ids == expected.tolist()


class Seen:
    """An observer that keeps what it is shown."""

    def __init__(self) -> None:
        self.inputs: list[torch.Tensor] = []
        self.outputs: list[torch.Tensor] = []

    def entering(self, layer: int, hidden_TE: torch.Tensor) -> None:
        assert layer == len(self.inputs)
        self.inputs.append(hidden_TE)

    def leaving(self, layer: int, x_TE: torch.Tensor) -> None:
        assert layer == len(self.outputs)
        self.outputs.append(x_TE)


def test_an_observer_sees_every_layers_input_and_output(pair: tuple[torch.nn.Module, Decoder]) -> None:
    theirs, ours = pair
    ids = torch.tensor([3, 80, 200, 7])
    with torch.inference_mode():
        expected = theirs(ids[None], output_hidden_states=True).hidden_states  # the last one is normalised
        unseen = ours(ids, torch.arange(4), Packed([4]))
        ours.observer = seen = Seen()
        found = ours(ids, torch.arange(4), Packed([4]))
        assert torch.equal(found, unseen)
        for layer, entered in enumerate(seen.inputs):
            torch.testing.assert_close(entered, ours.layers[layer].input_layernorm(expected[layer][0]))
        for layer in (0, 1):
            torch.testing.assert_close(seen.outputs[layer], expected[layer + 1][0])
        torch.testing.assert_close(ours.norm(seen.outputs[2]), expected[3][0])
    assert len(seen.inputs) == len(seen.outputs) == 3
