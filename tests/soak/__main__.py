"""`make soak`: random git steps, kills and mixed load, as many and as long as asked. It ends at the first difference.

python -m soak [--steps 10000] [--kills 1000] [--minutes 60] [--seed 0] [--engine tiny] [--only steps]
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

from soak.engines import NAMES, make_engine, tiny_config
from soak.histories import STEPS_A_REPOSITORY, check_history
from soak.kills import check_kills
from soak.load import check_load, start_daemon

MOST_GROWTH = 0.05
"""Of the daemon's memory from the second to the last quarter of an hour of load."""


def run_steps(folder: Path, engine_name: str, *, seed: int, steps: int) -> None:
    engine, done, started = make_engine(engine_name, folder / "model"), 0, time.monotonic()
    refused = 0
    while done < steps:
        count = min(STEPS_A_REPOSITORY, steps - done)
        with tempfile.TemporaryDirectory(dir=folder) as name:
            acts = check_history(Path(name), engine, seed=seed + done, steps=count)
        done += count
        refused += sum("(" in act for act in acts)
        say(f"{done:,} git steps without a difference ({refused:,} refused by git), {time.monotonic() - started:.0f} s")


def run_kills(folder: Path, engine_name: str, *, seed: int, kills: int) -> None:
    done, started = 0, time.monotonic()
    while done < kills:
        with tempfile.TemporaryDirectory(dir=folder) as name:
            seen = check_kills(Path(name), engine_name, seed=seed + done, kills=min(50, kills - done))
        done += seen.kills + seen.ended
        say(f"{done:,} runs of index, the last {seen.kills} killed of {seen.kills + seen.ended}: nothing lost or "
            f"encoded again, {seen.entries:,} entries, {time.monotonic() - started:.0f} s")  # fmt: skip


def run_load(folder: Path, engine_name: str, *, seed: int, minutes: float) -> bool:
    """Of the daemon as it is installed, or one with the fake model alone in its place. Whether memory stayed flat."""
    home = folder / "home"
    home.mkdir()
    os.environ |= {"CODEMEM_HOME": str(home), "XDG_RUNTIME_DIR": str(folder)}
    os.environ["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    from app.conftest import FILES, commit, git, write
    from daemon import fake_daemon

    from codemem.config import Settings

    command = [fake_daemon.__file__]
    if engine_name == "tiny":
        (home / "config.toml").write_text(tiny_config(folder / "model"), encoding="utf-8")
        command = ["-m", "codemem", "serve", "run"]
    from codemem.daemon.address import address_of

    roots = [folder / name for name in ("one", "two", "three")]
    for root in roots:
        root.mkdir()
        git(root, "init", "-q")
        write(root, FILES)
        commit(root)
    address = address_of(Settings.load())
    address.prepare()
    daemon = start_daemon(command, address)
    try:
        seen = check_load(
            roots, address, daemon.pid, seed=seed, seconds=minutes * 60, samples=max(40, int(minutes * 6))
        )
    finally:
        daemon.terminate()
        daemon.wait()
    say(f"MB: {' '.join(f'{size / 1e6:.0f}' for size in seen.resident)}")
    low, high = min(seen.resident) / 1e6, max(seen.resident) / 1e6
    counts = ", ".join(f"{count:,} {what}" for what, count in sorted(seen.requests.items()))
    say(f"{minutes:g} min of load: {counts}; memory {low:.0f} to {high:.0f} MB, growth {seen.growth:+.1%}")
    for error in seen.errors:
        say(f"error: {error}")
    return not seen.errors and seen.growth <= MOST_GROWTH


def say(line: str) -> None:
    print(line, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="soak", description=__doc__)
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--kills", type=int, default=1_000)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--engine", choices=NAMES, default="tiny")
    parser.add_argument("--only", choices=("steps", "kills", "load"))
    chosen = parser.parse_args()
    flat = True
    with tempfile.TemporaryDirectory(prefix="soak-") as name:
        folder = Path(name)
        if chosen.only in (None, "steps"):
            run_steps(folder, chosen.engine, seed=chosen.seed, steps=chosen.steps)
        if chosen.only in (None, "kills"):
            run_kills(folder, chosen.engine, seed=chosen.seed, kills=chosen.kills)
        if chosen.only in (None, "load"):
            flat = run_load(folder, chosen.engine, seed=chosen.seed, minutes=chosen.minutes)
    return 0 if flat else 1


if __name__ == "__main__":
    sys.exit(main())
