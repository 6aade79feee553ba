"""Turns a sentence that gives a condition, a limit or a reason into the question that it answers, and the answer.

Rules of English grammar alone, for the comments of code: commands ("Drop the oldest if the pool is full") are what a
definition does.
"""

import random
import re

_COMMANDS = "|".join(
    re.findall(
        r"\w+",
        """
    accept add adjust allow allocate append apply assign assume avoid build cache call cancel capture catch
    change check clean clear close collect compute convert copy count create cut defer delete detect disable
    discard drop emit enable encode ensure escape exclude execute expand extract fall fetch fill filter find fix
    flush force free generate get give handle hide ignore include increase increment initialize insert keep
    leave let limit load lock look make map mark match merge move normalize notify omit open override parse pass
    pick postpone prefer prepend preserve prevent print process propagate push put queue raise read record
    recompute reduce refresh register reject release reload remove render replace report reserve reset resolve
    restore retry return reuse round run save scale schedule select send set shift shrink skip sort split start
    stop store strip suppress swap switch take throw treat trigger trim truncate try turn unlock unregister
    unset update use validate verify wait warn work wrap write
        """,
    )
)
_CONDITION = re.compile(
    r"(?P<word>If|When|Whenever|Once|Unless|After|Before|While|As soon as|In case) (?P<given>[^,.:]+), "
    r"(?:then )?(?P<then>[^.]+)",
    re.IGNORECASE,
)
_REASON = re.compile(
    r"(?P<what>[^.:]+?),? (?P<word>because|so that|in order to|in order not to|to avoid|to prevent|to make sure"
    r"|to ensure|since(?= (?:we|it|this|the|there|they|a|an)\b)"
    r"|otherwise(?=,? (?:it|the|we|this|there|they|that)\b)),? (?P<why>[^.]+)",
    re.IGNORECASE,
)
_LIMIT = re.compile(
    r"(?:only )?(?:we |you )?(?:only )?"
    rf"(?P<what>(?:{_COMMANDS}) [^.,:]+?)(?<! as)(?<! case)(?<! but)(?<! see)(?<! even),? "
    r"(?P<word>only if|only when|unless|as long as|until|if|when) "
    r"(?P<given>(?!not\b)[^.]+)",
    re.IGNORECASE,
)
_LENGTHS = {"given": range(3, 19), "then": range(2, 31), "what": range(3, 19), "why": range(2, 26)}
"""Words of a part of a sentence."""
_WHY = tuple(
    (re.compile(rf"{clause} (?P<rest>.+)", re.IGNORECASE), question)
    for clause, question in (
        (r"(?:(?:we|you|they) )?(?:don't|do not)", "why do we not {rest}"),
        ("never", "why do we never {rest}"),
        (r"(?:we |you |they )(?P<verb>need to|have to)", "why do we {verb} {rest}"),
        (
            r"(?:we|you|they) (?P<verb>can't|cannot|can|could|must|should|shouldn't|won't|will|are|were)",
            "why {verb} we {rest}",
        ),
        (rf"(?:we )?(?P<verb>{_COMMANDS})", "why do we {verb} {rest}"),
        (
            r"(?P<who>this|it|there|these|those|that) (?P<verb>is|are|was|can|must|should|will)",
            "why {verb} {who} {rest}",
        ),
        (r"(?P<who>the|this|these|all|any|each|some|an?)", "why is it that {who} {rest}"),
    )
)
"""How a clause begins, and the question for its reason."""
COMMAND = re.compile(
    rf"(?P<how>only |never |also |just |then )?(?P<verb>{_COMMANDS})(?P<rest> .*)", re.IGNORECASE | re.DOTALL
)
_FORBIDDEN = re.compile(r"(?:don't|do not) (?P<rest>.*)", re.IGNORECASE)
_BY_NAME = (
    *("What does `{name}` do {word} {given}?", "What happens in `{name}` {word} {given}?"),
    *("In {name}, what happens {word} {given}?", "What happens {word} {given} in `{name}`?"),
    *("How does {name} behave {word} {given}?", "{name}: what if {given}?"),
)
_LASTING = 4
"""So many of these fit a condition that is not `if` or `when` as well."""


