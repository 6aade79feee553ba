"""Which lines and which sources carry an answer."""

from codemem.model.evidence import deciding_span, supporting

TEXT = "import os\n\n" + "# filler\n" * 60 + "def connect(timeout=30):\n    return timeout\n" + "# more\n" * 40


def test_the_lines_that_share_rare_words_decide() -> None:
    start, end = deciding_span(TEXT, "`connect` has a default timeout of 30.")
    assert TEXT.encode()[start:end].decode() == "def connect(timeout=30):\n    return timeout\n"


def test_a_span_is_bounded_and_lies_in_the_text() -> None:
    text = "word\n" * 100
    start, end = deciding_span(text, "word")
    assert text[start:end].count("\n") <= 30
    assert deciding_span("", "anything") == (0, 0)
    assert deciding_span("é = 1\nü = 2\n", "nothing shared")[1] <= len("é = 1\nü = 2\n".encode())


def test_words_that_every_source_holds_decide_nothing() -> None:
    texts = ["def get(self): ...", "def get(self): retry(3)", "def get(self): ..."]
    assert supporting(texts, "get calls retry")[0] == 1
    assert supporting(["abc", "def"], "unrelated") == []


def test_ranks_and_the_writers_own_numbers_weigh_in() -> None:
    texts = ["def close(self): flush()", "def close(self): flush()", "import os"]
    assert supporting(texts, "close flushes: flush()") == [0, 1]
    assert supporting(texts, "close flushes: flush()", cited=[1]) == [1, 0]
    assert supporting(texts, "close flushes: flush()", cited=[2]) == [0, 1]


def test_a_licence_shares_nothing_with_an_answer() -> None:
    licence = "".join(f"# Use of this source is governed by what is in the file, line {n}.\n" for n in range(31))
    text = licence + "def recover(stack):\n    return stack\n"
    start, end = deciding_span(text, "It is in the stack that this is what the recover function is for.")
    assert text.encode()[start:end].decode().startswith("def recover(stack):")


def test_the_line_that_decides_is_in_the_span() -> None:
    part = "    def part(self, tokens):\n        return Statement.type_of(self.list)\n"
    text = "class Statement(TokenList):\n" + 30 * part + "    def list_of_tokens(self): ...\n    token_list = 1\n"
    start, end = deciding_span(text, "Which type stands above `Statement`? `Statement` inherits from `TokenList`.")
    assert "class Statement(TokenList):" in text.encode()[start:end].decode()
