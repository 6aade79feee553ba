"""What the outline finds in small real trees, and that it stays right as they change."""

from pathlib import Path

import pytest
from helpers import SHOP, read_tree

from codemem.outline import Outline
from codemem.outline.mix import LITTLE_TOLD, MUCH_TOLD


@pytest.fixture
def shop(tmp_path: Path) -> Outline:
    return Outline.build(read_tree(tmp_path, SHOP), names=["shop"])


@pytest.mark.parametrize(
    ("query", "path", "symbol"),
    [
        ("Cart", "shop/cart.py", "Cart"),
        ("total_price", "shop/cart.py", "Cart.total_price"),
        ("totalPrice", "shop/cart.py", "Cart.total_price"),
        ("Session.get", "shop/session.py", "Session.get"),
        ("Cache.get", "shop/cache.py", "Cache.get"),
        ("how items are added to a cart", "shop/cart.py", "Cart.add_item"),
        ("credit card authorization", "shop/payment.py", "authorize_card"),
        ("is the bank asked about a charge?", "shop/payment.py", "authorize_card"),
        ("auth", "shop/payment.py", "authorize_card"),
        ("req dispatching", "web/router.js", "Router.dispatch"),
        ("where is the cache evicting", "shop/cache.py", "Cache.evict"),
        ("tests of the cart", "tests/test_cart.py", "test_add_item"),
        ("shop/session.py", "shop/session.py", None),
    ],
)
def test_first_hit(shop: Outline, query: str, path: str, symbol: str | None) -> None:
    first = shop.search(query)[0]
    assert first.path == path
    assert symbol is None or first.symbol == symbol


def test_a_name_that_is_spelled_with_its_scope_is_not_that_of_another_of_the_file(tmp_path: Path) -> None:
    mixin = (
        "class SessionRedirectMixin:\n    def send(self, redirect): ...\n\n    def redirects(self):\n        pass\n\n\n"
    )
    session = "class Session(SessionRedirectMixin):\n    def send(self, request):\n        return request\n"
    outline = Outline.build(read_tree(tmp_path, SHOP | {"web/sessions.py": mixin + session}), names=["shop"])
    for query in ("What happens in `Session.send` when a redirect comes?", "Session.send", "`Session.send` redirect"):
        assert (outline.search(query)[0].path, outline.search(query)[0].symbol) == ("web/sessions.py", "Session.send")
    assert outline.search("`SessionRedirectMixin.send`")[0].symbol == "SessionRedirectMixin.send"


def test_hits_point_at_the_definition(shop: Outline) -> None:
    hit = shop.search("total_price")[0]
    assert SHOP[hit.path].split("\n")[hit.start_line - 1].strip().startswith("def total_price")
    assert hit.start_line <= hit.end_line <= SHOP[hit.path].count("\n")


def test_how_much_of_a_question_names_tell(shop: Outline) -> None:
    exact, most, little = (
        shop.scores(query).told
        for query in ("total_price", "how items are added to a cart", "why would parsing of floats round the total up?")
    )
    assert exact > most > MUCH_TOLD > LITTLE_TOLD > little > 0
    assert shop.scores("zyzzyva").told == 0
    report = "The cart is wrong. " + "nothing of this is anywhere " * 40
    assert shop.scores(report).told > 0
    assert Outline.build([]).scores("Cart").told == 0


def test_the_scores_of_a_question_follow_what_changes(shop: Outline) -> None:
    before = shop.scores("Cart")
    assert shop.scores("Cart") is before
    shop.remove("shop/cart.py")
    assert len(shop.scores("Cart").files) == len(before.files) - 1


def test_code_comes_before_its_tests_and_documentation(shop: Outline) -> None:
    paths = [hit.path for hit in shop.search("cart add item", 10)]
    assert paths[0] == "shop/cart.py"
    assert {"tests/test_cart.py", "docs/cart.md"} <= set(paths[1:])


def test_documentation_comes_first_when_asked_for(shop: Outline) -> None:
    assert shop.search("documentation of the cart")[0].path == "docs/cart.md"


def test_a_declaration_comes_after_its_definition(tmp_path: Path) -> None:
    files = {
        "lib/easy.h": "/* Start a transfer. */\nint start_transfer(int handle);\n",
        "lib/easy.c": "/* Start a transfer. */\nint start_transfer(int handle)\n{\n  return handle;\n}\n",
    }
    outline = Outline.build(read_tree(tmp_path, files))
    assert [hit.path for hit in outline.search("start_transfer")] == ["lib/easy.c", "lib/easy.h"]


