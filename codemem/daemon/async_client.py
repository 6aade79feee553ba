"""Asking a daemon from an event loop: for servers that wait for many answers at once."""

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Any, Self

from codemem.config import Settings
from codemem.daemon import protocol
from codemem.daemon.address import Address, address_of
from codemem.daemon.client import DaemonGoneError, OnEvent, connect, connect_or_start

_IDENTITY = 1


class AsyncConnection:
    """One connection for one request at a time. Hanging up cancels what was asked, and so does cancelling the task."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def request(self, method: str, params: Mapping[str, Any], on_event: OnEvent) -> Any:
        """The result. Raises RemoteError, or DaemonGoneError."""
        try:
            self._writer.write(protocol.request(_IDENTITY, method, params))
            await self._writer.drain()
            while line := await self._reader.readline():
                message = protocol.from_line(line)
                if message.get("id") == _IDENTITY:
                    if "error" in message:
                        raise protocol.RemoteError(message["error"])
                    return message.get("result")
                on_event(str(message.get("method")), message.get("params") or {})
        except (OSError, ValueError, protocol.ProtocolError) as error:
            raise DaemonGoneError from error
        raise DaemonGoneError

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()


class Daemons:
    """The daemon of some settings, started when it is needed: it ends by itself when it has been idle."""

    def __init__(self, settings: Settings) -> None:
        self._address = address_of(settings)

    @property
    def address(self) -> Address:
        return self._address

    async def request(self, method: str, params: Mapping[str, Any], on_event: OnEvent = lambda _, __: None) -> Any:
        """The daemon's answer. Raises RemoteError, StartError, AddressError, or DaemonGoneError.

        A daemon that ends before it said anything, because it was idle, is followed by another.
        """
        heard = False

        def hear(name: str, about: dict[str, Any]) -> None:
            nonlocal heard
            heard = True
            on_event(name, about)

        try:
            async with await self._connect() as connection:
                return await connection.request(method, params, hear)
        except DaemonGoneError:
            if heard:
                raise
        async with await self._connect() as connection:
            return await connection.request(method, params, on_event)

    async def status(self) -> dict[str, Any] | None:
        """What it says of itself; None if none runs. Starts nothing."""
        if not await asyncio.to_thread(self._listens):
            return None
        try:
            async with await self._open() as connection:
                status: dict[str, Any] = await connection.request("status", {}, lambda _, __: None)
                return status
        except (OSError, DaemonGoneError):
            return None

    async def _connect(self) -> AsyncConnection:
        if not await asyncio.to_thread(self._listens):
            await asyncio.to_thread(lambda: connect_or_start(self._address).close())
        try:
            return await self._open()
        except OSError as error:  # it ended in this moment
            raise DaemonGoneError from error

    async def _open(self) -> AsyncConnection:
        return AsyncConnection(*await asyncio.open_unix_connection(str(self._address.socket), limit=protocol.MAX_LINE))

    def _listens(self) -> bool:
        connection = connect(self._address)
        if connection is None:
            return False
        connection.close()
        return True
