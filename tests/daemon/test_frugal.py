"""What the daemon asks of the system so that it stays small."""

import os
import subprocess
import sys
from pathlib import Path

from app.bench import Bench
from app.conftest import commit, git, write
from app.fake_engine import FakeEngine

from codemem.config import Settings
from codemem.daemon import frugal
from codemem.daemon.sessions import KEPT, WarmSessions
from codemem.search import Target


def prepared(question: str, soft: int = 256, **environment: str) -> str:
    """What a new process with so few descriptors prints after `prepare`."""
    code = f"import os, resource; from codemem.daemon import frugal; frugal.prepare(); print({question})"
    command = f'ulimit -Sn {soft}; exec "{sys.executable}" -c "{code}"'
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ONEDNN_")}
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True, env=clean | environment)
    return done.stdout.strip()


def test_it_may_open_as_many_files_as_the_system_lets_it() -> None:
    raised, hard = map(int, prepared("*resource.getrlimit(resource.RLIMIT_NOFILE)").split())
    assert raised == (frugal.DESCRIPTORS if hard < 0 else min(frugal.DESCRIPTORS, hard))


def test_compiled_products_are_bounded_unless_the_user_says_otherwise() -> None:
    asked = "os.environ['ONEDNN_PRIMITIVE_CACHE_CAPACITY']"
    assert prepared(asked) == str(frugal.PRODUCTS)
    assert prepared(asked, ONEDNN_PRIMITIVE_CACHE_CAPACITY="7") == "7"


def test_the_session_used_longest_ago_is_closed(tmp_path: Path, settings: Settings) -> None:
    bench = Bench(settings, FakeEngine())
    roots = [tmp_path / f"r{number}" for number in range(KEPT + 1)]
    for root in roots:
        root.mkdir()
        git(root, "init", "-q")
        write(root, {"a.py": f"def {root.name}():\n    pass\n"})
        commit(root)
        bench.index(root)
    sessions = WarmSessions(settings, lambda _: bench.engine, answering=False)
    recalls = {}
    for root in [*roots[:KEPT], roots[0], roots[KEPT]]:  # the first is used again, so the second has waited longest
        recalls.setdefault(root, sessions.open(Target([root])).recall)
    assert len(sessions) == KEPT
    assert sessions.open(Target([roots[0]])).recall is recalls[roots[0]]
    assert sessions.open(Target([roots[1]])).recall is not recalls[roots[1]]
    sessions.close()
