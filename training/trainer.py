"""One training step, and the run around it.

A step encodes the documents of a routing batch and of a few conversations, scores every question against every document
at every routed layer (contrastive loss), and lets the conversations attend to their documents' pooled keys and values
while the model learns to name, read and answer (language-model loss).
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from codemem.model.adapter import AdapterFile, save_adapter
from codemem.model.decoder import Decoder
from codemem.model.losses import chunk_scores_to_documents, info_nce
from codemem.model.prompts import Prompts
from codemem.model.tokenizer import Tokenizer
from codemem.training.batching import no_negatives
from codemem.training.checkpoints import load_checkpoint, save_checkpoint
from codemem.training.contexts import TextMemory
from codemem.training.conversation import Conversation, positions
from codemem.training.corpus import Corpus
from codemem.training.feed import Feed, StepData
from codemem.training.holding import Held
from codemem.training.hops import HopBatch
from codemem.training.network import EncodedDocuments, Network, pad, recomputed
from codemem.training.processes import Processes
from codemem.training.recipe import Phase, Recipe
from codemem.training.written import written_losses


@dataclass(slots=True)
class StepReport:
    """What a step did; a line of the log."""

    step: int
    seconds: float
    phase: int
    losses: dict[str, float] = field(default_factory=dict)
    tokens: int = 0
    """Without padding, of this process."""


@dataclass(slots=True)
class Competing:
    """Documents that questions are scored against. Q questions, D documents, C chunks, W the keys' width."""

    routes: dict[int, Tensor]
    """By layer [D, C, W]."""
    chunks: Tensor
    """Boolean [D, C]: chunks that exist."""
    positive: npt.NDArray[np.bool_]
    """[Q, D]"""
    ignore: npt.NDArray[np.bool_]
    """[Q, D]"""


