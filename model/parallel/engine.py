"""A model on several processes behind the interface of one: the first process commands, all of them do the same work.

Encoding is dealt out by documents. A bank is dealt out by shares; ranking and answering then run in every process in
step, with the collectives of `SharedBank` inside, and the first process's choice of each token counts for all.
"""

import json
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from codemem.model.engine import Engine
from codemem.model.entry import Entry, EntryLayout, TokenisedDocument
from codemem.model.errors import ModelError
from codemem.model.events import Answer, AnswerEvent, Definition, Ranking, Source
from codemem.model.msa4b.bank import Msa4bBank, numbers_of
from codemem.model.msa4b.engine import NUMBER, Msa4bEngine
from codemem.model.msa4b.tokens import NumberedDocument
from codemem.model.parallel.group import Group
from codemem.model.parallel.memory import SharedBank, SharedMsa4bBank
from codemem.model.parallel.wire import (
    deal,
    documents_from_bytes,
    documents_to_bytes,
    entries_from_bytes,
    entries_to_bytes,
)
from codemem.model.store import LoadedEntries

AnyEngine = Engine | Msa4bEngine
_UNHURRIED = math.inf
"""For waits at the end of encoding, and for whoever listens to an answer: there only a death counts."""


class _Abandoned(Exception):
    """The first process could not go on with an answer, and has said why to its caller."""


class Worker:
    """What every process does for a command; `serve` runs it in all but the first."""

    def __init__(self, engine: AnyEngine, group: Group) -> None:
        self.engine, self.group = engine, group
        self.banks: dict[int, SharedBank | SharedMsa4bBank] = {}
        self._agree_on_the_model()
        if isinstance(engine, Msa4bEngine):
            engine.slot = None  # recorded prompts have not been run beside collectives (decision 0032)
        engine.decoder.agree = group.broadcast

    def _agree_on_the_model(self) -> None:
        """Raises `ModelError`, in every process, naming one whose weights, adapter or format are not the first's."""
        found = self.group.gather_bytes(self.engine.layout.fingerprint.encode())
        for rank, fingerprint in enumerate(found):
            if fingerprint != found[0]:
                raise ModelError(
                    f"{self.group.members[rank]} loaded another model or format than {self.group.members[0]}: "
                    "bring the same weights, adapter and release to every host"
                )

    def serve(self) -> None:
        """Until the first process ends. Raises `WorkerLost` if it dies."""
        number = 0
        while True:
            number += 1
            command = json.loads(self.group.await_post(f"command/{number}"))
            if command["do"] == "end":
                return
            try:
                getattr(self, command.pop("do"))(**command)
            except _Abandoned:
                continue
            except ModelError as error:
                self.group.fail(str(error))
                raise

    def encode(self, find: bool, documents: Sequence[TokenisedDocument] = ()) -> list[bytes]:
        """Everyone's entries as bytes, in the first process."""
        layout = self.engine.find_layout if find else self.engine.layout
        every = documents_from_bytes(self.group.broadcast_bytes(documents_to_bytes(documents)))
        mine = _share_out(every, self.group.size)[self.group.rank]
        entries = list(self.engine.encode(mine, layout))
        return self.group.collect_bytes(entries_to_bytes(entries, layout), patience_s=_UNHURRIED)

    def bank(self, number: int, find: bool, entries: LoadedEntries | None = None) -> SharedBank | SharedMsa4bBank:
        layout = self.engine.find_layout if find else self.engine.layout
        mine, share, whole = deal(self.group, entries)
        local = self.engine.bank(mine, layout)
        made: SharedBank | SharedMsa4bBank
        if isinstance(local, Msa4bBank):
            numbers = numbers_of(entries, NUMBER) if entries is not None else []
            numbers = json.loads(self.group.broadcast_bytes(json.dumps(numbers).encode()))
            made = SharedMsa4bBank.over(local, self.group, share, _documents(numbers, whole))
        else:
            made = SharedBank(local, self.group, share, whole.chunk_ends)
        self.banks[number] = made
        return made

    def drop(self, numbers: Sequence[int]) -> None:
        for number in numbers:
            self.banks.pop(number, None)

    def rank(self, number: int, query: str) -> Ranking:
        return self.engine.rank(query, self.banks[number])  # type: ignore[arg-type]

    def answer(
        self,
        number: int,
        question: str,
        limits: dict[str, int],
        prior: bool,
        caller: "_Caller | None" = None,
    ) -> None:
        """In all but the first process: the same conversation, its events thrown away."""
        for _ in self.conversation(number, question, limits, prior, caller):
            pass

    def conversation(
        self, number: int, question: str, limits: dict[str, int], prior: bool, caller: "_Caller | None"
    ) -> Iterator[AnswerEvent]:
        ranked = None
        if prior:
            sent = b"" if caller is None or caller.prior is None else caller.prior.astype(np.float32).tobytes()
            ranked = np.frombuffer(self.group.broadcast_bytes(sent), np.float32).copy()
        bank = self.banks[number]
        return self.engine.answer(
            question,
            bank,  # type: ignore[arg-type]
            lambda index: self._read(index, caller),
            prior=ranked,
            cancelled=lambda: self._cancelled(caller),
            **limits,
        )

    def _read(self, index: int, caller: "_Caller | None") -> Source:
        """The text that the first process reads, in all of them."""
        sent = b""
        failure: Exception | None = None
        if caller is not None:
            try:
                source = caller.read(index)
                sent = json.dumps(asdict(source)).encode("utf-8", "surrogatepass")
            except Exception as error:  # whatever it is, the others must not wait
                failure, sent = error, b"null"
        found = json.loads(self.group.broadcast_bytes(sent, patience_s=_UNHURRIED).decode("utf-8", "surrogatepass"))
        if failure is not None:
            raise failure
        if found is None:
            raise _Abandoned
        definitions = tuple(Definition(**definition) for definition in found.pop("definitions"))
        return Source(**found, definitions=definitions)

    def _cancelled(self, caller: "_Caller | None") -> bool:
        flag = torch.tensor([int(caller is not None and caller.cancelled())], device=self.group.device)
        return bool(self.group.broadcast(flag, patience_s=_UNHURRIED).item())


