"""What a question takes for given although it is not so, in five languages; and what must never be denied."""

from pathlib import Path

import pytest

from app.bench import Bench
from app.conftest import write
from codemem.premises import lacking
from codemem.results import AskResult

FILES = {
    "net/client.py": (
        "import functools\n\n\n"
        "class Client:\n"
        '    """Talks to a host."""\n\n'
        "    def __init__(self, host, port=80):\n"
        "        self.host, self.port = host, port\n\n"
        "    @functools.cache\n"
        "    def address(self, scheme):\n"
        '        return f"{scheme}://{self.host}:{self.port}"\n\n'
        "    def send(self, payload, timeout: float = 3.5):\n"
        "        check(payload)\n"
        "        return timeout\n\n"
        "    def close(self, reason):\n"
        "        self.host = reason\n\n"
        "    def quiet(self, level=None, **options):\n"
        "        return options\n\n"
        "    def later(self, wait):\n"
        "        wait = wait or 5\n"
        "        return wait\n\n\n"
        "class Timed(Client):\n"
        "    def lapse(self, span):\n"
        "        return self.send(span)\n\n\n"
        "def check(payload):\n"
        "    if not payload:\n"
        "        raise ValueError(payload)\n\n\n"
        "def relay(client, **options):\n"
        "    return passing(client, **options)\n\n\n"
        "def passing(client, **options):\n"
        "    level = options.pop('depth', 2)\n"
        "    return client.send(level, **options)\n\n\n"
        "def orphan(count):\n"
        "    return count + 1\n"
    ),
    "web/cart.js": """\
class Cart {
  total(rate) {
    return this.sum * rate
  }
  round(digits = 2) {
    return this.total(1).toFixed(digits)
  }
}
class Basket {
  fill(item) {
    this.item = item
  }
}
Object.assign(Basket.prototype, Cart.prototype)
class Crate
  extends Basket {
  lid() {
    return this.item
  }
}
function first(list, fallback) {
  return list[0] + (fallback ?? 3)
}
module.exports = { Cart, Basket, first }
""",
    "shop/order.rb": """\
class Order
  def ship(carrier:, days: 3)
    carrier.take(days)
  end

  def track(code)
    code.upcase
  end
end

class Gift
  include Comparable
  def wrap(paper)
    paper
  end
end
""",
    "srv/server.go": """\
package srv

func Listen(endpoint string) string {
\treturn endpoint
}

func Serve(endpoint string) error {
\treturn Bind(endpoint)
}

func Bind(endpoint string) error {
\treturn ErrClosed
}
""",
    "core/parse.rs": """\
pub fn depth(limit: usize) -> usize {
    limit + 1
}

pub fn width(limit: Option<usize>) -> usize {
    limit.unwrap_or(8)
}
""",
    "README.md": "Call `orphan` to count, or `Listen`.\n",
}


@pytest.fixture
def shop(bench: Bench, repository: Path) -> Path:
    write(repository, FILES)
    bench.index(repository)
    return repository


def noted(bench: Bench, repository: Path, question: str) -> str | None:
    with bench.session(repository, answering=True) as session:
        assert session.recall is not None
        found = lacking(session.recall, question)
    return found.note if found else None


@pytest.mark.parametrize(
    ("question", "note"),
    [
        ("What is the default of `retries` in `Client.send`?", "`Client.send` takes no `retries`"),
        (
            "I call the `close` method of `Client` without `timeout`. What will it be?",
            "`Client.close` takes no `timeout`",
        ),
        ("Which value does `reason` take in `Client.close` by default?", "`reason` of `Client.close` has no default"),
        ("`code` is optional in `Order.track`: what stands in for it?", "`code` of `Order.track` has no default"),
        ("Worauf ist `endpoint` in `Listen` voreingestellt?", "`endpoint` of `Listen` has no default"),
        ("¿Cuál es el valor predeterminado de `limit` en `depth`?", "`limit` of `depth` has no default"),
        ("What is the default of `colour` in `relay`?", "`colour` stands neither in `relay` nor in what it hands"),
        ("Name the error that `orphan` signals.", "neither `orphan` nor what it calls here raises an error"),
        ("With what decorator is `Client.send` marked?", "no decorator stands above `Client.send`"),
        ("Which function calls `orphan`?", "nothing here calls `orphan` by its name"),
        ("Name the parent of `Client`.", "`Client` has no parent that it names"),
        ("`Cart` 的父类型是什么？", "`Cart` has no parent that it names"),
        ("What is the base class of `Order`?", "`Order` has no parent that it names"),
    ],
)
def test_what_is_not_so_is_told(bench: Bench, shop: Path, question: str, note: str) -> None:
    assert (noted(bench, shop, question) or "").startswith(note)


