"""Who calls a function, and what a function calls: the same two documents are read for both, so that the direction is
learnt and not the names that stand there."""

from collections import defaultdict
from collections.abc import Iterator

from .answer_forms import Answered, ask, listed, spoken
from .python_facts import FunctionFacts, PackageFacts

CALLER = (
    "Which function calls {f}?",
    "Who calls {f}?",
    "Where is {f} called?",
    "What uses {f}?",
    "From where is {f} invoked?",
    "Which code depends on {f}?",
    "Name the caller of {f}.",
    "callers of {f}",
    "By which function is {f} called?",
    "What breaks when {f} changes?",
)
CALLEE = (
    "Which function does {f} call?",
    "What does {f} call?",
    "What is called by {f}?",
    "Which other function does {f} use?",
    "On which function of the project does {f} depend?",
    "callees of {f}",
    "Which helper is invoked in {f}?",
    "To what does {f} pass the work on?",
)
MOST_CALLED = 3
SHORTEST_NAME = 4


def callers(facts: PackageFacts) -> Iterator[Answered]:
    """Of functions that one other function alone calls; what is asked about is read beside the answer."""
    unique = facts.unique_functions()
    calling: dict[str, list[FunctionFacts]] = defaultdict(list)
    for caller in facts.functions:
        for name in (caller.called | caller.mentioned) & unique.keys():
            if caller is not unique[name]:
                calling[name].append(caller)
    for name, found in sorted(calling.items()):
        caller, callee = found[0], unique[name]
        if len(found) > 1 or name in facts.called_elsewhere:
            continue
        if link := facts.links(caller, unique).get(name):
            question = ask(CALLER, f=spoken(callee))
            answer = f"`{caller.qualified}` in `{caller.path}` calls `{name}`."
            beside = (callee.passage,)
            yield Answered(question, (caller.passage,), answer, link[1], "caller", beside, subject=caller.name)


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
        question = ask(CALLEE, f=spoken(caller))
        answer = f"`{caller.qualified}` calls {listed(links)}."
        beside = tuple(dict.fromkeys(target.passage for target, _ in links.values()))[:2]
        evidence = next(iter(links.values()))[1]
        yield Answered(question, (caller.passage,), answer, evidence, "callee", beside, subject=caller.name)
