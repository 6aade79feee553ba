"""The real default weights, as converted, are the model that they should be."""

from pathlib import Path

import pytest
import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

from codemem.model.tokenizer import Tokenizer
from codemem.model.weights import load_checkpoint

PROMPT = "def fibonacci(n):\n    if n <= 1:\n        return n\n    return"


@pytest.mark.weights
def test_the_public_implementation_continues_code_with_our_tensors(real_checkpoint: Path) -> None:
    """A wrong name, order of rows or tied matrix would give noise; checked greedily, hence the same on every run."""
    config, tensors = load_checkpoint(real_checkpoint)
    with torch.device("meta"):
        model = Qwen2ForCausalLM(Qwen2Config(**config))
    state = {name: tensors[name].float() for name in tensors}
    state["lm_head.weight"] = state["model.embed_tokens.weight"]
    model.load_state_dict(state, strict=True, assign=True)
    model.model.rotary_emb = type(model.model.rotary_emb)(model.config)
    tokenizer = Tokenizer.from_folder(real_checkpoint)
    prompt = torch.tensor([tokenizer.encode_text(PROMPT)])
    with torch.inference_mode():
        made = model.eval().generate(prompt, max_new_tokens=12, do_sample=False)
    assert tokenizer.decode(made[0, prompt.shape[1] :].tolist()).startswith(" fibonacci(n-1) + fibonacci(n-2)")
