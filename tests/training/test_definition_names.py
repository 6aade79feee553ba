"""What a document of the corpus defines, told from its first lines in many languages."""

import pytest

from codemem.training.definition_names import definition_name

STORE = " Store\n"


@pytest.mark.parametrize(
    ("header", "text", "name"),
    [
        ("a.py\n", '@app.route(rule("/x"), methods=["GET"])\n@cached\ndef index(request):\n    call()\n', "index"),
        ("a.py\n", '@parametrize(\n    ("a", "b"),\n    [(1, 2)],\n)\ndef test_it(a, b):\n    pass\n', "test_it"),
        (f"a.py{STORE}", "    async def get(self, url):\n        return await fetch(url)\n", "Store.get"),
        ("a.py\n", "class Store(Base):\n    size = 3\n", "Store"),
        ("a.py\n", "RATE: float = 0.19\n", "RATE"),
        ("a.py\n", "logger = logging.getLogger(__name__)\n", "logger"),
        ("a.py\n", "import os\nfrom x import (\n    y,\n)\n", None),
        ("a.py\n", '"""Does things (well)."""\n', None),
        ("a.py\n", 'if __name__ == "__main__":\n    main()\n', None),
        ("a.go\n", "// Get gets.\nfunc (s *Store[K]) Get(key K) (int, error) {\n", "Store.Get"),
        ("a.go\n", "func New(size int) *Store {\n", "New"),
        ("a.go\n", "type Store struct {\n\tsize int\n}\n", "Store"),
        (f"a.rs{STORE}", "    #[inline]\n    pub(crate) fn evict<T: Into<u8>>(&mut self) -> bool {\n", "Store.evict"),
        (f"a.rs{STORE}", '    #[cfg(all(\n        not(feature = "x"),\n    ))]\n    pub fn new() {\n', "Store.new"),
        (f"a.rs{STORE}", "    #[inline] pub const fn size(self) -> u8 {\n", "Store.size"),
        ("a.rs\n", "#[derive(Debug)]\npub struct Store {\n", "Store"),
        ("a.rs\n", "impl<'a, T: Clone> From<&'a T> for crate::Store<T> {\n", "Store"),
        (f"a.java{STORE}", "    @Override public int size() {\n", "Store.size"),
        (f"a.java{STORE}", '    /** Sorts (all). */\n    @Named("x")\n    <T> List<T> sorted(T x) {\n', "Store.sorted"),
        (f"a.js{STORE}", "  get(key) {\n    return this.kept[key]\n  }\n", "Store.get"),
        (f"a.js{STORE}", "  get size() {\n    return 3\n  }\n", "Store.size"),
        ("a.js\n", "export const total = async (order) => {\n", "total"),
        ("a.js\n", "Store.prototype.evict = function (n) {\n", "evict"),
        ("a.js\n", "  setLeft: function (value)\n  {\n", "setLeft"),
        ("a.js\n", "export default async function total(order) {\n", "total"),
        ("a.js\n", "export { a, b } from './c'\nf(x)\n", None),
        ("a.ts\n", "export function mapValues<T extends object, U>(given: T, f: (v: T) => U): U[] {\n", "mapValues"),
        (f"a.ts{STORE}", "  private async find<T>(key: string): Promise<T> {\n", "Store.find"),
        ("a.ts\n", "export interface Shape<T> {\n", "Shape"),
        (f"a.rb{STORE}", "  def empty?\n    @kept.none?\n  end\n", "Store.empty?"),
        (f"a.rb{STORE}", "  def self.open(path)\n", "Store.open"),
        ("a.rb\n", "class Store < Base\n", "Store"),
        ("a.c\n", "static int\nstore_get(struct store *s, const char *key)\n{\n", "store_get"),
        ("a.c\n", "struct store *store_new(size_t n)\n{\n", "store_new"),
        ("a.c\n", "struct store {\n  int n;\n};\n", "store"),
        ("a.cpp\n", "template<typename T>\ninline\nint Store<T>::get(const T& key) const {\n", "get"),
        ("a.cpp\n", "enum class Colour : int {\n", "Colour"),
        (f"a.php{STORE}", "    public static function open(string $path): self\n", "Store.open"),
        ("a.lua\n", "function a.b:get(key)\n", "get"),
        ("a.lua\n", "local function get(key)\n", "get"),
        ("a.kt\n", "enum class Colour(val rgb: Int) {\n", "Colour"),
        (f"a.cs{STORE}", "    [InlineData(1)]\n    public async Task<int> LoadAsync(string path)\n", "Store.LoadAsync"),
        ("a.hs\n", "total :: Monad m => Kept (W m) a -> Int\ntotal order = net order\n", "total"),
        ("a.R\n", "verify <- function(points) {\n  rep(0)\n", "verify"),
        ("README.md Shop\n", "# Shop(x)\n\ndef total(order)\n", None),
        ("a.py\n", "", None),
    ],
)  # fmt: skip
def test_a_document_is_named_by_what_it_defines(header: str, text: str, name: str | None) -> None:
    assert definition_name(header, text) == name


def test_a_definition_that_its_scope_already_names_is_named_once() -> None:
    assert definition_name("a.py shop.Store\n", "class Store(Base):\n    size = 3\n") == "Store"
    assert definition_name("a.py shop.Store\n", "    def get(self):\n        pass\n") == "shop.Store.get"