class _Caller:
    """What only the first process has: the caller's functions."""

    def __init__(
        self,
        read: Callable[[int], Source],
        cancelled: Callable[[], bool],
        prior: npt.NDArray[np.float32] | None,
    ) -> None:
        self.read, self.prior = read, prior
        self.gone = False
        self._cancelled = cancelled

    def cancelled(self) -> bool:
        return self.gone or self._cancelled()


class ParallelEngine:
    """The first process's view: an engine like any other (`codemem.engine_interface.MemoryEngine`)."""

    def __init__(self, engine: AnyEngine, group: Group) -> None:
        self._worker, self._group = Worker(engine, group), group
        self.name, self.device = engine.name, engine.device
        self.layout, self.find_layout = engine.layout, engine.find_layout
        self._commands, self._banks = 0, 0
        self._numbers: dict[int, int] = {}

    def _command(self, do: str, **arguments: Any) -> None:
        self._commands += 1
        self._group.post(f"command/{self._commands}", json.dumps({"do": do, **arguments}).encode())

    @contextmanager
    def _telling(self) -> Iterator[None]:
        """If this process cannot go on, the others hear why."""
        try:
            yield
        except ModelError as error:
            self._group.fail(str(error))
            raise

    def tokenise(self, documents: Sequence[tuple[str, str]]) -> list[TokenisedDocument]:
        return self._worker.engine.tokenise(documents)

    def count_tokens(self, text: str) -> int:
        return self._worker.engine.count_tokens(text)

    def encode(self, documents: Sequence[TokenisedDocument], layout: EntryLayout) -> Iterator[Entry]:
        """Entries in no particular order."""
        if not documents:
            return
        find = layout == self.find_layout
        self._command("encode", find=find)
        with self._telling():
            parts = self._worker.encode(find, documents)
        for part in parts:
            yield from entries_from_bytes(part, layout)

    def bank(self, entries: LoadedEntries, layout: EntryLayout) -> SharedBank | SharedMsa4bBank:
        """Deals the entries out. One bank is kept: it takes the place of the one made before it."""
        old = self._banks
        self._banks += 1
        find = layout == self.find_layout
        if old:
            self._command("drop", numbers=[old])
            self._worker.drop([old])
        self._command("bank", number=self._banks, find=find)
        with self._telling():
            return self._worker.bank(self._banks, find, entries)

    def _number(self, bank: SharedBank | SharedMsa4bBank) -> int:
        if self._worker.banks.get(self._banks) is not bank:
            raise ValueError("this bank was replaced by another: several processes keep one at a time")
        return self._banks

    def rank(self, query: str, bank: SharedBank | SharedMsa4bBank) -> Ranking:
        number = self._number(bank)
        self._command("rank", number=number, query=query)
        with self._telling():
            return self._worker.rank(number, query)

    def answer(
        self,
        question: str,
        bank: SharedBank | SharedMsa4bBank,
        read: Callable[[int], Source],
        *,
        prior: npt.NDArray[np.float32] | None = None,
        max_rounds: int | None = None,
        source_tokens: int = 3000,
        max_tokens: int = 400,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> Iterator[AnswerEvent]:
        limits = {"max_rounds": max_rounds, "source_tokens": source_tokens, "max_tokens": max_tokens}
        about: dict[str, Any] = {
            "number": self._number(bank),
            "question": question,
            "limits": limits,
            "prior": prior is not None,
        }
        self._command("answer", **about)
        caller = _Caller(read, cancelled, prior)
        events = self._worker.conversation(**about, caller=caller)
        try:
            for event in events:
                yield event
                if isinstance(event, Answer):
                    return
        except GeneratorExit:
            # Whoever listened has gone. The others are still in step: end the conversation with them.
            caller.gone = True
            for _ in events:
                pass
            raise

    def close(self) -> None:
        """Ends the other processes' work and leaves the group."""
        self._command("end")
        self._group.leave()


def _share_out(documents: Sequence[TokenisedDocument], size: int) -> list[list[TokenisedDocument]]:
    """Longest first to whoever has least; everyone computes the same."""
    parts: list[list[TokenisedDocument]] = [[] for _ in range(size)]
    loads = [0] * size
    for document in sorted(documents, key=lambda d: -len(d.ids)):
        least = loads.index(min(loads))
        parts[least].append(document)
        loads[least] += len(document.ids)
    return parts


def _documents(numbers: Sequence[int], whole: LoadedEntries) -> list[NumberedDocument]:
    spans = zip(whole.offsets.tolist(), whole.offsets[1:].tolist(), strict=False)
    nothing = np.zeros(0, np.uint32)
    return [
        NumberedDocument(number, nothing, np.asarray(whole.chunk_ends[start:end]))
        for number, (start, end) in zip(numbers, spans, strict=True)
    ]
