"""Turns what is said of a value, or else the words of its name, into the question that the value answers.

Rules of English grammar alone. Nothing that the code spells is spelled: who asks in plain words has not seen it.
"""

import random
import re

from codemem.training.data.definition import split_name
from codemem.training.remark_questions import COMMAND

_UNFIT = re.compile(
    r"\b(?:todo|fixme|xxx|hack|noqa|type:|pylint|mypy|eslint|nolint|https?:|www\.|deprecated|rfc|magic)\b"
    r"|[;{}<>|\\`=@\[\]]|::|->|\w\(\w|_",
    re.IGNORECASE,
)
_WORDS = range(3, 17)
_DEFAULT = re.compile(
    r"[,;.(]?\s*\(?\b(?:the )?default(?:s|ing)?(?: value)?(?: to| is|:| =)?\b.*$|\(optional\)|^optional[,.:]?\s*",
    re.IGNORECASE,
)
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z])|\.$|\s+-\s+")
_UNIT = r"(?:\s*\(?,?\s*in (?:seconds?|milliseconds?|ms|minutes?|hours?|days?|bytes|pixels?)\)?)?"
_COUNTED = re.compile(
    r"(?:the )?(?P<most>max(?:imum|imal)?(?: allowed)? |largest |total )?(?:number|count|amount) of (?P<rest>.+)",
    re.IGNORECASE,
)
_WAITED = re.compile(
    r"(?:the )?(?:max(?:imum)? )?(?:number of )?"
    rf"(?:seconds|milliseconds|minutes|time|timeout|delay|duration|interval|period){_UNIT} "
    r"(?:to (?:wait|sleep|pause|keep|hold|cache|block) )?(?P<when>(?:before|after|between|until|for|while) .+)",
    re.IGNORECASE,
)
_LARGE = re.compile(
    r"(?:the )?(?P<most>max(?:imum|imal)?|largest|min(?:imum|imal)?|smallest|default) "
    r"(?P<what>(?:[\w-]+ )*?(?:size|length|depth|width|height|age))\b(?P<rest>.*)",
    re.IGNORECASE,
)
_WHETHER = re.compile(
    r"(?:specif(?:y|ies) |indicates? |determines? |controls? )?(?:whether|if)(?: or not)? (?P<rest>.+)", re.IGNORECASE
)
_SWITCH = re.compile(r"(?:if|when)(?: set to)? (?:true|set|enabled|given)[,:]? (?:then )?(?P<rest>.+)", re.IGNORECASE)
_THING = re.compile(
    r"(?:(?:the|an?|our|this) )?(?P<what>(?!(?:if|when|we|this|it|use|set|note|see|and|or|but|not|for|in|to|on)\b)"
    r"[a-z][\w-]*(?: .+)?)",
    re.IGNORECASE,
)
_HEADS = re.compile(
    r"(?:the )?(?:max(?:imum)?|min(?:imum)?|number|default|time|size|length|seconds|path|directory|name of|interval|"
    r"delay|threshold|limit|amount|ratio|fraction|probability|port|host|address|period|rate|factor|maximal|minimal|"
    r"largest|smallest|initial|how) ",
    re.IGNORECASE,
)
_VERBS = re.compile(r"\b(?:is|are|was|will|should|must|can|could|has|have|does|do|we|you|i)\b", re.IGNORECASE)
_DURATIONS = frozenset((
    "timeout", "delay", "interval", "ttl", "wait", "expiry", "expiration", "period", "duration", "seconds", "sleep",
    "lifetime", "age", "backoff",
))  # fmt: skip
_SIZES = frozenset(["size", "length", "depth", "bytes", "width", "height", "limit", "threshold", "capacity", "weight"])
_BOUNDS = frozenset(["max", "min", "maximum", "minimum", "num", "number", "n", "default"])
_SWITCHES = frozenset(("is", "has", "use", "enable", "enabled", "allow", "should", "do", "need", "with"))
_TRUTHS = frozenset(("true", "false"))
_BY_MEASURE = {
    "switch": (
        "Is {0} on by default{in}?",
        "Is {0} enabled{for}, if I say nothing?",
        "{0} on or off by default{in}",
    ),
    "duration": (
        "How long is the {0}{of}?",
        "How long is the {0}{of} by default?",
        "default {0}{of}",
        "After how long does the {0}{of} end?",
        "What is the {0}{of}, if I set none?",
    ),
    "limit": (
        "How many {0} may there be{in}?",
        "What is the limit for {0}{of}?",
        "largest {0}{of}",
        "Above what is {0} too much{for}?",
    ),
    "size": (
        "How large is the {0}{of}?",
        "How large is the {0}{of} by default?",
        "What is the {0}{of}, if nothing is set?",
        "{0}{of}",
    ),
    "count": (
        "How many {0} does {it} use by default?",
        "How many {0} are there{in}?",
        "number of {0}{of}",
    ),
    "other": (
        "Which {0} does {it} use by default?",
        "What is the {0}{of}, if nothing else is said?",
        "default {0}{of}",
        "Which {0} is taken{by}?",
    ),
}
"""How a value is asked for by the words of its name; behind the prepositions what it belongs to, if that is said."""