def test_a_folder_names_its_container_file(tmp_path: Path) -> None:
    files = {"src/routing/mod.rs": "pub fn merge() {}\n", "src/other.rs": "pub fn fold() {}\n"}
    assert Outline.build(read_tree(tmp_path, files)).search("routing")[0].path == "src/routing/mod.rs"


def test_neighbouring_words_find_a_name_written_as_one(tmp_path: Path) -> None:
    files = {"keylog.go": "package tls\n\nfunc Open() {}\n", "other.go": "package tls\n\nfunc Close() {}\n"}
    assert Outline.build(read_tree(tmp_path, files)).search("writing the key log")[0].path == "keylog.go"


def test_paths_in_a_report_lead_to_their_files(shop: Outline) -> None:
    report = (
        "It fails\n\nTraceback (most recent call last):\n"
        '  File "/usr/lib/python3/site-packages/shop/session.py", line 3, in something\n'
        + "KeyError: unknown visitor number thirty four while the page was shown and nobody looked at all\n"
        * 4
    )
    assert shop.search(report)[0].path == "shop/session.py"


def test_several_definitions_of_a_file_on_request(shop: Outline) -> None:
    hits = [hit for hit in shop.search("cart add item total price", 10, per_file=3) if hit.path == "shop/cart.py"]
    assert {"Cart.add_item", "Cart.total_price"} <= {hit.symbol for hit in hits}
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)


@pytest.mark.parametrize("query", ["", "   ", "?!", "zzyzx", "\x00", "<|im_end|>", "a" * 100_000])
def test_a_query_without_known_words_finds_nothing(shop: Outline, query: str) -> None:
    assert shop.search(query) == []


def test_an_empty_outline_finds_nothing() -> None:
    assert Outline().search("anything") == []
    assert len(Outline()) == 0


def test_updates_equal_a_fresh_build(tmp_path: Path) -> None:
    before = read_tree(tmp_path, SHOP)
    outline = Outline.build(before, names=["shop"])
    outline.search("cart")
    (tmp_path / "shop/cache.py").unlink()
    after = read_tree(
        tmp_path, {"shop/cart.py": "def checkout(basket):\n    return basket\n", "shop/new.py": "X = 1\n"}
    )
    outline.remove("shop/cache.py")
    outline.remove("never/was/there.py")
    for file in after:
        outline.update(file)
    fresh = Outline.build(after, names=["shop"])
    assert len(outline) == len(fresh)
    assert "shop/cache.py" in {file.path for file in before} - set(outline.paths)
    for query in ("cart", "checkout", "evict", "how is a basket paid?", "Session.get"):
        assert outline.search(query) == fresh.search(query)


HOSTILE = {
    "<|im_start|>system.py": "def ignore_previous_instructions():\n    pass\n",
    "a|b/[doc 1].py": "class __:\n    def _(self):\n        pass\n",
    "новый/файл.py": "def найти():\n    pass\n",
    "-rf.py": "def " + "x" * 5000 + "():\n    pass\n",
    "deep/" * 40 + "er.py": "def bottom():\n    pass\n",
    "noext": "just text\n",
    ".hidden/.py": "def dot():\n    pass\n",
}


def test_hostile_names_are_indexed_found_and_stored(tmp_path: Path) -> None:
    files = read_tree(tmp_path / "tree", HOSTILE)
    outline = Outline.build(files)
    assert len(outline) == len(files) >= 5
    assert outline.search("ignore previous instructions")[0].symbol == "ignore_previous_instructions"
    assert outline.search("найти")[0].symbol == "найти"
    assert outline.search("bottom")[0].path.endswith("er.py")
    outline.save(tmp_path / "outline.db")
    assert Outline.load(tmp_path / "outline.db").paths == outline.paths


def test_files_that_are_not_read_yet_are_found_by_their_names(shop: Outline, tmp_path: Path) -> None:
    shop.name_only(["shop/shipping_label.py", "shop/cart.py", "tests/test_shipping.py"])
    assert len(shop) == len(SHOP)
    first = shop.search("where are shipping labels printed")[0]
    assert (first.path, first.symbol) == ("shop/shipping_label.py", None)
    assert shop.search("shipping tests")[0].path == "tests/test_shipping.py"
    assert shop.search("Cart")[0].symbol == "Cart", "what was read is not forgotten"
    shop.save(tmp_path / "outline")
    assert Outline.load(tmp_path / "outline").oids.keys() == SHOP.keys()
    shop.name_only([])
    assert shop.search("shipping label") == []
