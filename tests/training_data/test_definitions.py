"""Definitions are read from source of many languages with their documentation apart from their code."""

import pytest

from codemem.training.data import python_definitions, treesitter_definitions
from codemem.training.data.definition import Definition, call_sites, question_of, split_name

PYTHON = '''"""Send reports to the people who asked for them."""

import smtplib


class Mailer(Base):
    """Delivers messages through one relay."""

    @retry
    def send(self, message, timeout=30):
        """Send one message and wait for the relay.

        Details follow.
        """
        with smtplib.SMTP(self.host, timeout=timeout) as relay:
            relay.send_message(message)


def short():
    pass
'''


def python(source: str) -> list[Definition]:
    tree = python_definitions.parse(source)
    assert tree is not None
    return python_definitions.definitions("src/mail.py", source, tree, test=False)


def test_python_methods_lose_their_docstring_and_keep_decorators() -> None:
    send = next(found for found in python(PYTHON) if found.name == "send")
    assert send.header == "src/mail.py Mailer\n"
    assert send.kind == "method"
    assert send.text.startswith("    @retry\n    def send(")
    assert "Send one message" not in send.text
    assert question_of(send.documentation) == "Send one message and wait for the relay."
    assert ("send_message", "relay.send_message(message)") in send.calls


def test_python_leaves_out_what_is_too_short_and_windows_the_module() -> None:
    found = python(PYTHON)
    assert [definition.name for definition in found if definition.kind != "window"] == ["Mailer", "send"]
    window = next(definition for definition in found if definition.kind == "window")
    assert window.documentation == "Send reports to the people who asked for them."
    assert window.documentation not in window.text


SOURCES = {
    "javascript": (
        "/**\n * Opens the socket and waits for the handshake.\n * @param {string} url\n */\n"
        "export async function connect(url) {\n  const socket = new Socket(url);\n  return socket.ready();\n}\n",
        "connect", "", "Opens the socket and waits for the handshake.",
    ),
    "typescript": (
        "class Pool {\n  /** Gives a connection back to the pool. */\n"
        "  release(connection: Connection): void {\n    this.idle.push(connection);\n    this.wake();\n  }\n}\n",
        "release", "Pool", "Gives a connection back to the pool.",
    ),
    "go": (
        "package pool\n\n// Release gives a connection back to the pool.\n"
        "func (p *Pool) Release(c *Conn) error {\n\tp.idle = append(p.idle, c)\n\treturn p.wake()\n}\n",
        "Release", "", "Release gives a connection back to the pool.",
    ),
    "rust": (
        "impl Pool {\n    /// Gives a connection back to the pool.\n    #[inline]\n"
        "    pub fn release(&mut self, conn: Conn) {\n        self.idle.push(conn);\n        self.wake();\n    }\n}\n",
        "release", "Pool", "Gives a connection back to the pool.",
    ),
    "java": (
        "class Pool {\n  /**\n   * Gives a connection back to the {@link Pool}.\n   */\n  @Override\n"
        "  public void release(Connection c) {\n    idle.add(c);\n    this.wakeOneWaiter();\n  }\n}\n",
        "release", "Pool", "Gives a connection back to the Pool.",
    ),
    "ruby": (
        "class Pool\n  # Gives a connection back to the pool.\n  def release(connection)\n"
        "    @idle << connection\n    wake_one_of_the_waiting_threads\n  end\nend\n",
        "release", "Pool", "Gives a connection back to the pool.",
    ),
    "php": (
        "<?php\nclass Pool {\n    /**\n     * Gives a connection back to the pool.\n     */\n"
        "    public function release(Connection $c): void {\n        $this->idle[] = $c;\n"
        "        $this->wake();\n    }\n}\n",
        "release", "Pool", "Gives a connection back to the pool.",
    ),
    "lua": (
        "--- Gives a connection back to the pool.\nfunction Pool:release(connection)\n"
        "  table.insert(self.idle, connection)\n  self:wake_one()\nend\n",
        "release", "Pool", "Gives a connection back to the pool.",
    ),
    "scala": (
        "class Pool {\n  /** Gives a connection back to the pool. */\n"
        "  def release(c: Connection): Unit = {\n    idle.add(c)\n    wakeOneOfTheWaiting()\n  }\n}\n",
        "release", "Pool", "Gives a connection back to the pool.",
    ),
    "kotlin": (
        "class Pool {\n    /** Gives a connection back to the pool. */\n"
        "    fun release(c: Connection) {\n        idle.add(c)\n        wakeOneOfTheWaiting()\n    }\n}\n",
        "release", "Pool", "Gives a connection back to the pool.",
    ),
    "csharp": (
        "class Pool {\n    /// <summary>\n    /// Gives a connection back to the pool.\n    /// </summary>\n"
        "    public void Release(Connection c) {\n        idle.Add(c);\n        WakeOneOfTheWaiting();\n    }\n}\n",
        "Release", "Pool", "Gives a connection back to the pool.",
    ),
    "c": (
        "/*\n * Give a connection back to the pool.\n */\nint pool_release(struct pool *p, struct conn *c)\n{\n"
        "\tlist_add(&p->idle, &c->node);\n\treturn pool_wake(p);\n}\n",
        "pool_release", "", "Give a connection back to the pool.",
    ),
    "cpp": (
        "namespace db {\n/// \\brief Gives a connection back to the pool.\ntemplate <class T>\n"
        "void Pool<T>::release(T connection) {\n  idle_.push_back(connection);\n  wake();\n}\n}\n",
        "release", "db.Pool", "Gives a connection back to the pool.",
    ),
    "haskell": (
        "module Pool where\n\n-- | Gives a connection back to the pool.\nrelease :: Pool -> Connection -> IO ()\n"
        "release pool connection = do\n  modifyIORef (idle pool) (connection :)\n  wake pool\n",
        "release", "", "Gives a connection back to the pool.",
    ),
    "r": (
        "#' Gives a connection back to the pool.\nrelease <- function(pool, connection) {\n"
        "  pool$idle <- c(pool$idle, connection)\n  wake(pool)\n}\n",
        "release", "", "Gives a connection back to the pool.",
    ),
}  # fmt: skip


