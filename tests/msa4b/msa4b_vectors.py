"""Golden vectors of our own making: what the dense float64 reference computes, in the layout of the public engine's.

For shapes and courses of conversation that the given vectors do not have. Prompts and transcripts are made from strings
with the tokenizer itself, as the engine makes them.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from msa4b_reference import Reference, Run, Turn
from msa4b_tiny import Shape, write_checkpoint
from safetensors.torch import save_file
from tokenizers import Tokenizer

MARKER = "<|object_ref_end|>"
BEGIN = "\nPlease answer the question based on the above historical document information\n\n"
ANCHOR = "\nPlease return all documents related to the question"
WAIT = -1
"""In a script: the sample has closed its round and waits."""


@dataclass
class Sample:
    """One prompt of a call and what it will say. `script`: ids passed one by one; `request` appended after them."""

    submitted: str
    text: str
    script: list[int]
    routes: list[tuple[int, int]]
    """Spans of characters of `text` that route."""
    request: str = ""
    after: int = 0
    """Greedy ids after the request."""


@dataclass
class Writer:
    """Builds one folder with one checkpoint."""

    folder: Path
    shape: Shape
    texts: list[str]
    seed: int = 5
    tensors: dict[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        checkpoint = write_checkpoint(self.folder / "ckpt", self.shape, seed=self.seed)
        self.reference = Reference(checkpoint, cosine=self.shape.method == "INFONCE")
        self.tokenizer = Tokenizer.from_file(str(checkpoint / "tokenizer.json"))
        self.documents = [self.ids(f"<|im_start|>[{i}]. {t}[{i}]<|im_end|>") for i, t in enumerate(self.texts)]
        encoded = [self.reference.encode(ids) for ids in self.documents]
        self.memory = [memory for memory, _ in encoded]
        self.tensors["memory.last_hidden"] = np.stack([hidden for _, hidden in encoded])
        for layer in self.reference.routed:
            for name in ("k", "v", "router"):
                rows = np.concatenate([getattr(memory[layer], name) for memory in self.memory])
                if name == "router" and self.reference.cosine:
                    rows = rows / np.linalg.norm(rows, axis=-1, keepdims=True)
                self.tensors[f"memory.{layer}.{name}"] = rows
        sizes = [
            [min(self.shape.chunk, len(d) - i) for i in range(0, len(d), self.shape.chunk)] for d in self.documents
        ]
        self.tensors["memory.tokens"] = np.array([n for size in sizes for n in size])
        self.tensors["memory.doc"] = np.array([i for i, size in enumerate(sizes) for _ in size])

    def ids(self, text: str) -> list[int]:
        return list(self.tokenizer.encode(text, add_special_tokens=False).ids)

    def question(self, question: str, script: list[int], **more: Any) -> Sample:
        text = f"{BEGIN}{question}{ANCHOR}\n"
        return Sample(question, f"{text}<|im_end|>\n<|im_start|>", script, [(0, len(text))], **more)

    def again(self, transcript: str, script: list[int], route_from: str, **more: Any) -> Sample:
        """`route_from`: the beginning of the documents that route, found from the end."""
        start = transcript.rindex(route_from)
        spans = [(0, transcript.index(ANCHOR) + len(ANCHOR)), (start, transcript.index(MARKER, start))]
        return Sample(f"<regenerate>{transcript}", transcript, script, spans, **more)

    def call(self, index: int, samples: list[Sample], passes: int) -> dict[str, Any]:
        """Adds a call's tensors; returns its JSON."""
        rows = [self._sample(sample, passes) for sample in samples]
        width = max(len(row["input_ids"]) for row in rows)
        name = f"call{index}."
        for key in ("input_ids", "classes", "positions", "attention_mask", "final", "logits"):
            fill = self._padding(key)
            stacked = [np.concatenate([np.full((width - len(r[key]), *r[key].shape[1:]), fill), r[key]]) for r in rows]
            self.tensors[f"{name}prompt.{key}"] = np.stack(stacked)
        for key in rows[0]:
            if key.startswith(("route.", "decode.")) and key != "decode.splits":
                self.tensors[name + key] = np.stack([row[key] for row in rows])
        self.tensors[f"{name}decode.splits"] = rows[0]["decode.splits"]
        return {
            "submitted": [sample.submitted for sample in samples],
            "forced_output_ids": [[i for i in sample.script if i != WAIT] for sample in samples],
            "argmax": [row["decode.logits"].argmax(-1).tolist() for row in rows],
        }

    def _padding(self, key: str) -> float:
        special = {"input_ids": self.ids("<|endoftext|>")[0], "positions": 3 + self.shape.top_k}
        return special.get(key, 0)

    def _sample(self, sample: Sample, passes: int) -> dict[str, np.ndarray]:
        ids = self.ids(sample.text)
        classes = np.full(len(ids), -1)
        for start, end in sample.routes:
            first = len(self.ids(sample.text[:start]))
            classes[first : first + len(self.ids(sample.text[start:end]))] = 0
        if not sample.submitted.startswith("<regenerate>"):
            classes[-3:-1] = -2
        template = Turn(self.ids("<|im_start|>user\n"), [False] * 3)
        turns = [template, Turn(ids, (classes == 0).tolist())]
        said = [i for i in sample.script if i != WAIT]
        turns += [Turn([i], [False]) for i in said]
        if sample.request:
            request = self.ids(sample.request)
            turns.append(Turn(request, [False] * len(request), causal=False))
            for _ in range(sample.after):
                best = int(self.reference.read(turns, self.memory).logits[-1].argmax())
                turns.append(Turn([best], [False]))
        run = self.reference.read(turns, self.memory)
        first = 3 + len(ids)
        row = {
            "input_ids": np.array(ids),
            "classes": classes,
            "positions": np.arange(len(ids)) + 3 + self.shape.top_k,
            "attention_mask": np.ones(len(ids), dtype=int),
            "final": run.final[3:first],
            "logits": run.logits[3:first],
        }
        return row | self._routes(run) | self._decoded(run, turns[2:], sample.script.count(WAIT), first, passes)

    def _routes(self, run: Run) -> dict[str, np.ndarray]:
        found = {}
        absent = max(0, self.shape.top_k - len(self.documents))
        for layer, chosen in run.chosen[1].items():
            scores = run.scores[1][layer]
            found[f"route.{layer}.doc_scores"] = scores
            found[f"route.{layer}.chosen"] = np.array([*chosen, *[0] * absent])
            found[f"route.{layer}.chosen_scores"] = np.array([*scores[chosen], *[-3.4e38] * absent])
        return found

    def _decoded(self, run: Run, turns: list[Turn], waits: int, first: int, passes: int) -> dict[str, np.ndarray]:
        """What was fed later; a sample that waits repeats its last id at its last position."""
        ids = [i for turn in turns for i in turn.ids]
        positions = list(range(first + self.shape.top_k, first + self.shape.top_k + len(ids)))
        splits = [len(turn.ids) for turn in turns] + [1] * waits
        assert len(splits) == passes
        last = np.cumsum([0, *splits[: len(turns)]]) + first - 1
        logits = np.concatenate([run.logits[last], np.zeros((waits, run.logits.shape[1]))])
        return {
            "decode.input_ids": np.array(ids + ids[-1:] * waits),
            "decode.positions": np.array(positions + positions[-1:] * waits),
            "decode.splits": np.array(splits),
            "decode.final": np.concatenate([run.final[first:], np.zeros((waits, run.final.shape[1]))]),
            "decode.logits": logits,
        }

    def write(self, name: str, calls: list[dict[str, Any]]) -> None:
        case = {
            "name": name,
            "checkpoint": "ckpt",
            "aux_loss_method": self.shape.method,
            "top_k_docs": self.shape.top_k,
            "pooling_kernel_size": self.shape.chunk,
            "router_layers": self.reference.routed,
            "first_prompt_position": 3 + self.shape.top_k,
            "template_ids": self.ids("<|im_start|>user\n"),
            "documents": [
                {"id": i, "text": text, "input_ids": ids}
                for i, (text, ids) in enumerate(zip(self.texts, self.documents, strict=True))
            ],
            "calls": calls,
        }
        (self.folder / "cases").mkdir(exist_ok=True)
        (self.folder / "cases" / f"{name}.json").write_text(json.dumps(case))
        tensors = {n: torch.from_numpy(np.ascontiguousarray(t)) for n, t in self.tensors.items()}
        tensors = {n: t.to(torch.float32 if t.is_floating_point() else torch.int32) for n, t in tensors.items()}
        save_file(tensors, self.folder / "cases" / f"{name}.safetensors")
