"""Who does the work: the daemon, which holds one model for all editors and shells, or failing that this process."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from codemem.config import Settings
from codemem.daemon.address import AddressError
from codemem.daemon.async_client import Daemons
from codemem.daemon.client import DaemonGoneError, StartError
from codemem.daemon.protocol import ProtocolError, RemoteError
from codemem.errors import CodememError

if TYPE_CHECKING:
    from codemem.daemon.methods import Methods

OnEvent = Callable[[str, dict[str, Any]], None]
LEAVING_SECONDS = 2.0
"""An editor waits for us to go."""


class BackendError(CodememError):
    """What was asked could not be done; the message says why, and what to do."""


class Backend:
    """The daemon's methods, as JSON, for one event loop. Cancelling a request gives up the work.

    The daemon is started if none runs, unless the user switched it off or named a device for this server alone.
    """

    def __init__(self, settings: Settings, device: str | None = None) -> None:
        self._settings, self._device = settings, device
        here = settings.user.daemon == "off" or device is not None or not hasattr(socket, "AF_UNIX")
        self._daemons = None if here else Daemons(settings)
        self._methods: asyncio.Future[Methods] | None = None

    @property
    def in_daemon(self) -> bool:
        return self._daemons is not None

    async def request(self, method: str, params: Mapping[str, Any], on_event: OnEvent = lambda _, __: None) -> Any:
        """The result. `on_event` is called in the loop. Raises BackendError or ConfigurationError."""
        if self._daemons is not None:
            try:
                return await self._daemons.request(method, params, on_event)
            except (AddressError, StartError):
                self._daemons = None  # there can be none here: this process does it from now on
            except DaemonGoneError as error:
                raise BackendError("the daemon ended before it answered: ask again") from error
            except RemoteError as error:
                raise BackendError(str(error)) from error
        return await self._here(method, params, on_event)

    async def _here(self, method: str, params: Mapping[str, Any], on_event: OnEvent) -> Any:
        if self._methods is None:
            self._methods = asyncio.ensure_future(asyncio.to_thread(self._load))
        methods = await asyncio.shield(self._methods)
        loop, stopped = asyncio.get_running_loop(), threading.Event()

        def emit(name: str, about: dict[str, Any]) -> None:
            loop.call_soon_threadsafe(lambda: None if stopped.is_set() else on_event(name, about))

        from codemem.daemon.methods import Call
        from codemem.daemon.params import Params
        from codemem.service import explain

        try:
            work = asyncio.wrap_future(methods.submit(Call(method, Params(params), emit, stopped)))
        except ProtocolError as error:
            raise BackendError(str(error)) from error
        work.add_done_callback(_looked_at)
        try:
            return await asyncio.shield(work)
        except CodememError as error:
            raise BackendError(str(error)) from error
        except Exception as error:
            raise BackendError(explain(error)) from error
        finally:
            stopped.set()

    def _load(self) -> "Methods":
        from codemem.daemon.methods import Methods
        from codemem.engines import loader

        return Methods(self._settings, loader(self._settings, device=self._device))

    def close(self) -> None:
        """Stops what this process does, if that takes no longer than an editor waits. What is stored is whole."""
        if self._methods is None or not self._methods.done() or self._methods.cancelled() or self._methods.exception():
            return
        leaving = threading.Thread(target=self._methods.result().close, daemon=True)
        leaving.start()
        leaving.join(LEAVING_SECONDS)


def _looked_at(work: "asyncio.Future[Any]") -> None:
    """An outcome that nobody waits for any more is none that was forgotten."""
    with contextlib.suppress(asyncio.CancelledError):
        work.exception()
