"""How an answer goes on behind the name that it begins with."""

import pytest

from codemem.model.claims import Claims
from codemem.model.events import Definition, Source
from codemem.model.framing import BASE, CALLED, CALLED_ERROR, HANDED_ON, Frame, follows, to_come


@pytest.mark.parametrize(
    ("text", "frame", "fits", "fixed"),
    [
        ("", CALLED, True, False),
        ("`ret", CALLED, True, False),
        ("`retry`", CALLED, True, True),
        ("`retry` is c", CALLED, True, True),
        ("`retry` is called by `", CALLED, True, False),
        ("`retry` is called by `send` in `net.py`, and more", CALLED, True, False),
        ("`retry` calls", CALLED, False, True),
        ("`retry`\n is called by", CALLED, False, True),
        ("retry is called by", CALLED, False, False),
        ("`A` extends `", BASE, True, False),
        ("`A` extends B", BASE, False, True),
        ("`index.ts` takes `A` from `./a`", HANDED_ON, True, False),
        ("`index.ts` takes `A`; it", HANDED_ON, False, True),
        ("`f` calls `g`, which raises `", CALLED_ERROR, True, False),
        ("`f` calls `g`, which returns the error `E`.", CALLED_ERROR, True, False),
        ("`f` calls `g`, where `", CALLED_ERROR, False, True),
    ],
)
def test_a_text_follows_a_frame_as_far_as_it_goes(text: str, frame: Frame, fits: bool, fixed: bool) -> None:
    assert follows(text, frame) is fits
    if fits:
        assert bool(to_come(text, frame)) is fixed


TEXT = """\
class Client(Base):
    @retried
    def send(self, data, times=3):
        return self.check(data)

    def check(self, data):
        raise ValueError(data)
"""
SOURCE = Source(
    0,
    "net/client.py\n",
    TEXT,
    (Definition("Client", 0, 6), Definition("Client.send", 1, 4), Definition("Client.check", 5, 7)),
)
INDEX = Source(1, "net/__init__.py\n", "from net.client import Client\n")


@pytest.mark.parametrize(
    ("question", "right", "wrong"),
    [
        (
            "¿Qué función llama a `check` de `Client`?",
            "`Client.check` is called by `Client.send`",
            "`Client.check` calls",
        ),
        ("`Client` 的 `check` 方法是在哪个函数里被调用的？", "`Client.check` is called by", "`Client.check` 是"),
        ("Welche Funktion ruft `check` auf?", "`check` is called by", "`check` wird"),
        (
            "Auf welchen Fehler muss man bei `Client.check` gefasst sein?",
            "`Client.check` raises `V",
            "`Client.check` muss",
        ),
        ("`Client` 继承或嵌入了哪个类型？", "`Client` inherits from `Base`", "`Client` 继承"),
        ("¿Con qué decorador está marcado `Client.send`?", "`Client.send` is decorated with `", "`Client.send` está"),
        ("`Client.send` 中参数 `times` 的默认值是什么？", "`times` defaults to `3`", "`times`默认值"),
        (
            "`net/__init__.py` 转出了 `Client`。它继承自什么？",
            "`net/__init__.py` takes `Client` from",
            "`net/__init__.py` 提供",
        ),
        (
            "`Client.send` 调用了另一个文件里可能失败的函数。它会报告哪种错误？",
            "`Client.send` calls `check`, which r",
            "`Client.send`调用",
        ),
    ],
)
def test_whatever_tongue_asks_the_answer_goes_as_training_taught(question: str, right: str, wrong: str) -> None:
    claims = Claims([INDEX, SOURCE], question)
    for at in range(1, len(right)):
        assert claims.allows(right[:at], right[at]), right[: at + 1]
    opened, opened_right = wrong.index("`", 1) + 1, right.index("`", 1) + 1
    assert not all(claims.allows(wrong[:at], wrong[at]) for at in range(opened, len(wrong)))
    assert right[opened_right:].startswith(tuple(said[:6] for said in claims.to_come(right[:opened_right])))
    assert not claims.allows(right[:opened_right], "")  # nor does it end there


@pytest.mark.parametrize(
    "question",
    [
        "How does `Client.check` raise its error?",
        "What happens when `Client.check` raises an error?",
        "Warum ruft `Client.send` `check` auf?",
        "Where is `Client.check` defined?",
    ],
)
def test_what_is_to_be_explained_goes_on_as_it_likes(question: str) -> None:
    claims = Claims([INDEX, SOURCE], question)
    assert claims.allows("`Client.check`", " turns")
    assert not claims.to_come("`Client.check`")