def asked(sentence: str, name: str, draw: random.Random) -> str | None:
    """The question that a sentence answers, of the definition `name` ('' for a question that names none), or None."""
    plain = sentence.rstrip(".!: ")
    for pattern, question in ((_CONDITION, _of_condition), (_REASON, _of_reason), (_LIMIT, _of_limit)):
        if found := pattern.fullmatch(plain):
            parts = found.groupdict()
            fits = all(len(parts[part].split()) in lengths for part, lengths in _LENGTHS.items() if parts.get(part))
            return question(found, name, draw) if fits else None
    return None


def _of_condition(found: re.Match[str], name: str, draw: random.Random) -> str:
    word = found["word"].lower()
    word = {"in case": "if", "once": draw.choice(("once", "when"))}.get(word, word)
    if not name:
        forms: tuple[str, ...] = (
            "What happens {word} {given}?",
            "What is done {word} {given}?",
            "what happens {word} {given}",
        )
    else:
        forms = _BY_NAME if word in ("if", "when") else _BY_NAME[:_LASTING]
    return draw.choice(forms).format(name=name, word=word, given=found["given"])


def _of_reason(found: re.Match[str], name: str, draw: random.Random) -> str | None:
    question = next((form.format(**_lower(parts)) for parts, form in _why(found["what"].strip())), None)
    if question is None:
        return None
    capital = question[0].upper() + question[1:]
    forms = ("In `{name}`, {question}?", "{capital} in `{name}`?", "{capital}, in {name}?") if name else ("{capital}?",)
    return draw.choice(forms).format(name=name, question=question, capital=capital)


def _why(clause: str) -> list[tuple[dict[str, str], str]]:
    return [(found.groupdict(), form) for pattern, form in _WHY if (found := pattern.fullmatch(clause))]


def _lower(parts: dict[str, str]) -> dict[str, str]:
    return {part: said if part == "rest" else said.lower() for part, said in parts.items()}


def _of_limit(found: re.Match[str], name: str, draw: random.Random) -> str:
    doing = f"{found['what'][0].lower()}{found['what'][1:]}"
    if not name:
        forms = ("When do we {doing}?", "Under what condition do we {doing}?", "when do we {doing}")
    else:
        forms = (
            "When does `{name}` {doing}?",
            "Under what condition does {name} {doing}?",
            "In `{name}`, when do we {doing}?",
        )
    return draw.choice(forms).format(name=name, doing=doing)


def said(sentence: str, name: str) -> str:
    """What a sentence answers to its question, which is not said again: a model that learns to repeat the question
    stops there. What the sentence tells the code to do is what the definition `name` does."""
    plain = sentence.rstrip(" .!:")
    if found := _CONDITION.fullmatch(plain):
        answer = _done(found["then"], name)
    elif found := _REASON.fullmatch(plain):
        word = "because" if found["word"].lower() == "since" else found["word"].lower()
        answer = f"{word} {found['why']}"
    elif found := _LIMIT.fullmatch(plain):
        answer = f"{found['word'].lower()} {found['given']}"
    else:
        answer = _done(plain, name)
    return f"{answer[0].upper()}{answer[1:]}."


def _done(clause: str, name: str) -> str:
    """'drop the oldest' -> '`name` drops the oldest'; what is no command stays as it is."""
    if found := _FORBIDDEN.fullmatch(clause):
        return f"`{name}` does not {found['rest']}"
    if found := COMMAND.fullmatch(clause):
        return f"`{name}` {(found['how'] or '').lower()}{_third_person(found['verb'].lower())}{found['rest']}"
    return clause


def _third_person(verb: str) -> str:
    if verb.endswith("y") and verb[-2] not in "aeou":
        return f"{verb[:-1]}ies"
    return f"{verb}es" if verb.endswith(("s", "sh", "ch", "x", "z", "o")) else f"{verb}s"
