"""Beginning the next before finishing the last."""

from collections.abc import Iterator

import pytest
import torch

from codemem.model.ahead import Fetched, begin_copy, one_ahead


@pytest.mark.parametrize(
    ("ahead", "expected"),
    [
        (True, ["begin 1", "begin 2", "end 1", "begin 3", "end 2", "end 3"]),
        (False, ["begin 1", "end 1", "begin 2", "end 2", "begin 3", "end 3"]),
    ],
)
def test_order(ahead: bool, expected: list[str]) -> None:
    done: list[str] = []

    def begin(n: int) -> int:
        done.append(f"begin {n}")
        return n

    def finish(n: int) -> Iterator[int]:
        done.append(f"end {n}")
        yield from (10 * n, 10 * n + 1)

    assert list(one_ahead([1, 2, 3], begin, finish, ahead=ahead)) == [10, 11, 20, 21, 30, 31]
    assert done == expected
    assert list(one_ahead([], begin, finish, ahead=ahead)) == []


def test_copies_on_a_processor() -> None:
    x = torch.arange(3)
    assert torch.equal(begin_copy(x, torch.device("cpu")), x)
    assert torch.equal(Fetched({"x": x}).wait()["x"], x)
