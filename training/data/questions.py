"""Questions by rule: from documentation, names, signatures, call sites and tests to the definitions they mean."""

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from .definition import Definition, fold, question_of, split_name

MAX_POSITIVES = 8

# First words of documentation that turn into an instruction, with the base form of the third person.
VERBS = frozenset(
    re.findall(
        r"\S+",
        """
        add allow apply append assert assign attach bind block build cache calculate call cancel cast check choose
        clean clear clone close collect combine compare compile compute configure connect construct convert copy
        count create decode decrypt delete deserialize detect determine disable disconnect discover dispatch display
        download draw drop dump emit enable encode encrypt ensure escape estimate evaluate execute expand export
        extend extract fetch fill filter find finish fit flatten flush format forward generate get group handle hash
        identify import increment initialize insert inspect install invoke iterate join launch list listen load lock
        log look make map mark match merge modify move normalize notify open parse patch perform plot poll pop
        prepare print process produce publish pull push query raise read receive record reduce refresh register
        release reload remove rename render reorder repeat replace report request reset resize resolve restart
        restore resume retrieve retry return reverse rewrite rotate run sample save scale scan schedule search
        select send serialize set setup shuffle skip sleep sort split start stop store strip submit subscribe sum
        swap sync take terminate test tokenize trace train transform translate trigger trim truncate unlock unpack
        unregister update upload use validate verify visit wait walk wrap write yield
        """,
    )
)
_IRREGULAR = {"returns": "get", "return": "get", "yields": "get", "yield": "get", "gets": "get"}
_PROSE = (
    "where do we {}?",
    "which code does this: {}",
    "how do we {}?",
    "find the code that lets us {}",
    "where in the code do we {}?",
)
_WHERE = (
    "where is {} defined",
    "definition of {}",
    "where is {}?",
    "find {}",
    "which file defines {}?",
    "what does {} do?",
)


@dataclass(frozen=True, slots=True)
class Question:
    """A question with the places (indices into a package's definitions) that answer it."""

    text: str
    positives: tuple[int, ...]
    kind: str
    same: tuple[int, ...] = ()
    """Places that might answer too, so that they are no negatives: the other documents of a file that is asked for."""


def chance(*parts: str) -> float:
    """A number in [0, 1) that depends on the parts alone, so that a limit or an order changes no choice."""
    return int.from_bytes(hashlib.blake2b("\0".join(parts).encode(), digest_size=6).digest(), "big") / 2**48


def pick(options: tuple[str, ...], key: str) -> str:
    return options[int(chance("pick", key) * len(options))]


def questions(package: str, definitions: list[Definition]) -> Iterator[Question]:
    """Yield every question of a package; one text may come up several times."""
    by_name: dict[str, list[int]] = defaultdict(list)
    for index, definition in enumerate(definitions):
        if definition.kind not in ("window", "text"):
            by_name[definition.name].append(index)
    yield from _documented(definitions)
    yield from _names(package, definitions, by_name)
    yield from _usages(package, definitions, by_name)
    yield from _tests(definitions, by_name)


def _documented(definitions: list[Definition]) -> Iterator[Question]:
    for index, definition in enumerate(definitions):
        text = question_of(definition.documentation) if definition.documentation else None
        if text is None:
            continue
        if definition.kind == "window":  # asked about by file_questions
            continue
        bare = without_name(text, definition.name)
        key = f"{definition.header}{definition.name}"
        # Go's and much of C's documentation opens with the name: half of it is asked without.
        yield Question(bare if len(bare) >= 25 and chance("bare", key) < 0.5 else text, (index,), "documentation")
        if (prose := as_request(bare, key)) and chance("prose", key) < 0.3:
            yield Question(prose, (index,), "prose")


def without_name(text: str, name: str) -> str:
    """Drop a leading definition name: 'Out performs a transfer' -> 'performs a transfer'."""
    rest = text.removeprefix("The ").lstrip("`'\"")
    if not rest.startswith(name):
        return text
    rest = rest[len(name) :].removeprefix("()").lstrip("`'\"")
    for link in (" is ", " - ", ": ", " "):
        if rest.startswith(link) and rest[len(link) :][:1].isalnum():
            return rest[len(link) :]
    return text


