"""Facts are read off source as it stands, in every language, and questions about them are ones that can be judged."""

from dataclasses import replace

import pytest

from codemem.evals.answers.fact_questions import facts_of
from codemem.evals.answers.facts import Facts
from codemem.evals.answers.generate import usable
from codemem.evals.answers.grammars import GRAMMARS
from codemem.evals.answers.hop_questions import hops_of
from codemem.evals.answers.questions import TONGUES, Code, Line, Question
from codemem.evals.answers.syntax import read_facts

PYTHON = (
    (
        "app/base.py",
        """class Connection(Closable):
    def fetch(self, url, timeout=30):
        if not url:
            raise AddressError("empty")
        return self.raw(url)

    @cached
    def scheme_name(self):
        return "tcp"


def parse_header(line, strict="lenient"):
    raise HeaderError(line)


BUFFER_LINES = 4096
""",
    ),
    (
        "app/secure.py",
        """from app.base import BUFFER_LINES, Connection, parse_header


class SecureConnection(Connection):
    def handshake(self):
        return parse_header(self.read(BUFFER_LINES))
""",
    ),
    ("app/__init__.py", "from app.secure import SecureConnection\n"),
)
SCRIPT = (
    (
        "lib/queue.js",
        """class Queue extends Emitter {
  push(item, priority = 5) {
    if (!item) throw new RangeError('no item')
  }
}
const HIGH_WATER = 16384
""",
    ),
)
GO = (
    (
        "pool/pool.go",
        """package pool

const maxIdleConns = 64

type Pool struct {
	locker
	size int
}

func (p *Pool) Take() (*Conn, error) {
	if p.size == 0 {
		return nil, ErrPoolDrained
	}
	return p.openConnection()
}

func (p *Pool) openConnection() (*Conn, error) { return dial() }
""",
    ),
)
RUST = (
    (
        "src/unit.rs",
        """#[derive(Debug, Clone)]
pub struct Unit { size: usize }

const LIMIT_BYTES: usize = 2048;

impl Unit {
    pub fn check(&self) -> Result<(), Error> {
        Err(ErrorKind::TooLarge.into())
    }
    pub fn method_label(&self) -> &str { "unit" }
}
""",
    ),
)
RUBY = (
    (
        "lib/view.rb",
        """class View < Template
  PARTIAL_LEVELS = 12

  def render(name, format = :html)
    raise MissingTemplate, name unless name
    load_partial(name)
  end
end
""",
    ),
)


def found(files: tuple[tuple[str, str], ...], language: str) -> dict[str, set[tuple[str, ...]]]:
    """Kind -> expected values of the questions that can be judged."""
    answers: dict[str, set[tuple[str, ...]]] = {}
    for question in facts_of(Code("demo", language), read_facts(files, language)):
        if usable(question):
            answers.setdefault(question.kind, set()).add(question.expected)
    return answers


@pytest.mark.parametrize(
    ("files", "language", "expected"),
    [
        (
            PYTHON,
            "python",
            {
                "default": {("30",), ('"lenient"',)},
                "raises": {("AddressError",), ("HeaderError",)},
                "returns": {('"tcp"',)},
                "decorators": {("cached",)},
                "bases": {("Closable",), ("Connection",)},
                "constant": {("4096",)},
                "caller": {("handshake",)},
            },
        ),
        (SCRIPT, "javascript", {"default": {("5",)}, "raises": {("RangeError",)}, "bases": {("Emitter",)}}),
        (GO, "go", {"raises": {("ErrPoolDrained",)}, "bases": {("locker",)}, "constant": {("64",)}}),
        (RUST, "rust", {"derives": {("Debug", "Clone")}, "returns": {('"unit"',)}, "constant": {("2048",)}}),
        (RUBY, "ruby", {"default": {(":html",)}, "raises": {("MissingTemplate",)}, "bases": {("Template",)}}),
    ],
)
def test_facts_of_each_language(
    files: tuple[tuple[str, str], ...], language: str, expected: dict[str, set[tuple[str, ...]]]
) -> None:
    answers = found(files, language)
    assert {kind: answers.get(kind, set()) & values for kind, values in expected.items()} == expected


