"""Small trees of real source, read by the real indexer."""

from pathlib import Path

from codemem.indexer import SourceFile, index_tree, open_tree


def read_tree(root: Path, files: dict[str, str]) -> list[SourceFile]:
    """Write `files` under `root` and index them."""
    for path, text in files.items():
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    with open_tree(root) as tree:
        return [file for file in index_tree(tree) if isinstance(file, SourceFile)]


SHOP = {
    "shop/cart.py": (
        "class Cart:\n"
        '    """What a visitor is about to buy."""\n\n'
        "    def add_item(self, product, quantity):\n"
        '        """Put a product into the cart."""\n'
        "        self.items.append((product, quantity))\n\n"
        "    def total_price(self):\n        return sum(p.price * q for p, q in self.items)\n"
    ),
    "shop/payment.py": (
        "class PaymentError(Exception):\n    pass\n\n\n"
        "def authorize_card(number, amount):\n"
        '    """Ask the bank whether a credit card may be charged."""\n'
        "    raise PaymentError(number)\n\n\n"
        "def refund(transaction):\n    return -transaction\n"
    ),
    "shop/session.py": (
        "class Session:\n    def get(self, key):\n        return self.data[key]\n\n\n"
        "class SessionStore:\n    def load(self, key):\n        return None\n"
    ),
    "shop/cache.py": (
        "class Cache:\n    def get(self, key):\n        return None\n\n    def evict(self):\n        pass\n"
    ),
    "tests/test_cart.py": (
        "from shop.cart import Cart\n\n\ndef test_add_item():\n    assert Cart().add_item(1, 2) is None\n"
    ),
    "docs/cart.md": "# Cart\n\nHow the cart adds items and computes the total price.\n",
    "web/router.js": "export class Router {\n  dispatch(request) {\n    return this.routes[request.path];\n  }\n}\n",
}