def as_request(text: str, key: str) -> str | None:
    """Turn 'Parses the header.' into 'where do we parse the header?'; None if it opens with no known verb."""
    first, _, rest = text.partition(" ")
    word = first.lower()
    base = _IRREGULAR.get(word)
    for candidate in (word, word.removesuffix("s"), word.removesuffix("es"), re.sub("ies$", "y", word)):
        base = base or (candidate if candidate in VERBS else None)
    if base is None or len(rest) < 15:
        return None
    return pick(_PROSE, key).format(f"{base} {rest}".rstrip(". "))


def _names(package: str, definitions: list[Definition], by_name: dict[str, list[int]]) -> Iterator[Question]:
    for name, places in by_name.items():
        owners = [definitions[place] for place in places]
        parts = split_name(name)
        if len(places) > MAX_POSITIVES or len(name) < 4 or name.startswith("__") or all(owner.test for owner in owners):
            continue
        key = f"{package}:{name}"
        wanted = tuple(places)
        choice = (
            chance("name", key) * 10
        )  # four names in ten are asked for, in one form each; types oftener as they are
        exact = 3.5 if any(owner.kind == "class" for owner in owners) else 1.5
        if choice < exact:
            yield Question(name, wanted, "name")
        elif choice < exact + 0.5 and len(parts) >= 2:
            yield Question(" ".join(parts), wanted, "split name")
        elif choice < exact + 0.9:
            yield Question(pick(_WHERE, key).format(name), wanted, "where")
        elif choice < exact + 1.4 and len(parts) >= 3:
            yield Question(" ".join(parts[1:] if chance("end", key) < 0.5 else parts[:-1]), wanted, "partial name")
        for place, owner in zip(places, owners, strict=True):
            scoped = chance("scoped", key, owner.header) * 10
            last = owner.scope.rsplit(".", 1)[-1]
            if owner.scope and scoped < 0.7:
                joined = pick(("{} {}", "{}.{}", "{}::{}", "where is {}.{} defined"), key).format(last, name)
                same = tuple(p for p in places if definitions[p].scope.rsplit(".", 1)[-1] == last)
                yield Question(joined, same, "scoped name")
            elif scoped < 1.1 and 20 <= len(owner.signature) <= 160:
                yield Question(owner.signature.rstrip(":{ "), (place,), "signature")
            elif scoped < 1.5:
                stem = owner.path.rsplit("/", 1)[-1].rsplit(".", 1)[0]
                yield Question(f"{' '.join(split_name(stem))} {' '.join(parts)}", (place,), "file and name")


def _usages(package: str, definitions: list[Definition], by_name: dict[str, list[int]]) -> Iterator[Question]:
    taken: dict[str, int] = defaultdict(int)
    for caller in definitions:
        for name, line in caller.calls:
            places = by_name.get(name, [])
            if len(places) != 1 or taken[name] >= 2 or not 25 <= len(line) <= 200:
                continue
            target = definitions[places[0]]
            if target is caller or target.test or chance("usage", package, name, caller.name) > 0.25:
                continue
            taken[name] += 1
            yield Question(line, (places[0],), "usage")


def _tests(definitions: list[Definition], by_name: dict[str, list[int]]) -> Iterator[Question]:
    for test in definitions:
        if not test.test or not re.match(r"test|should|it_", test.name, re.IGNORECASE) or test.kind == "class":
            continue
        called = {name for name, _ in test.calls}
        words = split_name(test.name)
        words = words[1:] if words and words[0] == "test" else words
        if len(words) < 2:
            continue
        matches = [
            places[0]
            for name in sorted(called)
            if len(places := by_name.get(name, [])) == 1
            and not definitions[places[0]].test
            and (parts := split_name(name))
            and set(parts) <= set(words)
        ]
        if len(matches) == 1:
            yield Question(fold(" ".join(words)), (matches[0],), "test")
