"""Replays one case of golden vectors and keeps what it computes under the vectors' own names.

Shapes: B prompts of a call, n prompt length, T tokens fed later, as in the vectors' documentation.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from codemem.evals.golden_engine import Batch, EngineTokenizer
from codemem.kernels.route import fold_query
from codemem.model.memory import EncodingContext
from codemem.model.msa4b.checkpoint import Msa4bModel
from codemem.model.msa4b.conversation import Conversation
from codemem.model.msa4b.memory import Msa4bMemory
from codemem.model.msa4b.tokens import NumberedDocument

ABSENT = -1
"""Document id of a place that no document fills."""
ABSENT_SCORE = -3.4e38


@dataclass
class Replay:
    """A case being replayed."""

    model: Msa4bModel
    tokenizer: EngineTokenizer
    case: dict[str, Any]
    passes: list[int]
    """Per call, how many passes follow the prompt's."""
    tensors: dict[str, Tensor] = field(default_factory=dict)
    valid: dict[str, Tensor] = field(default_factory=dict)
    """Boolean, by tensor name: where a padded batch holds something. Absent: everywhere."""
    facts: dict[str, object] = field(default_factory=dict)
    """What the case's JSON states: compared for equality."""
    documents: dict[int, int] = field(default_factory=dict)
    """A document's place by its number."""

    @torch.inference_mode()
    def run(self) -> None:
        memory = self._encode()
        for index, call in enumerate(self.case["calls"]):
            self._call(f"call{index}.", call, memory, self.passes[index])

    def _encode(self) -> Msa4bMemory:
        """All documents in one pack, to the top of the decoder."""
        model, chunk_tokens = self.model, self.model.config.memory.chunk_tokens
        read = [
            document["input_ids"] if document["text"] is None else self.tokenizer.document(document)
            for document in self.case["documents"]
        ]
        self.facts["documents.input_ids"] = read
        documents = [
            _document(document["id"], document["input_ids"] or ids, chunk_tokens)
            for document, ids in zip(self.case["documents"], read, strict=True)
        ]
        self.documents = {document.number: index for index, document in enumerate(documents)}
        lengths = torch.tensor([len(document.ids) for document in documents])
        context = EncodingContext(lengths.tolist(), model.routers, model.config.memory)
        ids = torch.from_numpy(np.concatenate([document.ids for document in documents]).astype(np.int64))
        positions = torch.cat([torch.arange(n) for n in lengths.tolist()])
        hidden = model.decoder(ids.to(model.device), positions.to(model.device), context)
        memory = Msa4bMemory.of(model)
        memory.append(documents, context.pooled)
        self.tensors["memory.last_hidden"] = hidden[lengths.cumsum(0).to(model.device) - 1]
        self._keep_memory(memory, lengths)
        return memory

    def _keep_memory(self, memory: Msa4bMemory, lengths: Tensor) -> None:
        chunk_tokens = self.model.config.memory.chunk_tokens
        for layer in self.model.config.memory.routed_layers:
            entries = memory.layer(layer)
            self.tensors[f"memory.{layer}.k"], self.tensors[f"memory.{layer}.v"] = entries.k, entries.v
            self.tensors[f"memory.{layer}.router"] = entries.route.view_as(entries.k)
        offsets = memory.chunk_offsets.cpu()
        owner = torch.arange(len(lengths)).repeat_interleave(offsets.diff())
        before = (torch.arange(len(owner)) - offsets[owner]) * chunk_tokens
        self.tensors["memory.doc"] = owner
        self.tensors["memory.tokens"] = (lengths[owner] - before).clamp_max(chunk_tokens)

    def _call(self, name: str, call: dict[str, Any], memory: Msa4bMemory, passes: int) -> None:
        texts = {d["id"]: d["text"] for d in self.case["documents"] if d["text"] is not None}
        batch = Batch(self.tokenizer, self.model.protocol, call, texts)
        first = self.case.get("first_prompt_position") or self.model.config.question_position
        self._keep_prompt(name, batch, first)
        rows = []
        for prompt in batch.prompts:
            conversation = Conversation(self.model, memory)
            self._keep_template(conversation)
            conversation.position = first
            with _recording(self.model) as recorded:
                hidden = conversation.feed(prompt.prompt)
            rows.append(self._prompt_tensors(prompt.routing, recorded, hidden, conversation, memory))
            batch.open(conversation, hidden)
        self._keep_rows(name, rows, batch)
        batch.decode(passes)
        self._keep_decoding(name, batch)

    def _keep_template(self, conversation: Conversation) -> None:
        self.facts["template_ids"] = self.model.protocol.template
        for layer, cache in enumerate(conversation.context.layers):
            self.tensors[f"template.{layer}.k"] = cache.k[: cache.text_rows].clone()
            self.tensors[f"template.{layer}.v"] = cache.v[: cache.text_rows].clone()

    def _prompt_tensors(
        self,
        routing: list[bool],
        recorded: "_Recorded",
        hidden: Tensor,
        conversation: Conversation,
        memory: Msa4bMemory,
    ) -> dict[str, Tensor]:
        """What one prompt pass computed, by the name that follows the call's."""
        config = self.model.config
        found = {"prompt.final": hidden, "prompt.logits": self.model.decoder.logits(hidden)}
        found |= {f"prompt.layer.{layer}": x for layer, x in recorded.outputs.items()}
        mask = torch.tensor(routing, device=hidden.device)
        for layer, route in conversation.context.routes.items():
            queries = self.model.routers.at(layer).query(recorded.inputs[layer])
            folded = fold_query(queries[mask], config.decoder.kv_heads, normalise=config.memory.cosine)
            shown = normalize(queries, dim=-1) if config.memory.cosine else queries
            found[f"route.{layer}.query"] = shown.transpose(0, 1)
            found[f"route.{layer}.chunk_scores"] = memory.chunk_scores(layer, folded)
            found[f"route.{layer}.doc_scores"] = memory.document_scores(layer, folded)
            absent = config.memory.top_k - len(route.documents)
            numbers = [memory.documents[i].number for i in route.documents.tolist()]
            found[f"route.{layer}.chosen"] = torch.tensor(numbers + [ABSENT] * absent)
            scores = route.scores.cpu()
            found[f"route.{layer}.chosen_scores"] = torch.cat([scores, torch.full((absent,), ABSENT_SCORE)])
            attended = memory.rows(route.documents.sort().values).tolist()
            self.facts.setdefault(f"route.{layer}.attended_chunks", []).append(attended)  # type: ignore[attr-defined]
        return found

    def _keep_prompt(self, name: str, batch: Batch, first: int) -> None:
        width = batch.width
        ids, classes, positions, mask = [], [], [], []
        for prompt in batch.prompts:
            pad = width - len(prompt.ids)
            ids.append([batch.padding] * pad + prompt.ids)
            classes.append([0] * pad + prompt.classes)
            positions.append([first] * pad + list(range(first, first + len(prompt.ids))))
            mask.append([0] * pad + [1] * len(prompt.ids))
        for leaf, value in (
            ("input_ids", ids),
            ("classes", classes),
            ("positions", positions),
            ("attention_mask", mask),
        ):
            self.tensors[f"{name}prompt.{leaf}"] = torch.tensor(value)
            if leaf != "attention_mask":  # what a padded place holds means nothing
                self.valid[f"{name}prompt.{leaf}"] = torch.tensor(mask).bool()

    def _keep_rows(self, name: str, rows: list[dict[str, Tensor]], batch: Batch) -> None:
        """Stacks the prompts of a batch, padded on the left."""
        mask = self.tensors[f"{name}prompt.attention_mask"].bool()
        for leaf in rows[0]:
            values = [row[leaf] for row in rows]
            if leaf.startswith("prompt."):
                values = [_left_padded(value, batch.width, dim=0) for value in values]
                self.valid[name + leaf] = mask
            elif leaf.endswith(".query"):
                values = [_left_padded(value, batch.width, dim=1) for value in values]
                self.valid[name + leaf] = mask[:, None, :].expand(-1, values[0].shape[0], -1)
            self.tensors[name + leaf] = torch.stack(values)
        for key in [key for key in self.facts if key.startswith("route.")]:
            self.facts[name + key] = self.facts.pop(key)
        if len(rows) == 1:  # the engine's lengths count a batch's padding
            caches = batch.samples[0].conversation.context.layers
            lengths = {str(layer): cache.memory_rows + cache.text_rows for layer, cache in enumerate(caches)}
            self.facts[f"{name}kv_lengths"] = lengths

    def _keep_decoding(self, name: str, batch: Batch) -> None:
        self.tensors[f"{name}decode.logits"] = torch.stack(batch.logits, dim=1)
        self.tensors[f"{name}decode.splits"] = torch.tensor(batch.splits)
        self.facts[f"{name}transcripts"] = [sample.transcript() for sample in batch.samples]
        if not batch.splits:
            return
        valid = torch.tensor([sample.valid for sample in batch.samples])
        self.tensors[f"{name}decode.input_ids"] = torch.tensor([sample.fed for sample in batch.samples])
        self.tensors[f"{name}decode.positions"] = torch.tensor([sample.positions for sample in batch.samples])
        self.tensors[f"{name}decode.final"] = torch.stack([torch.cat(sample.hidden) for sample in batch.samples])
        self.valid[f"{name}decode.final"] = valid
        last = torch.tensor(batch.splits).cumsum(0) - 1
        self.valid[f"{name}decode.logits"] = torch.cat([valid[:, :1] | True, valid[:, last]], dim=1)


@dataclass
class _Recorded:
    """By layer, for the pass that was recorded: a decoder's `Observer`."""

    inputs: dict[int, Tensor] = field(default_factory=dict)
    """RMS-normalised."""
    outputs: dict[int, Tensor] = field(default_factory=dict)

    def entering(self, layer: int, hidden_TE: Tensor) -> None:
        self.inputs[layer] = hidden_TE

    def leaving(self, layer: int, x_TE: Tensor) -> None:
        self.outputs[layer] = x_TE


@contextmanager
def _recording(model: Msa4bModel) -> Iterator[_Recorded]:
    recorded = _Recorded()
    model.decoder.observer = recorded
    try:
        yield recorded
    finally:
        model.decoder.observer = None


def _document(number: int, token_ids: list[int], chunk_tokens: int) -> NumberedDocument:
    ids = np.asarray(token_ids, dtype=np.uint32)
    chunks = -(-len(ids) // chunk_tokens)
    return NumberedDocument(number, ids, np.zeros(chunks, dtype=np.uint32))


def _left_padded(x: Tensor, length: int, *, dim: int) -> Tensor:
    missing = list(x.shape)
    missing[dim] = length - missing[dim]
    return torch.cat([x.new_zeros(missing), x], dim=dim)
