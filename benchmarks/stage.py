"""One benchmark by name with its options as JSON, for machines that have torch and not the rest of codemem's needs.

    python -m codemem.benchmarks.stage route '{"tokens": [100000000], "formats": ["int8"]}'

Prints one JSON object. Under torchrun, `route`, `encode` and `find` run in all processes and the first one prints. The
exit code is 1 if the result says that it is not "ok".
"""

import importlib
import json
import sys
from collections.abc import Sequence
from typing import Any

from codemem.model.device import choose_device
from codemem.model.parallel import from_torchrun

SHARED = ("route", "encode", "find")
ALONE = ("decode", "gather", "first_token", "load")


def main(arguments: Sequence[str]) -> int:
    name, options = arguments[0], json.loads(arguments[1] if len(arguments) > 1 else "{}")
    if name not in (*SHARED, *ALONE):
        raise SystemExit(f"no benchmark {name!r}: there are {', '.join((*SHARED, *ALONE))}")
    bench = importlib.import_module(f"codemem.benchmarks.{name}")
    chosen = bench.Options(**options)

    def progress(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    if name in ALONE:
        result = bench.run(chosen, progress=progress)
        print(json.dumps(result))
        return _code(result)
    group = from_torchrun(choose_device(chosen.device).type)
    result = bench.run(chosen, group, progress=progress)
    if group is None or group.rank == 0:
        print(json.dumps(result), flush=True)
    if group is not None:
        group.leave()
    return _code(result)


def _code(result: dict[str, Any]) -> int:
    return 0 if result.get("ok", True) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