def asked(name: str, value: str, said: str, belongs: str, draw: random.Random) -> str | None:
    """The question that a value answers; None where what there is tells too little.

    `said`: its description, or ''. `belongs`: in words what it is of, or '' for a question that does not say so.
    """
    words = [*split_name(name)]
    phrase = _phrase(said)
    question = _of_phrase(phrase, words, draw) if phrase else None
    if question is not None and draw.random() < 1 / 3:
        return _with(question, belongs, draw)
    return question or _of_words(words, value, belongs, draw)


def _phrase(said: str) -> str:
    """The first sentence of a description without what it says of the value itself; '' if it cannot be asked."""
    first = _SENTENCE.split(_DEFAULT.sub("", said.strip(" -*#")), maxsplit=1)[0].strip(" .,:;!-")
    fits = (
        first.isascii()
        and len(first.split()) in _WORDS
        and not _UNFIT.search(first)
        and first.count("(") == first.count(")")
    )
    return first if fits else ""


def _of_phrase(phrase: str, words: list[str], draw: random.Random) -> str | None:
    return _of_measure(phrase, draw) or _of_switch(phrase) or _of_thing(phrase, words, draw)


def _of_measure(phrase: str, draw: random.Random) -> str | None:
    """Of a time, a number or a size."""
    if phrase.lower().startswith("how "):
        return f"{phrase[0].upper()}{phrase[1:]}?"
    forms: tuple[str, ...]
    if found := _WAITED.fullmatch(phrase):
        forms = ("How long does it wait {0}?", "How long is the time {0}?", "how long {0}")
        return draw.choice(forms).format(_low(found["when"]))
    if found := _COUNTED.fullmatch(phrase):
        if found["most"]:
            return f"How many {_low(found['rest'])} are there at most?"
        forms = ("How many {0} by default?", "How many {0}?", "how many {0}, unless told otherwise")
        return draw.choice(forms).format(_low(found["rest"]))
    if found := _LARGE.fullmatch(phrase):
        bound = found["most"].lower()
        other = "How large may the {0}{2} be?" if bound[:3] in ("max", "lar") else "What {0}{2} is the {1}?"
        form = draw.choice(("What is the {1} {0}{2}?", other))
        return form.format(_low(found["what"]), bound, found["rest"])
    return None


def _of_switch(phrase: str) -> str | None:
    found = _WHETHER.fullmatch(phrase) or _SWITCH.fullmatch(phrase)
    if found is None:
        return None
    rest = found["rest"]
    form = "Does it {0} by default?" if rest.startswith("to ") else "By default, is it so that {0}?"
    return form.format(rest.removeprefix("to "))


def _of_thing(phrase: str, words: list[str], draw: random.Random) -> str | None:
    found = _THING.fullmatch(_low(phrase))
    if found is None or _VERBS.search(phrase) or not _speaks_of(phrase, words):
        return None
    whole = ("What is the {0}?", "What is the {0}, if nothing else is set?", "Which {0} is used?")
    return draw.choice((*whole, "{0}", "{0} by default", "default {0}")).format(found["what"])


def _speaks_of(phrase: str, words: list[str]) -> bool:
    """Whether a phrase names a thing, and not what the code does: one of a name's words stands in it, or it begins as
    descriptions of values do."""
    first = phrase.split(maxsplit=1)[0].lower()
    if COMMAND.match(phrase) or COMMAND.match(f"{first.removesuffix('s')} ") or first.endswith(("ed", "ing")):
        return False
    return bool(_HEADS.match(phrase)) or any(len(word) > 2 and word[:5] in phrase.lower() for word in words)


def _low(words: str) -> str:
    return words if words[:2].isupper() else words[0].lower() + words[1:]


def _with(question: str, belongs: str, draw: random.Random) -> str:
    if not belongs:
        return question
    form = draw.choice(("{0} ({1})", "{1}: {0}", "In the {1}: {0}"))
    return form.format(question, belongs)


def _of_words(words: list[str], value: str, belongs: str, draw: random.Random) -> str | None:
    """Of a name's words, by what they measure."""
    plain = [word for word in words if word not in _BOUNDS and len(word) > 1 and not word.isdecimal()]
    if not plain or (len(plain) == 1 and not belongs):
        return None
    measure = _measure(words, plain, value)
    if measure == "switch" and plain[0] in _SWITCHES and len(plain) > 1:
        plain = plain[1:]
    prepositions = ("of", "in", "for", "by")
    places = {word: f" {word} the {belongs}" if belongs else "" for word in prepositions}
    it = f"the {belongs}" if belongs else "it"
    return draw.choice(_BY_MEASURE[measure]).format(" ".join(plain), it=it, **places)


def _measure(words: list[str], plain: list[str], value: str) -> str:
    """What the words of a name measure: a key of `_BY_MEASURE`."""
    if value.lower() in _TRUTHS:
        return "switch"
    if set(plain) & _DURATIONS:
        return "duration"
    if "max" in words or "maximum" in words:
        return "limit"
    if set(plain) & _SIZES:
        return "size"
    return "count" if plain[-1].endswith("s") and not plain[-1].endswith("ss") else "other"
