"""Who calls a function, and what a function calls: the same two documents are read for both, so that the direction is
learnt and not the names that stand there."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from .answer_forms import Answered, ask, listed, spoken
from .python_facts import FunctionFacts, PackageFacts

MOST_CALLED, MOST_CALLERS = 3, 2
SHORTEST_NAME = 4


def callers(facts: PackageFacts) -> Iterator[Answered]:
    """Of functions that one or two others alone call; what is asked about is read beside the answer.

    The answer begins with what was asked about, as all others do: asked to begin with the caller's name, a small model
    begins with the callee's and ends in the opposite direction (docs/training.md, "The ninth course").
    """
    unique = facts.unique_functions()
    calling: dict[str, list[FunctionFacts]] = defaultdict(list)
    for caller in facts.functions:
        for name in (caller.called | caller.mentioned) & unique.keys():
            if caller is not unique[name]:
                calling[name].append(caller)
    for name, found in sorted(calling.items()):
        callee = unique[name]
        if len(found) > MOST_CALLERS or name in facts.called_elsewhere:
            continue
        links = [facts.links(caller, unique).get(name) for caller in found]
        lines = [link[1] for link in links if link is not None]
        if len(lines) == len(found):
            question = ask("caller", f=spoken(callee))
            answer = called_by(callee.qualified, [(caller.qualified, caller.path) for caller in found])
            gold = tuple(dict.fromkeys(caller.passage for caller in found))
            kind = "caller" if len(found) == 1 else "callers"
            yield Answered(question, gold, answer, lines[-1], kind, (callee.passage,), subject=found[-1].name)


def called_by(name: str, callers: Sequence[tuple[str, str]]) -> str:
    """How an answer says who calls a function; `callers` by qualified name and path."""
    places = " and by ".join(f"`{caller}` in `{path}`" for caller, path in callers)
    return f"`{name}` is called by {places}."


def callees(facts: PackageFacts) -> Iterator[Answered]:
    """Of functions that call one to three of the package's own, and surely these; they are read beside the answer.

    Who calls something else by a name that the package knows may call that, too, and is not asked about.
    """
    unique = facts.unique_functions()
    known = {name for name in (*facts.others, *(f.name for f in facts.functions)) if len(name) >= SHORTEST_NAME}
    for caller in facts.functions:
        links = facts.links(caller, unique)
        unsure = (caller.called & known) - links.keys() - {caller.name}
        if unsure or not 0 < len(links) <= MOST_CALLED or caller.name.startswith("__"):
            continue
        question = ask("callee", f=spoken(caller))
        answer = f"`{caller.qualified}` calls {listed(links)}."
        beside = tuple(dict.fromkeys(target.passage for target, _ in links.values()))[:2]
        evidence = next(iter(links.values()))[1]
        yield Answered(question, (caller.passage,), answer, evidence, "callee", beside, subject=caller.name)
