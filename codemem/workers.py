"""One command on several GPUs: torchrun starts it in as many processes, the first runs it, the others work for it.

torchrun --nproc-per-node 2 -m codemem ask "How are redirects followed?"
"""

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from codemem import errors
from codemem.config import Settings
from codemem.errors import CodememError
from codemem.progress import Report, silent

if TYPE_CHECKING:
    from codemem.model.msa4b.config import Ranking
    from codemem.model.parallel.engine import ParallelEngine
    from codemem.model.tiers import Budget

_BEGIN = "post/begin"
_NOTHING = "null"
"""Posted instead of an order by a command that needs no model."""


@dataclass(frozen=True, slots=True)
class Order:
    """The model that all processes load."""

    model: str
    device: str
    ranking: "Ranking | None" = None
    budget: "Budget | None" = None
    """Of each process."""


_serving: list["ParallelEngine"] = []
"""The model of this command, if it has one: a process group can be joined once."""


def begin(settings: Settings, order: Order, report: Report = silent) -> "ParallelEngine":
    """In the first process: loads the model here and in all others."""
    from codemem.model.parallel import meet
    from codemem.model.parallel.engine import ParallelEngine

    if _serving:
        raise CodememError("one command on several GPUs uses one model: run the other without torchrun")
    store, rank, size = meet()
    sizes = None if order.budget is None else [order.budget.device_bytes, order.budget.host_bytes]
    store.set(_BEGIN, json.dumps(asdict(order) | {"budget": sizes}))
    _serving.append(ParallelEngine(*_load(settings, order, (store, rank, size), report)))
    return _serving[0]


def dismiss() -> None:
    """In the first process, at the command's end: the others may go."""
    if _serving:
        _serving.pop().close()
        return
    from codemem.model.parallel import meet

    store, _, _ = meet()
    store.set(_BEGIN, _NOTHING)


def work() -> int:
    """In every other process: the exit code, once the first is done."""
    from codemem.model.parallel import meet
    from codemem.model.parallel.engine import Worker
    from codemem.model.tiers import Budget

    settings = Settings.load()
    place = meet()
    order = json.loads(_await(place[0]))
    if order is None:
        return errors.EXIT_DONE
    budget = None if order["budget"] is None else Budget(*order["budget"])
    engine, group = _load(settings, Order(order["model"], order["device"], order["ranking"], budget), place, silent)
    Worker(engine, group).serve()
    group.leave()
    return errors.EXIT_DONE


def _load(settings: Settings, order: Order, place: tuple[Any, int, int], report: Report) -> tuple[Any, Any]:
    """The model on this process's own device, and the group of all processes."""
    from codemem.engines import load_one
    from codemem.model.device import choose_device
    from codemem.model.parallel import Group, own_device, use_device

    store, rank, size = place
    device = own_device(choose_device(order.device).type)
    use_device(device)
    engine = load_one(settings, order.model, device.type, order.ranking, report)
    engine.budget = order.budget or engine.budget
    return engine, Group(store, rank, size, device)


def _await(store: Any) -> str:
    """Waits for the first process to say what is to be done; it may have much to read before."""
    import time

    try:
        while not store.check([_BEGIN]):
            time.sleep(0.02)
        found: str = store.get(_BEGIN).decode()
    except RuntimeError as error:
        raise CodememError("the first process ended before it said what is to be done") from error
    return found
