"""Who calls a function, and what a function calls: the same two documents are read for both, so that the direction is
learnt and not the names that stand there."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

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
    "Find the function that calls {f}.",
    "What invokes {f}?",
    "Who is calling {f}?",
    "What calls into {f}?",
    "From where do we get to {f}?",
    "Show me the place that calls {f}.",
    "In which function is {f} used?",
    "Which other function makes use of {f}?",
    "Who would notice if {f} were gone?",
    "I want to rename {f}. What else must I edit?",
    "{f}: called from where?",
    "Through which function is {f} reached?",
    "Which function delegates to {f}?",
    "Which function hands its work over to {f}?",
    "What triggers {f}?",
    "Whose job is it to call {f}?",
    "usages of {f}",
    "Is {f} called anywhere? By what?",
    "Which function needs {f}?",
    "What sits above {f} in the call hierarchy?",
    "When {f} is on the stack, which of our functions put it there?",
    "Which part of the code relies on {f}?",
    "I am in {f}. Who got me here?",
    "Does anything call {f}? What?",
    "What is the user of {f} called?",
    "Go up from {f}: which function do we come to?",
    "Where does the call to {f} come from?",
    "If {f} changed its signature, which function would have to change with it?",
    "Which function is one level above {f}?",
    "Go one level up from {f}. Where are we?",
    "What would stop working if I removed {f}?",
    "Before I touch {f}: who relies on it?",
    "In which function is the call of {f} written?",
    "Walk up the call chain from {f}: what comes first?",
    "{f} gets called by what?",
    "I would like to change {f}. Whose code has to be looked over?",
    "Who are the users of {f}?",
    "One frame above {f} in the stack: which function is it?",
    "Where in the code is {f} put to use?",
    "Which function would break without {f}?",
    "For which function does {f} do work?",
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
    "What does {f} rely on?",
    "Into which function does {f} call?",
    "Which of our functions are used inside {f}?",
    "What does {f} delegate to?",
    "Which function does part of the work for {f}?",
    "What sits below {f} in the call hierarchy?",
    "{f} calls what?",
    "Go down from {f}: which function do we come to?",
    "What does {f} need from the rest of the project?",
    "On whom does {f} call?",
    "Which function would I step into from {f}?",
    "What is invoked from {f}?",
    "If I change {f}, on which functions does it still depend?",
    "Which function is one level below {f}?",
    "Go one level down from {f}. Where are we?",
    "What has to work so that {f} works?",
    "Walk down the call chain from {f}: what comes first?",
    "One frame below {f} in the stack: which function can it be?",
    "Which of our functions does {f} put to use?",
    "Which function does work for {f}?",
)
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
            question = ask(CALLER, f=spoken(callee))
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
        question = ask(CALLEE, f=spoken(caller))
        answer = f"`{caller.qualified}` calls {listed(links)}."
        beside = tuple(dict.fromkeys(target.passage for target, _ in links.values()))[:2]
        evidence = next(iter(links.values()))[1]
        yield Answered(question, (caller.passage,), answer, evidence, "callee", beside, subject=caller.name)
