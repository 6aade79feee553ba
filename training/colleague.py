"""What a colleague asks who does not know the names: the instruction with its examples, and which questions will do."""

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from functools import lru_cache

from codemem.training.data.definition import fold, split_name

KIND = "colleague"
OPENINGS = ("where", "how", "what happens when", "which part")
"""First words that are asked for, two of them drawn for each document, so that forms differ."""
WORDS = range(3, 15)
"""Words of a question."""
OFTEN = 25
"""Packages of which the documentation must use a word for it to be ordinary, though the source has it as a name."""
ALIKE = 0.75
"""Share of content words that two questions of a package have in common at most."""

_TASK = (
    "You are shown one piece of a large project. Say in one short sentence of plain words what it does. Then write two "
    "short questions, about different things, that would lead a colleague to it: one who never saw it and knows "
    "none of its names. Everyday words, 4 to 12 in each, about what is special to this piece. Never copy a name "
    "from the code."
)
# Written for this purpose: header, text, what it does, and two questions.
EXAMPLES = (
    (
        "src/net/http_client.py HttpClient\n",
        "    def _send_with_backoff(self, request):\n"
        "        for attempt in range(self.max_attempts):\n"
        "            try:\n"
        "                return self._transport.send(request)\n"
        "            except (ConnectionError, Timeout):\n"
        "                time.sleep(self.base_delay * 2**attempt)\n"
        "        raise GaveUp(request.url)",
        "It tries again when the network fails, each time after a longer pause, and gives up in the end.",
        "where do we retry when the network fails?",
        "how long is the pause before the next try?",
    ),
    (
        "pkg/store/lru.go Cache\n",
        "func (c *Cache) evictExpired(now time.Time) int {\n"
        "\tn := 0\n"
        "\tfor k, e := range c.items {\n"
        "\t\tif e.deadline.Before(now) {\n"
        "\t\t\tdelete(c.items, k)\n"
        "\t\t\tn++\n"
        "\t\t}\n"
        "\t}\n"
        "\treturn n\n"
        "}",
        "It throws out what was kept for too long and counts how much that was.",
        "how are outdated entries thrown out?",
        "what happens when something was kept for too long?",
    ),
    (
        "lib/cli/config.js\n",
        "export function loadSettings(dir) {\n"
        "  let at = dir;\n"
        "  while (at !== path.dirname(at)) {\n"
        "    const file = path.join(at, '.toolrc');\n"
        "    if (fs.existsSync(file)) return JSON.parse(fs.readFileSync(file, 'utf8'));\n"
        "    at = path.dirname(at);\n"
        "  }\n"
        "  return DEFAULTS;\n"
        "}",
        "It looks for the user's preferences in this folder and all those above it.",
        "what happens when the user has no preferences of his own?",
        "which part searches the parent folders one by one?",
    ),
    (
        "src/audio/mixer.rs Mixer\n",
        "    fn push(&mut self, frame: Frame) -> Result<(), Full> {\n"
        "        if self.ring.len() == self.capacity {\n"
        "            self.dropped += 1;\n"
        "            return Err(Full);\n"
        "        }\n"
        "        self.ring.push_back(frame.scaled(self.gain));\n"
        "        Ok(())\n"
        "    }",
        "It makes a bit of sound louder or quieter and puts it in a queue, unless that is full.",
        "which part makes sound louder or quieter?",
        "where do we refuse sound because too much is waiting?",
    ),
    (
        "app/mail/Signup.php Signup\n",
        "    public function verify(string $token): bool {\n"
        "        $row = $this->tokens->find(hash('sha256', $token));\n"
        "        if ($row === null || $row->created < time() - 86400) {\n"
        "            return false;\n"
        "        }\n"
        "        $this->users->activate($row->user_id);\n"
        "        return true;\n"
        "    }",
        "It checks the link of a welcome mail, no older than a day, and opens the account.",
        "where is the link of a welcome mail checked?",
        "how old may a confirmation link be?",
    ),
    (
        "src/shape.c\n",
        "int poly_contains(const pt *p, int n, pt q) {\n"
        "    int in = 0;\n"
        "    for (int i = 0, j = n - 1; i < n; j = i++)\n"
        "        if ((p[i].y > q.y) != (p[j].y > q.y)\n"
        "            && q.x < (p[j].x - p[i].x) * (q.y - p[i].y) / (p[j].y - p[i].y) + p[i].x)\n"
        "            in = !in;\n"
        "    return in;\n"
        "}",
        "It tells whether a corner lies inside an outline, by counting the edges to one side.",
        "how do we know whether a click is inside an outline?",
        "where are edges to one side of a dot counted?",
    ),
)


