"""The tools, written for those who choose among them: what each is good for stands in its first sentence."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Annotated, Any, TypeVar

from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import ToolAnnotations
from pydantic import Field

from codemem import __version__
from codemem.daemon.client import DaemonGoneError
from codemem.mcp import replies
from codemem.mcp.models import Answers
from codemem.mcp.pending import Hear, Pending
from codemem.search import Target
from codemem.service import Service, explain
from codemem.snapshot import Snapshot
from codemem.symbols import file_outline, listing, owner, read_span

MAX_FILES = 500
MAX_DEFINITIONS = 500
RETRY_SECONDS = 10
PATIENCE_SECONDS = 25.0
"""For an answer, before its client is told to ask again: clients give up after a minute, some after half."""
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

    def __init__(self, answers: Answers, trees: Service, target: Target) -> None:
        self._answers, self._trees, self._target = answers, trees, target
        self._pending = Pending()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """The model loads from the beginning on; nothing is under way at the end."""
        self._answers.begin()
        try:
            yield
        finally:
            await self._pending.close()
            await self._answers.end()

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
        return replies.found(await _told(self._answers.find(query, count)))

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
        state = (await _told(self._answers.state())).state
        patience = PATIENCE_SECONDS if state in ("ready", "failed") else 0.0
        steps = _Steps(context)
        try:
            result = await _told(
                self._pending.answer(question, lambda hear: self._answers.ask(question, hear), steps.hear, patience)
            )
        finally:
            steps.close()
        return replies.answered(result) if result is not None else await self._later(question, patience > 0)

    async def _later(self, question: str, ready: bool) -> replies.AskReply:
        """What there is to read meanwhile; a client's time-out never meets a cold start, nor a slow machine."""
        found = await _told(self._answers.find(question, replies.MEANWHILE))
        return replies.AskReply(
            state="working" if ready else "loading",
            places=[replies.place(each) for each in found["results"]],
            retry_seconds=RETRY_SECONDS,
            fresh=found["fresh"],
            notes=list(found["notes"]),
        )

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
        self._trees.forget()  # an agent reads what it has just written
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
        results = [await _told(asyncio.wrap_future(self._trees.status(path))) for path in self._target.paths]
        return replies.status(results, await _told(self._answers.state()))

    async def _read(self, look: Callable[[Sequence[Snapshot]], _T]) -> _T:
        return await _told(asyncio.wrap_future(self._trees.read(self._target, look)))


def make_server(answers: Answers, trees: Service, target: Target, names: Sequence[str]) -> "MCPServer[Any]":
    """A server with the tools, for repositories of these names."""
    tools = Tools(answers, trees, target)
    count = "one repository" if len(names) == 1 else f"{len(names)} repositories"

    @asynccontextmanager
    async def lifespan(_: "MCPServer[Any]") -> AsyncIterator[None]:
        async with tools.running():
            yield

    # Its logs say what was called and why it failed; at 'CRITICAL' nothing that was asked reaches them.
    server: MCPServer[Any] = MCPServer(
        "codemem",
        title="codemem",
        instructions=INSTRUCTIONS.format(count=count, names=", ".join(names)),
        version=__version__,
        log_level="CRITICAL",
        lifespan=lifespan,
    )
    harmless = ToolAnnotations(read_only_hint=True, idempotent_hint=True, open_world_hint=False)
    for tool in (tools.find, tools.ask, tools.read_span, tools.outline, tools.status):
        server.add_tool(tool, annotations=harmless, structured_output=True)
    return server


async def _told(work: Awaitable[_T]) -> _T:
    """The outcome, or an error that tells the agent what failed and what to do."""
    try:
        return await work
    except DaemonGoneError:
        raise ToolError("the daemon ended before it answered: ask again") from None
    except Exception as error:
        raise ToolError(explain(error)) from None


class _Steps:
    """Reports progress, which keeps patient clients waiting. Every piece of an answer counts, few are told."""

    EVERY = 8

    def __init__(self, context: Context) -> None:
        self._context = context
        self._heard: asyncio.Queue[tuple[int, str]] = asyncio.Queue()
        self._steps = 0
        self._task = asyncio.create_task(self._tell())
        self.hear: Hear = self._hear

    def close(self) -> None:
        self._task.cancel()

    def _hear(self, name: str, about: Mapping[str, Any]) -> None:
        self._steps += 1
        if name == "round":
            self._heard.put_nowait((self._steps, f"reading {', '.join(about['named'])}"))
        elif name == "piece" and self._steps % self.EVERY == 0:
            self._heard.put_nowait((self._steps, "writing the answer"))

    async def _tell(self) -> None:
        while True:
            steps, message = await self._heard.get()
            await self._context.report_progress(steps, message=message)