@pytest.mark.parametrize("language", SOURCES)
def test_each_language_gives_name_scope_code_and_documentation(language: str) -> None:
    source, name, scope, question = SOURCES[language]
    found = treesitter_definitions.definitions(f"src/pool.{language}", source, language, test=False)
    definition = next(definition for definition in found if definition.kind != "class")
    assert (definition.name, definition.scope) == (name, scope)
    assert question_of(definition.documentation) == question
    assert question not in definition.text
    assert "idle" in definition.text or "socket" in definition.text


def test_comment_after_code_is_no_documentation() -> None:
    source = "int used; // how many connections are out there now\n"
    source += "int pool_size(struct pool *p)\n{\n\treturn p->idle_count + used + 1;\n}\n"
    (found,) = treesitter_definitions.definitions("pool.c", source, "c", test=False)
    assert found.documentation == ""


@pytest.mark.parametrize(
    "text",
    [
        "Copyright 2020 by the authors of this file.",
        "TODO: make this function work for all inputs.",
        "Too short.",
        ":param name: the name of the thing to look for",
        "+----+----+----+----+----+----+----+----+----+",
    ],
)
def test_boilerplate_is_no_question(text: str) -> None:
    assert question_of(text) is None


def test_question_drops_markup_and_stops_at_the_first_sentence() -> None:
    documentation = "Return the :class:`~mail.Relay` used by\n    ``send``. Never None.\n\nArgs:\n    x: y"
    assert question_of(documentation) == "Return the Relay used by send."


def test_long_text_is_cut_at_a_line() -> None:
    code = "def f():\n" + "    value = compute_something_long()\n" * 100
    text = Definition("a.py", "python", "function", "f", "", code, "").text
    assert 800 <= len(text) <= 1600
    assert text.endswith("compute_something_long()")


def test_names_split_at_underscores_and_case() -> None:
    assert split_name("HTTPAdapter_sendAll2") == ("http", "adapter", "send", "all", "2")


def test_call_sites_leave_out_the_head_and_comments() -> None:
    code = "def outer(value):\n    # helper_in_comment(value)\n    return helper(value)\n"
    assert call_sites(code) == (("helper", "return helper(value)"),)
