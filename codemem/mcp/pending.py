"""Answers that take longer than a client waits: they go on, and the same question asked again joins them."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

KEPT = 4
"""Questions under way, or answered and not fetched; the oldest is given up for a fifth."""

Hear = Callable[[str, Mapping[str, Any]], None]
Work = Callable[[Hear], Coroutine[Any, Any, Mapping[str, Any]]]


@dataclass(slots=True)
class _Question:
    task: "asyncio.Task[Mapping[str, Any]]"
    hearing: list[Hear]


class Pending:
    """Close it."""

    def __init__(self) -> None:
        self._questions: OrderedDict[str, _Question] = OrderedDict()

    async def answer(self, question: str, work: Work, hear: Hear, patience: float) -> Mapping[str, Any] | None:
        """The result, begun with `work` unless it is under way; None if it takes longer than so many seconds.

        Raises what the work raised. Cancelling the caller cancels the work, unless someone else waits for it too.
        """
        known = self._questions.get(question) or self._begin(question, work)
        known.hearing.append(hear)
        try:
            done, _ = await asyncio.wait({known.task}, timeout=patience)
        except asyncio.CancelledError:
            if known.hearing == [hear]:
                self._drop(question, known)
            raise
        finally:
            known.hearing.remove(hear)
        if not done:
            return None
        self._drop(question, known)
        return known.task.result()

    async def close(self) -> None:
        tasks = [known.task for known in self._questions.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _begin(self, question: str, work: Work) -> _Question:
        while len(self._questions) >= KEPT:
            self._drop(*next(iter(self._questions.items())))
        hearing: list[Hear] = []

        def hear(name: str, about: Mapping[str, Any]) -> None:
            for each in list(hearing):
                each(name, about)

        known = self._questions[question] = _Question(asyncio.create_task(work(hear)), hearing)
        return known

    def _drop(self, question: str, known: _Question) -> None:
        if self._questions.get(question) is known:
            del self._questions[question]
        known.task.cancel()