@pytest.mark.parametrize(
    "question",
    [
        "What is the default of `timeout` in `Client.send`?",  # typed, and preset
        "What is the default of `port` in `Client`?",  # by what makes an object
        "What is the default of `days` in `Order.ship`?",  # a keyword of Ruby
        "What is the default of `digits` in `Cart.round`?",
        "What is the default of `wait` in `Client.later`?",  # set within
        "What is the default of `fallback` in `first`?",
        "What is the default of `limit` in `width`?",
        "What is the default of `timeout` in `relay`?",  # handed on, twice
        "What is the default of `depth` in `relay`?",  # looked up where it arrives
        "What is the default of `scheme` in `Client.address`?",  # a decorator may give it
        "What is the default of `payload` in what `Timed.lapse` calls?",
        "What does `Timed.lapse` hand on by default as `timeout`?",  # of what it calls
        "Which error comes out of `Client.send`?",  # of what it calls
        "Which error does `Serve` return?",
        "With what decorator is `Client.address` marked?",
        "Which function calls `check`?",
        "Which function calls `Bind`?",
        "Name the parent of `Timed`.",
        "Name the parent of `Basket`.",  # joined behind its body
        "Name the parent of `Gift`.",
        "Name the parent of `Crate`.",  # told in the line below its name
        "How does the cache decorator change `Client.send`?",
        "In which file is the parent of `Client` defined?",
        "What does `orphan` return?",
        "Where is the error of an empty payload raised?",
        "What is the default of `retries`?",
    ],
)
def test_what_may_be_so_is_asked(bench: Bench, shop: Path, question: str) -> None:
    assert noted(bench, shop, question) is None


def test_it_is_said_with_the_definition_and_without_the_model(bench: Bench, shop: Path) -> None:
    (answered,) = bench.ask(shop, "What is the default of `retries` in `Client.send`?")
    assert isinstance(answered, AskResult)
    assert (answered.found, answered.answer, list(answered.citations)) == (False, "", [])
    assert "`Client.send` takes no `retries`" in answered.notes
    assert (answered.places[0].path, answered.places[0].symbol) == ("net/client.py", "Client.send")


def test_every_bearer_of_a_name_has_to_lack_it(bench: Bench, shop: Path) -> None:
    question = "What is the default of `reason` in `close`?"
    assert noted(bench, shop, question) is not None
    write(shop, {"net/other.py": "def close(reason='done'):\n    return reason\n"})
    bench.index(shop)
    assert noted(bench, shop, question) is None


def test_a_call_in_a_file_that_was_not_indexed_yet_counts(bench: Bench, shop: Path) -> None:
    write(shop, {"tools/late.py": "from net.client import orphan\n\norphan(3)\n"})
    assert noted(bench, shop, "Which function calls `orphan`?") is None


def test_reports_and_huge_definitions_are_left_to_the_model(bench: Bench, shop: Path) -> None:
    body = "".join(f"    step_{number} = {number}\n" for number in range(700))
    write(shop, {"net/long.py": f"def endless(amount):\n{body}    return amount\n"})
    bench.index(shop)
    assert noted(bench, shop, "Which value does `amount` take in `endless` by default?") is None
    assert noted(bench, shop, "What is the default of `retries` in `Client.send`? " + "It fails. " * 40) is None


@pytest.mark.parametrize("question", ["What is the default of `colour` in `relay`?", "Which function calls `orphan`?"])
def test_without_time_to_look_nothing_is_denied(bench: Bench, shop: Path, question: str) -> None:
    with bench.session(shop, answering=True) as session:
        assert session.recall is not None
        assert lacking(session.recall, question) is not None
        assert lacking(session.recall, question, seconds=-1.0) is None
