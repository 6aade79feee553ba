"""An answer in the form of a fact tells what the question asks for, of what can have it."""

import pytest

from codemem.model.asked import MOST_DEFINITIONS
from codemem.model.claims import Claims
from codemem.model.events import Definition, Source

CLIENT = """from net.wire import fetch, read
from net.limits import LIMIT, OTHER

LOCAL = 3

class Client(Base):
    def connect(self, host, timeout=LOCAL):
        local = self.prepare(host)
        if not local:
            raise ValueError(host)
        return fetch(host, LIMIT) or read(Packet(host)) or self.wire.retry(host, SLOW)

    def prepare(self, host):
        if host is None:
            raise TypeError()
        return host
"""
WIRE = """def fetch(url, version: str = "latest", *, timeout: float = 2.5):
    if not url:
        raise ConnectionError(url)

def read(packet, size=16):
    return packet

def other(url, version="3"):
    raise KeyError(url)

class Packet(Frame):
    def __init__(self, data, width=8):
        self.data = data

    def version(self):
        return 1
"""
LIMITS = "LIMIT = 1 << 20\nOTHER = 7\n\ndef most(large):\n    return 9 * (OTHER if large else 1)\n"
RUBY = "class Pool\n  def take(wait: 0.01, first: true)\n    wait\n  end\n\n  def wait\n  end\nend\n"
GO = """type Fetcher struct {
	*Base
}

// Mirror is built on Upstream.
type Mirror struct {
	Fetcher
}

// Plain stands alone.
type Plain struct {
	name string
}

func Limit(size int) error {
	if size > most(size) {
		return ErrTooLarge
	}
	return check(size)
}
"""
SOURCES = [
    Source(0, "net/limits.py\n", LIMITS, (Definition("LIMIT", 0, 1), Definition("OTHER", 1, 2))),
    Source(
        1,
        "net/wire.py\n",
        WIRE,
        (
            Definition("fetch", 0, 3),
            Definition("read", 4, 6),
            Definition("other", 7, 9),
            Definition("Packet", 10, 16),
            Definition("Packet.__init__", 11, 13),
            Definition("Packet.version", 14, 16),
        ),
    ),
    Source(
        2,
        "net/client.py\n",
        CLIENT,
        (
            Definition("LOCAL", 3, 4),
            Definition("Client", 5, 16),
            Definition("Client.connect", 6, 11),
            Definition("Client.prepare", 12, 16),
        ),
    ),
    Source(
        3, "pool.rb\n", RUBY, (Definition("Pool", 0, 8), Definition("Pool.take", 1, 4), Definition("Pool.wait", 5, 7))
    ),
    Source(
        4,
        "net/fetcher.go\n",
        GO,
        (
            Definition("Fetcher", 0, 3),
            Definition("Mirror", 4, 8),
            Definition("Plain", 9, 13),
            Definition("Limit", 14, 19),
        ),
    ),
]
PRESET = "`Client.connect` calls a function of another file that takes `version`. What is `version` preset to?"
FAILING = "`Client.connect` calls a helper that can fail. With which error?"
CONSTANT = "Which value gets into `Client.connect` by a constant of another file?"
LEFT_OUT = "Which value does `timeout` take in `Client.connect` if it is left out?"
OPEN = "What does `Client.connect` do with `timeout`?"
WAITING = "I call the `take` method of `Pool` without `wait`. What will it be?"


def says(question: str, answer: str, sources: list[Source] = SOURCES) -> bool:
    """Whether an answer to a question may be written, a sign at a time."""
    claims = Claims(sources, question)
    return all(claims.allows(answer[:at], answer[at]) for at in range(len(answer)))