def hops(files: tuple[tuple[str, str], ...]) -> dict[str, Question]:
    return {question.kind: question for question in hops_of(Code("demo", "python"), read_facts(files, "python"))}


def test_hops_name_what_stands_in_the_first_file_and_expect_what_stands_in_the_last() -> None:
    made = hops(PYTHON)
    inherited = made["inherits+default"]
    assert inherited.expected == ("30",)
    assert inherited.evidence == ((Line("app/secure.py", 4),), (Line("app/base.py", 2),))
    assert "`SecureConnection`" in inherited.text()
    assert "Connection`" not in inherited.text().replace("`SecureConnection`", "")
    assert made["calls+raises"].expected == ("HeaderError",)
    assert "parse_header" not in made["calls+raises"].text()
    assert made["uses+constant"].expected == ("4096",)
    assert made["uses+constant"].evidence[-1] == (Line("app/base.py", 16),)
    assert made["reexports+bases"].evidence[0] == (Line("app/__init__.py", 1),)


def test_a_name_that_is_not_imported_leads_nowhere() -> None:
    unseen = (PYTHON[0], ("app/other.py", "def handler(queue):\n    return parse_header(queue, BUFFER_LINES)\n"))
    assert "calls+raises" not in hops(unseen)
    assert "uses+constant" not in hops(unseen)


def test_a_short_name_called_on_an_object_is_no_sure_call() -> None:
    files = (
        ("a.py", "class Stack:\n    def describe(self):\n        raise DepthError\n"),
        ("b.py", "def show_all(things):\n    return things.describe()\n"),
    )
    facts: Facts = read_facts(files, "python")
    assert not [q for q in facts_of(Code("demo", "python"), facts) if q.kind == "caller"]
    assert not list(hops_of(Code("demo", "python"), facts))


def test_a_string_with_parts_filled_in_is_no_constant() -> None:
    files = (
        ("a.py", "def private_name(name):\n    return f'_cmd_{name}'\n\n\ndef plain_name():\n    return '_cmd_all'\n"),
    )
    asked = list(facts_of(Code("demo", "python"), read_facts(files, "python")))
    assert [question.expected for question in asked if question.kind == "returns"] == [("'_cmd_all'",)]


def test_every_question_is_asked_in_every_tongue_with_its_names() -> None:
    questions = list(facts_of(Code("demo", "python"), read_facts(PYTHON, "python")))
    assert questions
    for question in questions:
        assert set(question.asked) == set(TONGUES)
        for tongue in TONGUES:
            assert "{" not in question.text(tongue)
            assert "`" in question.text(tongue)
        assert len(set(question.asked["en"])) == 3


def test_values_that_the_question_gives_away_are_not_asked_for() -> None:
    given = (("a.py", "class Retry(RetryBase):\n    pass\n\n\ndef timeout_30(limit='limit'):\n    return limit\n"),)
    asked = [q for q in facts_of(Code("demo", "python"), read_facts(given, "python")) if q.kind == "default"]
    assert [usable(question) for question in asked] == [False]


def test_source_may_be_nested_deeper_than_python_calls_itself() -> None:
    deep = (
        "function total() {\n  if (!ready) throw new RangeError('early')\n  return " + "1 + (" * 3000 + "1" + ")" * 3000
    )
    facts = read_facts((("sum.js", deep + "\n}\n"),), "javascript")
    assert [[stated.text for stated in function.raises] for function in facts.functions] == [["RangeError"]]


def test_a_grammar_says_whether_a_function_literal_raises_for_the_function_around_it() -> None:
    files = (("later.js", "function later(queue) {\n  queue.then(() => { throw new LateError('then') })\n}\n"),)
    grammar = GRAMMARS["javascript"]
    assert [f.raises[0].text for f in read_facts(files, "javascript").functions] == ["LateError"]
    own = read_facts(files, "javascript", replace(grammar, lambdas_raise=False))
    assert [f.raises for f in own.functions] == [[]]