class Trainer:
    """Holds network, optimiser and counters of a run."""

    def __init__(
        self,
        decoder: Decoder,
        tokenizer: Tokenizer,
        recipe: Recipe,
        *,
        device: torch.device,
        base_sha256: str,
        processes: Processes = Processes(),  # noqa: B008 (frozen)
    ) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe, self.device, self.base_sha256, self.processes = recipe, device, base_sha256, processes
        self.prompts = Prompts(tokenizer)
        self.network = Network(decoder, self.prompts, recipe, device=device)
        groups: tuple[dict[str, Any], ...] = (
            {"params": self.network.adapter_parameters(), "peak": recipe.adapter_rate},
            {"params": self.network.router_parameters(), "peak": recipe.router_rate},
        )
        self.optimiser = torch.optim.AdamW(
            groups, lr=0.0, betas=(0.9, 0.98), weight_decay=0.01, fused=device.type == "cuda"
        )
        self.held: Held | None = None
        self.step = 0
        self.spent = 0.0

    # Losses -------------------------------------------------------------------------------------------------------

    def routing_losses(self, scores: dict[int, Tensor], positive: Tensor, ignore: Tensor) -> dict[str, Tensor]:
        """Each layer alone, the lower layers' mean (it orders as the sum that `find` ranks by), and the mean of all."""
        temperature = self.recipe.temperature
        ranking = [layer for layer in self.recipe.memory.ranking_layers if layer in scores]
        alone = [info_nce(s, positive, ignore, temperature) for s in scores.values()]
        lower = torch.stack([scores[layer] for layer in ranking]).mean(0)
        whole = torch.stack(list(scores.values())).mean(0)
        return {
            "layers": torch.stack(alone).mean(),
            "find": info_nce(lower, positive, ignore, temperature),
            "all": info_nce(whole, positive, ignore, temperature),
        }

    def answer_losses(self, conversations: list[Conversation], stored: dict[int, TextMemory]) -> dict[str, Tensor]:
        """Cross-entropy of what the model must write with `stored` attended, by layer [conversations, rows]."""
        ids, mask = pad([c.ids for c in conversations], 64, self.device)
        where, branch = (torch.zeros(ids.shape, dtype=torch.long) for _ in range(2))
        learn = torch.zeros(ids.shape, dtype=torch.bool)
        for row, conversation in enumerate(conversations):
            n = len(conversation.ids)
            where[row, :n] = torch.as_tensor(positions(conversation, self.recipe.memory))
            branch[row, :n] = torch.as_tensor(conversation.branch_of_tokens())
            learn[row, :n] = torch.as_tensor(conversation.learn)
        branches = branch.to(self.device) if any(c.further for c in conversations) else None
        hidden = self.network.read(ids, mask, where.to(self.device), stored, branches)
        targets = learn[:, 1:].to(self.device)
        logits = self.network.decoder.logits(hidden[:, :-1][targets]).float()
        return written_losses(logits, ids[:, 1:][targets], conversations, self.recipe)

    def memories(self, documents: EncodedDocuments, at: list[list[int]]) -> dict[int, TextMemory]:
        """What conversations attend to by layer: `at[i]` are rows of `documents` in conversation i's memory.

        Every other step has the lower layers alone, as the product does with a memory made for `find`.
        """
        memory = self.recipe.memory
        layers = memory.ranking_layers if self.step % 2 else memory.routed_layers
        slots = max(len(rows) for rows in at)
        rows = torch.as_tensor([[*r, *[0] * (slots - len(r))] for r in at], device=self.device)
        filled = torch.as_tensor([[True] * len(r) + [False] * (slots - len(r)) for r in at], device=self.device)
        exists = (documents.chunks[rows] & filled[..., None]).flatten(1)
        return {
            layer: TextMemory(pooled.k[rows].flatten(1, 2), pooled.v[rows].flatten(1, 2), exists)
            for layer, pooled in documents.layers.items()
            if layer in layers
        }

    # The run ------------------------------------------------------------------------------------------------------

    def rate(self, progress: float) -> float:
        """Share of the peak learning rate at `progress` in [0, 1]."""
        warmup, final = self.recipe.warmup, self.recipe.final_rate
        if progress < warmup:
            return progress / warmup
        turn = min(1.0, (progress - warmup) / (1 - warmup))
        return final + (1 - final) * 0.5 * (1 + math.cos(math.pi * turn))

    def losses(self, corpus: Corpus, data: StepData, phase: Phase) -> dict[str, Tensor]:
        """The step's losses; 'total' is what is descended. A reader of retrieved text has that of its answers alone."""
        if self.recipe.reads == "retrieved":
            written = self.answer_losses(data.conversations, {})
            return {**written, "total": written["answer"]}
        layers = self.recipe.learning_layers(phase)
        documents = self.network.encode_documents(data.documents, layers)
        losses: dict[str, Tensor] = {}
        total = torch.zeros((), device=self.device)
        if data.queries:
            losses = self.asked_losses(corpus, data, documents, layers)
            total = 0.5 * losses["layers"] + 0.25 * losses["find"] + 0.25 * losses["all"]
        if data.hops is not None:
            losses["hop"] = self.hop_loss(data.hops, documents, layers)
            total = total + self.recipe.hop_weight * losses["hop"]
        if data.held and self.held is not None:
            losses["held"] = self.held.loss(self.network, data.held)
            total = total + self.recipe.hold_weight * losses["held"]
        if data.conversations:
            losses |= self.answer_losses(data.conversations, self.memories(documents, data.memory))
            total = total + self.recipe.answer_weight * losses["answer"]
        return {**losses, "total": total}

    def asked_losses(
        self, corpus: Corpus, data: StepData, documents: EncodedDocuments, layers: tuple[int, ...]
    ) -> dict[str, Tensor]:
        """Routing losses of the step's questions over its documents."""
        queries, routes = self.network.encode_questions(data.questions, layers)
        competing = self.competing(corpus, data, documents)
        # Computed again in the backward pass: token by chunk, the scores are far larger than what they come from.
        scores = {
            layer: recomputed(
                chunk_scores_to_documents, queries[layer], routes, competing.routes[layer], competing.chunks
            )
            for layer in layers
        }
        positive, ignore = (torch.as_tensor(x).to(self.device) for x in (competing.positive, competing.ignore))
        return self.routing_losses(scores, positive, ignore)

    def hop_loss(self, hops: HopBatch, documents: EncodedDocuments, layers: tuple[int, ...]) -> Tensor:
        """Routing loss of what was read, over this process's documents, weighted as that of the questions."""
        queries, routes = self.network.encode_questions(hops.ids, layers, silent=hops.silent)
        scores = {
            layer: recomputed(
                chunk_scores_to_documents, queries[layer], routes, documents.layers[layer].route, documents.chunks
            )
            for layer in layers
        }
        positive, ignore = (torch.as_tensor(x).to(self.device) for x in (hops.positive, hops.ignore))
        losses = self.routing_losses(scores, positive, ignore)
        return 0.5 * losses["layers"] + 0.25 * losses["find"] + 0.25 * losses["all"]

    def competing(self, corpus: Corpus, data: StepData, documents: EncodedDocuments) -> "Competing":
        """What this process's questions compete over: its own documents or, with `gather`, those of all processes."""
        own = {layer: memory.route for layer, memory in documents.layers.items()}
        if self.processes.count == 1 or not self.recipe.gather:
            return Competing(own, documents.chunks, data.positive, data.ignore)
        n, c = (self.processes.widest(size, self.device) for size in documents.chunks.shape)
        wide = (0, c - documents.chunks.shape[1], 0, n - documents.chunks.shape[0])
        routes = {layer: self.processes.gather(F.pad(x, (0, 0, *wide))).flatten(0, 1) for layer, x in own.items()}
        chunks = self.processes.gather(F.pad(documents.chunks, wide).to(torch.uint8)).flatten(0, 1).bool()
        indices = torch.full((n,), -1, dtype=torch.long, device=self.device)
        indices[: len(data.indices)] = torch.as_tensor(data.indices, device=self.device)
        every = self.processes.gather(indices).flatten().tolist()
        first = self.processes.rank * n
        real = [i for i, index in enumerate(every) if index >= 0]
        ignore = np.ones((len(data.queries), len(every)), bool)  # rows that only pad are no documents
        ignore[:, real] = no_negatives(corpus, data.queries, [every[i] for i in real])
        positive = np.zeros_like(ignore)
        own_columns = slice(first, first + len(data.indices))
        positive[:, own_columns] = data.positive
        ignore[:, own_columns] |= data.ignore
        return Competing(routes, chunks, positive, ignore & ~positive)

    def train_step(
        self, corpus: Corpus, data: StepData, phase: int, progress: float, *, began: float | None = None
    ) -> StepReport:
        """One optimiser step; left out if its gradient is not finite. `began`: since when its time counts."""
        began = time.perf_counter() if began is None else began
        losses = self.losses(corpus, data, self.recipe.phases[phase])
        losses["total"].backward()  # type: ignore[no-untyped-call]
        held = [p for group in self.optimiser.param_groups for p in group["params"] if p.grad is not None]
        self.processes.average(p.grad for p in held if p.grad is not None)
        norm = float(nn.utils.clip_grad_norm_(held, self.recipe.clip))
        for group in self.optimiser.param_groups:
            group["lr"] = group["peak"] * self.rate(progress)
        if math.isfinite(norm):  # the same on all processes, whose gradients are averaged
            self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        self.step += 1
        values = torch.stack([value.detach().float() for value in losses.values()]).tolist()  # a GPU is asked only once
        report = dict(zip(losses, values, strict=True))
        self.spent += self.processes.agree(time.perf_counter() - began, self.device)
        return StepReport(self.step, self.spent, phase, {**report, "norm": norm}, data.tokens)

    @property
    def progress(self) -> float:
        """The share of the run's budget that is spent, 1 or more at its end."""
        return self.spent / self.recipe.seconds if self.recipe.seconds else self.step / self.recipe.steps

    def run(self, corpus: Corpus, *, log: Callable[[StepReport], None], seconds: float | None = None) -> None:
        """Trains until the recipe's steps or seconds are spent, or until `seconds` of this call have passed.

        The same seed and the same stops give the same run.
        """
        began = lap = time.perf_counter()
        while self.progress < 1.0:
            phase = self.recipe.phase_at(self.progress)
            own = {"rank": self.processes.rank, "count": self.processes.count}
            seed = self.recipe.seed + self.step
            with Feed(corpus, self.prompts, self.recipe, self.recipe.phases[phase], seed=seed, **own) as steps:
                for data in steps:
                    log(self.train_step(corpus, data, phase, self.progress, began=lap))
                    lap = time.perf_counter()
                    call = self.processes.agree(time.perf_counter() - began, self.device)
                    if seconds is not None and call > seconds:
                        return
                    if self.progress >= 1.0 or self.recipe.phase_at(self.progress) != phase:
                        break

    # Files --------------------------------------------------------------------------------------------------------

    def _parameters(self) -> dict[str, Tensor]:
        named: dict[str, Tensor] = {f"routers.{n}": p for n, p in self.network.routers.named_parameters()}
        for name, adapter in self.network.adapters.items():
            named[f"{name}.a"], named[f"{name}.b"] = adapter.a, adapter.b
        return named

    def save_checkpoint(self, path: Path) -> None:
        """Parameters, optimiser and counters; `load_checkpoint` goes on from it."""
        counters = {"step": self.step, "spent": self.spent}
        save_checkpoint(path, self._parameters(), self.optimiser, counters)

    def load_checkpoint(self, path: Path) -> None:
        """Goes on where `save_checkpoint` was called. Raises `ValueError` for a run of other shapes."""
        counters = load_checkpoint(path, self._parameters(), self.optimiser)
        self.step, self.spent = int(counters["step"]), counters["spent"]

    def start_from(self, path: Path) -> None:
        """Begins with the parameters of an adapter file, as its 8 bits hold them; the optimiser starts anew.

        Raises `WeightsCorrupt` if the file is none, `ValueError` if it is of other layers or another rank.
        """
        file = AdapterFile(path)
        if file.memory.routed_layers != self.recipe.memory.routed_layers:
            raise ValueError(f"{path} routes at layers {file.memory.routed_layers}: the run must, too")
        if file.memory.bidirectional and not self.recipe.memory.bidirectional:
            raise ValueError(f"{path} encodes documents in both directions: the run must, too (--memory)")
        for name, parameter in self._parameters().items():
            matrix = file.matrix(name)
            if matrix.shape != parameter.shape:
                raise ValueError(f"{path}: {name} is {tuple(matrix.shape)}, this run's {tuple(parameter.shape)}")
            parameter.data.copy_(matrix)

    def export(self, path: Path) -> None:
        """The 8-bit file that ships. That of a reader says that nothing is named and no memory attended; its routers
        are those it began with."""
        memory = replace(self.recipe.memory, names=self.recipe.names)
        if self.recipe.reads == "retrieved":
            memory = replace(memory, names=False, attends=False)
        save_adapter(path, self.network.adapters, self.network.routers, memory, self.base_sha256)
