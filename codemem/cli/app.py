"""The commands by name, and what becomes of errors."""

import itertools
import os
import sys
import traceback
from collections.abc import Sequence
from typing import Annotated

import typer
from typer.exceptions import TyperException

from codemem import __version__, errors
from codemem.cli import bench, clean, evaluate, hook, index, lsp, mcp, memory, model, query, serve, status, train

app = typer.Typer(
    name="codemem",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="""A repository as the memory of a model: read it once, then ask.

    Start with `codemem index` in a repository, then `codemem ask "How are redirects followed?"` or
    `codemem find "parse the config file"`.
    """,
)


def _show_version(on: bool) -> None:
    if on:
        print(f"codemem {__version__}")
        raise typer.Exit


@app.callback()
def _common(
    _version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_show_version, help="Show the version.")
    ] = False,
    _debug: Annotated[bool, typer.Option("--debug", help="Show where an error came from.")] = False,
) -> None:
    """Both options are acted on before a command runs."""


app.command("index")(index.index)
app.command("ask")(query.ask)
app.command("find")(query.find)
app.command("status")(status.status)
app.command("clean")(clean.clean)
app.command("train")(train.train)
app.command("lsp")(lsp.lsp)
app.command("mcp")(mcp.mcp)
app.add_typer(hook.app, name="hook")
app.add_typer(serve.app, name="serve")
app.add_typer(memory.app, name="memory")
app.add_typer(model.app, name="model")
app.add_typer(evaluate.app, name="eval")
app.add_typer(bench.app, name="bench")


def run(arguments: Sequence[str]) -> int:
    """Runs one command; its exit code. Errors become one line on stderr."""
    command = typer.main.get_command(app)
    debug = "--debug" in itertools.takewhile(lambda argument: argument.startswith("-"), arguments)
    try:
        outcome = command.main(list(arguments), prog_name="codemem", standalone_mode=False)
        sys.stdout.flush()
        return outcome if isinstance(outcome, int) else errors.EXIT_DONE
    except (BrokenPipeError, SystemExit) as error:
        # typer tells of a broken pipe by SystemExit(1); any other SystemExit is none of ours.
        if isinstance(error, SystemExit) and not isinstance(error.__context__, BrokenPipeError):
            raise
        # Whoever read our output has gone, e.g. `| head`: nothing more can be said there, and Python must not try.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return errors.EXIT_DONE
    except (KeyboardInterrupt, typer.Abort, errors.WorkInterruptedError) as error:
        _say(str(error) if isinstance(error, errors.CodememError) else "interrupted")
        return errors.EXIT_INTERRUPTED
    except typer.Exit as error:
        return error.exit_code
    except Exception as error:
        if debug:
            traceback.print_exc()
        return explain(error)


def explain(error: Exception) -> int:
    """Says in one line on stderr what went wrong; the exit code."""
    if isinstance(error, TyperException):
        context = getattr(error, "ctx", None)
        see = f" (see `{context.command_path} --help`)" if context else ""
        if message := error.format_message():  # empty where the help text was shown instead
            _say(message.rstrip(".") + see)
        return error.exit_code
    if isinstance(error, errors.CodememError):
        _say(str(error))
        return error.exit_code
    # Imported this late because a mistyped option must not pay for it.
    from codemem.evals.errors import EvaluationError
    from codemem.indexer import IndexerError
    from codemem.model.errors import ModelError, WeightsCorrupt, WeightsMissing

    if isinstance(error, WeightsMissing | WeightsCorrupt):
        _say(str(error))
        return errors.EXIT_WEIGHTS
    if isinstance(error, ModelError | IndexerError | EvaluationError):
        _say(str(error))
        return errors.EXIT_FAILED
    if isinstance(error, OSError):
        where = f": {error.filename}" if error.filename else ""
        _say(f"the system refused{where}: {error.strerror or error}")
        return errors.EXIT_FAILED
    _say(f"this is a bug in codemem ({type(error).__name__}: {error}): `codemem --debug ...` shows where it came from")
    return errors.EXIT_FAILED


def _say(message: str) -> None:
    print(f"codemem: {' '.join(message.split())}", file=sys.stderr)
