"""Answers that take longer than a client waits."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from codemem.mcp.pending import KEPT, Hear, Pending

LONG = 60.0


class Slow:
    """Work that ends when it is told."""

    def __init__(self) -> None:
        self.begun = 0
        self.cancelled = 0
        self.may_end = asyncio.Event()

    async def work(self, hear: Hear) -> Mapping[str, Any]:
        self.begun += 1
        hear("round", {"named": ["a.py"]})
        try:
            await self.may_end.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        hear("piece", {"text": "done"})
        return {"answer": self.begun}


def test_the_same_question_joins_what_is_under_way_and_fetches_it_once() -> None:
    async def scenario() -> None:
        slow, pending, heard = Slow(), Pending(), []

        def hear(name: str, _: Mapping[str, Any]) -> None:
            heard.append(name)

        assert await pending.answer("q", slow.work, hear, 0.01) is None
        waiting = asyncio.create_task(pending.answer("q", slow.work, hear, LONG))
        await asyncio.sleep(0)
        slow.may_end.set()
        assert await waiting == {"answer": 1}
        assert heard == ["round", "piece"]
        assert await pending.answer("q", slow.work, hear, LONG) == {"answer": 2}
        await pending.close()

    asyncio.run(scenario())


def test_cancelling_the_last_who_waits_ends_the_work() -> None:
    async def scenario() -> None:
        slow, pending = Slow(), Pending()
        one, two = (asyncio.create_task(pending.answer("q", slow.work, lambda _, __: None, LONG)) for _ in range(2))
        await asyncio.sleep(0.01)
        one.cancel()
        await asyncio.sleep(0.01)
        assert (slow.begun, slow.cancelled) == (1, 0)
        two.cancel()
        await asyncio.gather(one, two, return_exceptions=True)
        await asyncio.sleep(0)
        assert slow.cancelled == 1

    asyncio.run(scenario())


def test_the_oldest_makes_room_and_failures_are_told() -> None:
    async def scenario() -> None:
        slow, pending = Slow(), Pending()
        for number in range(KEPT + 1):
            assert await pending.answer(str(number), slow.work, lambda _, __: None, 0.01) is None
        await asyncio.sleep(0)
        assert slow.cancelled == 1

        async def fail(_: Hear) -> Mapping[str, Any]:
            raise ValueError("no")

        with pytest.raises(ValueError, match="no"):
            await pending.answer("f", fail, lambda _, __: None, LONG)
        await pending.close()
        assert slow.cancelled == KEPT + 1

    asyncio.run(scenario())