def instruction() -> str:
    """What every prompt begins with: the task and the examples."""
    turns = [f"<|im_start|>system\n{_TASK}<|im_end|>\n"]
    for header, code, does, first, second in EXAMPLES:
        openings = [
            next(opening for opening in OPENINGS if question.startswith(opening)) for question in (first, second)
        ]
        turns.append(f"{BEFORE}{header}{code}{request(*openings)}{does}\n{first}\n{second}<|im_end|>\n")
    return "".join(turns)


BEFORE = "<|im_start|>user\n"
"""What stands before a document's header and text; `request` stands behind them."""


def request(first: str, second: str) -> str:
    """The end of a prompt that asks for questions with these openings."""
    return f"\n\nOne begins with '{first}', one with '{second}'.<|im_end|>\n<|im_start|>assistant\n"


_STOP = frozenset(
    re.findall(
        r"\S+",
        """
    a an and any are as at be been by can could did do does done each every find for from get gets given goes going had
    happen happens has have how if in into is it its me my of off on one or our out over part place set she should show
    so some somewhere that the their them then there these they this those through to under until up upon us was way we
    were what when where which while who whose why will with within without would you your code piece project thing
    things something anything everything
        """,
    )
)
_ANYTHING = frozenset(
    re.findall(
        r"\S+",
        """
    argument behaviour behavior call case class compute condition create data define defined different error exception
    execute fail failure file function handle implement implemented info information initialize input instance item
    library line logic make method module name new object occur operation option order output parameter perform
    process program property purpose result return right run script specific start state step store stuff system task
    type use used useful user value variable work wrong
        """,
    )
)
"""Content words that could be said of any code; a question of them alone is about anything."""
_SHOWN = re.compile(
    r"\b(?:this|that|the|given|above|following|which|what)\s+(?:\w+\s+)?"
    r"(?:function|method|class|constructor|snippet|script|struct|codebase|program)s?\b"
    r"|\b(?:this|the|given|following)\s+(?:piece|code|file|module|project)\b",
    re.IGNORECASE,
)
"""The source as it was shown to the model, which nobody sees who asks."""
_ECHO = re.compile(r"\bcolleagues?\b|\bquestions?\b|\bsnippet|everyday words|\bnames? from\b|\bspecial to\b", re.I)
_MARKS = re.compile(r"^\s*(?:[-*•]+|\(?\d+[.):]|Q\d*[:.])?\s*[\"'“]?|[\"'”]?\s*$")
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9 ,'’-]*\?")
_ASKS = re.compile(
    r"(?:where|how|what|which|when|who|why|do|does|is|are|can|in (?:which|what)|after (?:how|what)|until when)\b",
    re.IGNORECASE,
)
_IDENTIFIER = re.compile(r"[A-Za-z_$][\w$]*")
_DEFINED = re.compile(
    r"\b(?:def|class|func|function|fn|struct|trait|enum|interface|module|object|type)\s+(?:\([^)]*\)\s*)?([A-Za-z_$][\w$]*)"
    r"|([A-Za-z_$][\w$]*)\s*(?:=|::|\()"
)
_INNER_CAPITAL = re.compile(r"[a-z0-9][A-Z]")


@lru_cache(200_000)
def stem(word: str) -> str:
    """A word without its ending, roughly: 'retries', 'retried' and 'retry' are one."""
    word = word.lower().removesuffix("'s").removesuffix("’s")
    for ending, instead in (("ies", "y"), ("ied", "y"), ("ing", ""), ("ed", ""), ("es", ""), ("s", "")):
        if word.endswith(ending) and len(word) - len(ending) >= 3 and not word.endswith("ss"):
            word = word[: -len(ending)] + instead
            break
    if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "ls":
        word = word[:-1]
    return word.removesuffix("e")