@pytest.mark.parametrize(
    ("question", "answer", "held"),
    [
        (PRESET, '`Client.connect` calls `fetch`, where `version` defaults to `"latest"`.', True),
        (PRESET, "`Client.connect` calls `other`", False),  # presets it, and is not called there
        (PRESET, "`Client.connect` calls `read`", False),  # is called there, and has no such parameter
        (PRESET, "`Client.connect` calls `retry`, where", True),  # was not read: what is said leads there
        (PRESET, '`Client.connect` calls `fetch`, where `version` defaults to `"3"`', False),
        (PRESET, "`Client.connect` calls `fetch`, which raises", False),  # that is not asked
        (PRESET, "`Client.connect` calls `fetch`.", False),  # nor is that all
        (PRESET, "`Client.connect` inherits from", False),  # what it calls is asked about
        (FAILING, "`Client.connect` calls `fetch`, which raises `ConnectionError`.", True),
        (FAILING, "`Client.connect` calls `Client.prepare`, which raises `TypeError`.", True),
        (FAILING, "`Client.connect` calls `read`", False),  # never fails
        (FAILING, "`Client.connect` calls `other`", False),  # fails, and is not called there
        (FAILING, "`Client.connect` calls `Client.retry`, which", True),  # a member that was not read
        (FAILING, "`Client.connect` calls `Client.redirects`", False),  # there is none such
        (FAILING, "`elsewhere` calls `anything`, which raises `KeyError`.", True),  # of nothing that was read
        (CONSTANT, "`Client.connect` uses `LIMIT`, which is `1 << 20`.", True),
        (CONSTANT, "`Client.connect` uses `SLOW`", True),  # was not read
        (CONSTANT, "`Client.connect` uses `OTHER`", False),  # stands not in its lines
        ("What is `OTHER`?", "`OTHER` is `7`, set in `net/limits.py`.", True),
        ("What is `OTHER`?", "`OTHER` is `1`", False),  # stands behind it, and is not assigned
        ("What does `Client.connect` use?", "`Client.connect` uses `read`.", True),  # no constant is asked for
        (LEFT_OUT, "`timeout` defaults to `LOCAL` in `Client.connect`.", True),
        ("What is the default of `timeout` in `fetch`?", "`timeout` defaults to `2.5` in `fetch`.", True),
        ("What is the default of `timeout` in `fetch`?", "`timeout` defaults to `2`", False),  # a part of the number
        ("What is the default of `timeout` in `fetch`?", "`timeout` defaults to `5`", False),
        ("What does `net::Client.connect` raise?", "`net::Client.connect` raises `KeyError`", True),  # another scope
        ("What does `Client::connect` raise?", "`Client::connect` raises `KeyError`", False),
        (LEFT_OUT, "`timeout` defaults to `2.5`", False),  # that of another function
        (LEFT_OUT, "`timeout` defaults to `LOCAL` in `fetch`", False),
        (LEFT_OUT, "`timeout` defaults to `LOCAL` in `Client`.", False),  # the class has no parameters
        (LEFT_OUT, "`Client.connect` ", False),  # tells something else of it
        (LEFT_OUT, "It is `LOCAL`.", True),  # prose is free
        (OPEN, "`Client.connect` raises `ValueError` if `not local`.", True),  # no value is asked for
        ("What is the default of `version` in `fetch`?", '`version` defaults to `"latest"` in `fetch`.', True),
        ("What is the default of `version` in `fetch`?", '`version` defaults to `"3"`', False),
        ("What is the default `width` of `Packet`?", "`width` defaults to `8` in `Packet.__init__`.", True),
        (WAITING, "`wait` defaults to `0.01` in `Pool.take`.", True),  # another definition bears the name
        (WAITING, "`Pool.take` returns", False),
        (
            "`Client` has `fetch` from a parent. Which value has `version` if it is left out?",
            "`Client` inherits from `B",
            True,
        ),
        (
            "`Client` has `fetch` from a parent. Which value has `version` if it is left out?",
            "`Client.fetch` returns",
            False,
        ),
        (
            "Go from `net/__init__.py` to `fetch`: what stands in for `version`?",
            "`net/__init__.py` takes `fetch` from `wire`; its",
            True,
        ),
        (
            "Go from `net/__init__.py` to `fetch`: what stands in for `version`?",
            "`net/__init__.py` takes `fetch` from `wire`; it inherits",
            False,
        ),
        ("What value does `Pool.wait` return?", "`Pool.wait` returns `nil`", False),  # stands not in it
        ("If I change `Client.prepare`, what depends on it?", "`Client.prepare` calls", False),  # the wrong way round
        (
            "If I change `Client.prepare`, what depends on it?",
            "`Client.prepare` is called by `Client.connect` in `net/client.py`.",
            True,
        ),
        ("What does `Client.prepare` call?", "`Client.prepare` calls", True),
        ("Which type stands above `Mirror`?", "`Mirror` embeds `Fetcher`.", True),
        ("Which type stands above `Mirror`?", "`Mirror` embeds `Upstream`", False),  # of a comment
        ("Which type stands above `Mirror`?", "`Mirror` embeds `Mirror`", False),
        ("Which type stands above `Mirror`?", "`Mirror` embeds `struct`", False),
        ("Which type stands above `Fetcher`?", "`Fetcher` embeds `*Base`.", True),
        ("Name the parent of `Mirror`.", "`Mirror` is defined in `net/fetcher.go`.", False),  # that is not asked
        ("Name the parent of `Client`.", "`Client` is", False),
        ("Name the parent of `Plain`.", "`Plain` is defined in `net/fetcher.go`.", True),  # it has none
        ("Where is the parent of `Mirror` defined?", "`Mirror` is defined in `net/fetcher.go`.", True),
        ("Where does `Mirror` stand?", "`Mirror` is defined in `net/fetcher.go`.", True),
        ("Which error comes out of `Client.prepare`?", "`Client.prepare` raises `TypeError`.", True),
        ("Which error comes out of `Client.connect`?", "`Client.connect` calls", False),  # one of its own comes out
        ("Which error comes out of `Limit`?", "`Limit` calls", False),
        ("Which error comes out of `Limit`?", "`Limit` returns the error `ErrTooLarge`.", True),
        ("Which error comes out of `read`?", "`read` calls", True),  # it has none of its own
        ("Which error comes out of what `Limit` calls?", "`Limit` calls", True),
    ],
)
def test_an_answer_tells_what_is_asked_for_of_what_has_it(question: str, answer: str, held: bool) -> None:
    assert says(question, answer) is held


