"""The tools, written for those who choose among them: what each is good for stands in its first sentence."""

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import ToolAnnotations
from pydantic import Field

from codemem import __version__
from codemem.ask import AskEvent, Piece, RoundDone
from codemem.mcp import replies
from codemem.results import AskResult
from codemem.search import Target
from codemem.service import Service, explain
from codemem.snapshot import Snapshot
from codemem.symbols import file_outline, listing, owner, read_span

MAX_FILES = 500
MAX_DEFINITIONS = 500
RETRY_SECONDS = 10
INSTRUCTIONS = """Local search and answers over {count}: {names}. The whole code was read by a model beforehand, so
questions in words work as well as names. Start with `find` for where something is and `ask` for how or why it works;
read the lines they name with `read_span`. All paths are relative to a repository, lines are 1-based and inclusive.
Nothing is changed by any tool and nothing leaves the machine."""
_T = TypeVar("_T")

Repository = Annotated[
    str | None, Field(description="Absolute path or folder name of a repository; by default the first.")
]
Path_ = Annotated[str, Field(description="Path relative to the repository, as other tools return it.", max_length=4096)]


class Tools:
    """What the tools do, for the repositories that the server was started with."""

    def __init__(self, service: Service, paths: Sequence[Path]) -> None:
        self._service = service
        self._target = Target(list(paths))

    async def find(
        self,
        query: Annotated[
            str,
            Field(description="Words that describe what is wanted, or a name.", min_length=1, max_length=2000),
        ],
        count: Annotated[int, Field(description="How many places.", ge=1, le=50)] = 8,
    ) -> replies.FindReply:
        """Find the places in the code that a description or a name is about: definitions, handlers, settings, docs.

        Better than grep when you do not know the exact words. Returns paths, lines and the first lines of each place.
        """
        return replies.found(await _told(asyncio.wrap_future(self._service.find(self._target, query, k=count))))

    async def ask(
        self,
        question: Annotated[
            str, Field(description="A question in a sentence or two, in words.", min_length=1, max_length=8000)
        ],
        context: Context,
    ) -> replies.AskReply:
        """Ask how something works, why, or what would be affected, across files; the answer comes with its sources.

        Check the cited lines before you rely on them. Takes seconds. If the model is still loading, it says so at once,
        with the places to read meanwhile.
        """
        if self._service.model.state in ("none", "loading"):
            return await self._loading(question)
        return replies.answered(await _told(self._answer(question, context)))

    async def _loading(self, question: str) -> replies.AskReply:
        """Starts loading if nobody did; a client's time-out never meets a cold start."""
        if self._service.model.state == "none" and not self._service.busy:
            self._service.prepare(self._target)
        found = await _told(asyncio.wrap_future(self._service.find(self._target, question)))
        return replies.AskReply(
            state="loading",
            places=[replies.place(each) for each in found.results],
            retry_seconds=RETRY_SECONDS,
            fresh=found.fresh,
            notes=list(found.notes),
        )

    async def _answer(self, question: str, context: Context) -> AskResult:
        stopped = threading.Event()
        loop = asyncio.get_running_loop()
        heard: asyncio.Queue[AskEvent] = asyncio.Queue()
        work = self._service.ask(
            self._target,
            question,
            lambda event: _post(loop, heard, event),
            cancelled=stopped.is_set,
        )
        telling = asyncio.ensure_future(_tell(heard, context))
        try:
            return await asyncio.wrap_future(work)
        finally:
            stopped.set()
            telling.cancel()

    async def read_span(
        self,
        path: Path_,
        start_line: Annotated[int, Field(ge=1)] = 1,
        end_line: Annotated[int, Field(ge=1)] = 200,
        repository: Repository = None,
    ) -> replies.SpanReply:
        """Read lines of a file as they are on disk now, at most 400 at once.

        Only files that codemem reads: nothing outside the repository, nothing ignored, no secrets.
        """
        self._service.forget()  # an agent reads what it has just written
        return replies.span(
            await self._read(lambda trees: read_span(owner(trees, repository), path, start_line, end_line))
        )

    async def outline(
        self,
        path: Annotated[
            str, Field(description="A file for its definitions, a folder for its files; '' for all.", max_length=4096)
        ] = "",
        repository: Repository = None,
    ) -> replies.OutlineReply:
        """List the definitions of a file with their lines, or the files below a folder, without reading any code."""

        def look(trees: Sequence[Snapshot]) -> replies.OutlineReply:
            snapshot = owner(trees, repository)
            if path in ("", ".") or path not in snapshot.manifest:
                files = listing(snapshot, path)
                if len(files) > 1 or files[0] != path:
                    more = max(0, len(files) - MAX_FILES)
                    return replies.OutlineReply(
                        repository=snapshot.workspace.name, path=path, files=files[:MAX_FILES], more=more
                    )
            symbols = file_outline(snapshot, path)
            return replies.OutlineReply(
                repository=snapshot.workspace.name,
                path=path,
                definitions=[replies.definition(symbol) for symbol in symbols[:MAX_DEFINITIONS]],
                more=max(0, len(symbols) - MAX_DEFINITIONS),
            )

        return await self._read(look)

    async def status(self) -> replies.StatusReply:
        """Say what is indexed, whether it is up to date, and whether the model is ready for `ask`."""
        results = [await _told(asyncio.wrap_future(self._service.status(path))) for path in self._target.paths]
        return replies.status(results, self._service.model)

    async def _read(self, look: Callable[[Sequence[Snapshot]], _T]) -> _T:
        return await _told(asyncio.wrap_future(self._service.read(self._target, look)))


def make_server(service: Service, paths: Sequence[Path], names: Sequence[str]) -> "MCPServer[Any]":
    """A server with the tools, for repositories of these names."""
    tools = Tools(service, paths)
    count = "one repository" if len(names) == 1 else f"{len(names)} repositories"
    # Its logs say what was called and why it failed; at 'CRITICAL' nothing that was asked reaches them.
    server: MCPServer[Any] = MCPServer(
        "codemem",
        title="codemem",
        instructions=INSTRUCTIONS.format(count=count, names=", ".join(names)),
        version=__version__,
        log_level="CRITICAL",
    )
    harmless = ToolAnnotations(read_only_hint=True, idempotent_hint=True, open_world_hint=False)
    for tool in (tools.find, tools.ask, tools.read_span, tools.outline, tools.status):
        server.add_tool(tool, annotations=harmless, structured_output=True)
    return server


async def _told(work: Awaitable[_T]) -> _T:
    """The outcome, or an error that tells the agent what failed and what to do."""
    try:
        return await work
    except Exception as error:
        raise ToolError(explain(error)) from None


def _post(loop: asyncio.AbstractEventLoop, heard: "asyncio.Queue[AskEvent]", event: AskEvent) -> None:
    """From another thread; a loop that is gone needs to hear nothing."""
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(heard.put_nowait, event)


async def _tell(heard: "asyncio.Queue[AskEvent]", context: Context) -> None:
    """Reports progress, which keeps patient clients waiting."""
    steps = 0
    while True:
        event = await heard.get()
        steps += 1
        if isinstance(event, RoundDone):
            await context.report_progress(steps, message=f"reading {', '.join(event.named)}")
        elif isinstance(event, Piece):
            await context.report_progress(steps, message="writing the answer")