_STOP_STEMS, _ANYTHING_STEMS = frozenset(map(stem, _STOP)), frozenset(map(stem, _ANYTHING))


def words_of(text: str) -> list[str]:
    """Words in lower case."""
    return re.findall(r"[a-z0-9]+(?:['’][a-z]+)?", text.lower())


def content(question: str) -> frozenset[str]:
    """The stems that say what it is about."""
    return frozenset(map(stem, words_of(question))) - _STOP_STEMS


def ordinary_words(documentation: Iterable[tuple[str, str]], *, often: int = OFTEN) -> frozenset[str]:
    """Words that the documentation of at least `often` packages uses, from (package, sentence)."""
    by_package: dict[str, set[str]] = defaultdict(set)
    for package, sentence in documentation:
        by_package[package].update(words_of(sentence))
    counts = Counter(word for words in by_package.values() for word in words)
    return frozenset(word for word, count in counts.items() if count >= often)


def lines_of(written: str, *, whole: bool) -> list[str]:
    """The questions in what was written: the two lines behind that which says what the source does.

    `whole`: the model ended, so the last line is not cut short.
    """
    lines = written.strip().split("\n")
    lines = [fold(_MARKS.sub("", line)) for line in (lines if whole else lines[:-1])[1:]]
    return [line for line in lines if line][:2]


class Names:
    """Names of one document, as a question may not have them."""

    def __init__(self, header: str, text: str, ordinary: Collection[str]) -> None:
        path, _, scope = header.rstrip("\n").partition(" ")
        self._ordinary = ordinary
        every = set(_IDENTIFIER.findall(text)) | set(_IDENTIFIER.findall(scope))
        self._whole = {name.lower() for name in every}
        parts = {split_name(name) for name in every}
        self._long = {" ".join(words) for words in parts if len(words) > 2}
        defined = _IDENTIFIER.findall(scope) + _defined(text) + [path.rsplit("/", 1)[-1].partition(".")[0]]
        self._defined = [frozenset(map(stem, words)) for words in map(split_name, defined) if len(words) > 1]

    def within(self, question: str) -> bool:
        """Whether a name is in the question: spelled as the source does, or word by word what is defined there.

        A word that is a name here and an ordinary word elsewhere is none ("where do we retry?" about `retry`).
        """
        words = words_of(question)
        if any(word in self._whole and word not in self._ordinary for word in words):
            return True
        spelled = f" {' '.join(words)} "
        if any(f" {name} " in spelled for name in self._long):
            return True
        stems = set(map(stem, words))
        return any(name <= stems for name in self._defined)


def _defined(text: str) -> list[str]:
    """The name that the first line of a definition gives, annotations before it left out."""
    for line in text.split("\n")[:12]:
        found = None if re.match(r"\s*(?:@|#|//|/?\*)", line) else _DEFINED.search(line)
        if found:
            return [found[1] or found[2]]
    return []


_SHOWN_STEMS = frozenset(content(question) for *_, first, second in EXAMPLES for question in (first, second))


def fault(question: str, names: Names) -> str | None:
    """Why a question will not do, in a word or two; None if it will."""
    if len(question.split()) not in WORDS:
        return "length"
    if _ECHO.search(question) or content(question) in _SHOWN_STEMS:
        return "echo"
    if _INNER_CAPITAL.search(question) or names.within(question):
        return "name"
    if not _PLAIN.fullmatch(question) or not _ASKS.match(question):
        return "form"
    if _SHOWN.search(question) or not content(question) - _ANYTHING_STEMS:
        return "about anything"
    return None


class Asked:
    """Questions so far, so that none comes again: the same in the whole course, or much the same in a package."""

    def __init__(self) -> None:
        self._all: set[frozenset[str]] = set()
        self._of: dict[str, list[frozenset[str]]] = defaultdict(list)

    def is_new(self, question: str, package: str) -> bool:
        """Whether it is, and remembers it then."""
        own, others = content(question), self._of[package]
        if own in self._all or any(len(own & other) > ALIKE * len(own | other) for other in others):
            return False
        self._all.add(own)
        others.append(own)
        return True