def test_an_object_is_made_by_the_name_of_its_class() -> None:
    question = "Of what `Client.connect` calls one takes `width`. What is the value of `width` otherwise?"
    assert says(question, "`Client.connect` calls `Packet`, where `width` defaults to `8`.")
    assert says(question, "`Client.connect` calls `Packet.__init__`, where `width` defaults to `8`.")
    assert not says(question, "`Client.connect` calls `fetch`")


def test_a_test_is_told_as_a_caller_where_nobody_else_calls_or_tests_are_asked_about() -> None:
    code = "def ping(host):\n    return 1\n\ndef watch():\n    ping('a')\n"
    checks = "def test_ping():\n    assert ping('a')\n"
    module = "mod tests {\n    fn pings() {\n        ping();\n    }\n}\n"
    sources = [
        Source(0, "net/ping.py\n", code, (Definition("ping", 0, 2), Definition("watch", 3, 5))),
        Source(1, "tests/test_ping.py\n", checks, (Definition("test_ping", 0, 2),)),
        Source(2, "src/lib.rs\n", module, (Definition("tests", 0, 5), Definition("tests.pings", 1, 4))),
    ]
    told = "`ping` is called by `watch` in `net/ping.py`"
    # What a part without definitions of a file says, and prose, calls nothing.
    sources += [Source(3, "net/ping.py\n", "from net import ping\n"), Source(4, "NEWS.md\n", "`ping` is new.\n")]
    assert says("Who calls `ping`?", f"{told}.", sources)
    assert not says("Who calls `ping`?", "`ping` is called by `test_ping`", sources)
    assert not says("Who calls `ping`?", f"{told} and by", sources)
    assert says("Which tests call `ping`?", "`ping` is called by `test_ping` in `tests/test_ping.py`.", sources)
    assert says("Who calls `ping`?", "`ping` is called by `tests.pings` in `src/lib.rs`.", sources[2:3])


def test_whoever_is_called_may_be_said_against_the_rules_if_the_model_is_sure() -> None:
    claims = Claims(SOURCES, PRESET)
    assert not claims.by_name("`Client.connect` calls `"), "a call may go by another name than is known here"
    assert claims.by_name("`timeout` defaults to `2.5` in `")
    assert claims.by_name("`Mirror` embeds `"), "what something is built on stands in its code"


def test_more_definitions_than_text_can_hold_bind_nothing() -> None:
    many = [Definition(f"f{number}", 0, 3) for number in range(MOST_DEFINITIONS + 1)]
    hostile = [Source(0, "a.py\n", "def g(version=1):\n    pass\n", many), *SOURCES]
    assert says(PRESET, "`Client.connect` calls `read`", hostile)
    assert says(LEFT_OUT, "`Client.connect` is called by", hostile)
