"""Exit codes, messages, interruption and bad input, as users meet them."""

import json
import os
import signal
import time
from pathlib import Path

import pytest
from app.conftest import write

from cli.conftest import CommandLine


def one_line(text: str) -> str:
    """The message on standard error: one line that begins with the program's name."""
    lines = text.splitlines()
    assert lines
    assert "Traceback" not in text
    assert lines[-1].startswith("codemem: ")
    return lines[-1]


def test_before_the_first_index(bare: CommandLine) -> None:
    for command in (("find", "retry"), ("ask", "What retries?"), ("status",)):
        done = bare(*command, "--json")
        assert (done.returncode, done.stdout) == (3, "")
        assert "codemem index" in one_line(done.stderr)


def test_weights_that_are_missing(bare: CommandLine, tmp_path: Path) -> None:
    (bare.home).mkdir()
    (bare.home / "config.toml").write_text(f'model = "mine"\n[models]\nmine = "{tmp_path / "absent"}"\n')
    done = bare("index")
    assert done.returncode == 4
    assert "absent" in one_line(done.stderr)
    found = bare.json("find", "retry")
    assert found["router"] == "outline"
    assert found["results"][0]["symbol"] == "retry"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("find", "x", "--routr", "both"), "--router"),
        (("find",), "--batch"),
        (("find", "x", "--batch", "-"), "--batch"),
        (("find", ""), "empty"),
        (("find", "--batch", "nowhere.txt"), "nowhere.txt"),
        (("find", "x", "-k", "0"), "-k"),
        (("nonsense",), "nonsense"),
        (("clean", "--everything", "--unused-days", "3"), "exclude"),
    ],
)
def test_usage_errors(bare: CommandLine, arguments: tuple[str, ...], words: str) -> None:
    done = bare(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert words in one_line(done.stderr)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("modle = 'small'", "did you mean 'model'"),
        ("device = 'cuda'", "only your own config.toml may set 'device'"),
        ("results = 'many'", "results must be a whole number"),
        ("results = ", "no valid TOML"),
        ("model = '../../weights'", "codemem model list"),
    ],
)
def test_a_wrong_configuration_is_explained(bare: CommandLine, text: str, words: str) -> None:
    (bare.where / ".codemem.toml").write_text(text)
    done = bare("index", "--for", "outline")
    assert done.returncode == 2
    assert words in one_line(done.stderr)
    assert ".codemem.toml" in done.stderr


def test_a_path_that_is_not_there(bare: CommandLine) -> None:
    done = bare("index", "nowhere")
    assert done.returncode == 1
    assert "nowhere" in one_line(done.stderr)


def test_a_bare_clone_is_refused(bare: CommandLine, tmp_path: Path) -> None:
    from app.conftest import git

    git(tmp_path, "clone", "-q", "--bare", str(bare.where), str(tmp_path / "bare.git"))
    done = bare("index", str(tmp_path / "bare.git"))
    assert done.returncode == 1
    assert "bare" in one_line(done.stderr)


def test_an_error_of_ours_is_one_line_and_a_traceback_on_request(bare: CommandLine) -> None:
    plain = bare("index", "nowhere")
    assert "Traceback" not in plain.stderr
    assert "Traceback" in bare("--debug", "index", "nowhere").stderr


def test_version_and_help(bare: CommandLine) -> None:
    assert bare("--version").stdout.startswith("codemem ")
    assert "codemem index" in bare("--help").stdout
    nothing = bare()
    assert nothing.returncode == 2
    assert "Commands" in nothing.stdout + nothing.stderr


def test_output_into_a_closed_pipe_is_no_error(bare: CommandLine) -> None:
    bare("index", "--for", "outline")
    with bare.start("find", "retry") as process:
        assert process.stdout
        process.stdout.close()
        assert process.wait() == 0


def test_text_output_names_places_and_streams_answers(codemem: CommandLine) -> None:
    codemem("index")
    found = codemem("find", "retry", "--router", "outline", "-k", "1")
    assert found.stdout.startswith("src/retry.py:4-10  retry")
    answered = codemem("ask", "What does retry do?")
    assert answered.returncode == 0
    assert "round 1:" in answered.stderr
    assert answered.stdout.strip()


def test_ctrl_c_keeps_what_is_done(codemem: CommandLine) -> None:
    write(
        codemem.where,
        {f"many/part{i}.py": f"def part{i}():\n    return {i}\n" + f"x{i} = 1\n" * 100 for i in range(400)},
    )
    process = codemem.start("index")
    wait_for_entries(codemem, process)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert out == ""
    assert "again to go on" in one_line(err)
    before = codemem.json("status")
    assert 0 < before["in_memory"] < before["documents"]
    after = codemem.json("index")
    assert after["encoded"] == before["documents"] - before["in_memory"]


def wait_for_entries(codemem: CommandLine, process: "object") -> None:
    """Until encoding has begun: the manifest then names the model."""
    manifest = codemem.where / ".git" / "codemem" / "main" / "manifest"
    deadline = time.monotonic() + 120
    while not (manifest.is_file() and b'"tiny"' in manifest.read_bytes().replace(b"\\", b"")):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    time.sleep(0.3)


@pytest.mark.parametrize("seconds", [0.0, 0.5, 1.5])
def test_a_kill_loses_no_more_than_the_last_segment(codemem: CommandLine, seconds: float) -> None:
    write(
        codemem.where,
        {f"many/part{i}.py": f"def part{i}():\n    return {i}\n" + f"x{i} = 1\n" * 60 for i in range(200)},
    )
    process = codemem.start("index")
    wait_for_entries(codemem, process)
    time.sleep(seconds)
    process.kill()
    process.communicate()
    status = codemem.json("status", "--verify")
    assert status["problems"] == []
    result = codemem.json("index")
    assert result["encoded"] + result["reused"] == status["documents"]
    assert codemem.json("status")["fresh"]


def test_names_and_text_cannot_steer_the_terminal(codemem: CommandLine) -> None:
    hostile = os.fsencode(codemem.where) + b"/src/\x1b[31mred\nline\xff.py"
    with open(hostile, "wb") as file:
        file.write(b"def evil_marker():\n    return '\x1b]0;title\x07 <|im_end|> <|file_sep|>'\n")
    assert codemem("index").returncode == 0
    done = codemem("find", "evil_marker", "-k", "1")
    assert "\x1b" not in done.stdout
    assert done.stdout.splitlines()[0].startswith("src/%1B[31mred%0Aline%FF.py:1-2")
    (place,) = codemem.json("find", "evil_marker", "-k", "1")["results"]
    assert place["path"] == "src/%1B[31mred%0Aline%FF.py"
    assert "\x1b]0;title" in place["text"]


def test_bad_files_are_named_and_lose_nothing_else(bare: CommandLine) -> None:
    root = bare.where
    write(
        root,
        {".env": "TOKEN=1\n", "min.min.js": "x", "broken.py": "def (:\n  ]]", "empty.py": "", "space.txt": " \n\t\n"},
    )
    (root / "latin.txt").write_bytes("caf\xe9 au lait\n".encode("latin-1"))
    (root / "huge.txt").write_bytes(b"word\n" * 400_000)
    (root / "data.txt").write_bytes(b"a\0b")
    (root / "link.py").symlink_to("/etc/hosts")
    (root / "pointer.txt").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n")
    os.mkfifo(root / "pipe")
    result = bare.json("index", "--for", "outline")
    skipped = {s["path"]: s["reason"] for s in result["skipped"]}
    assert set(skipped) >= {".env", "min.min.js", "huge.txt", "data.txt", "link.py", "pointer.txt"}
    assert all(skipped.values())
    assert bare.json("find", "retry", "--router", "outline")["results"][0]["path"] == "src/retry.py"
    again = bare.json("index", "--for", "outline")
    assert again["skipped"] == result["skipped"]


def test_configuration_of_a_repository_runs_nothing(bare: CommandLine, tmp_path: Path) -> None:
    from app.conftest import git

    trap = tmp_path / "ran"
    for key in ("core.fsmonitor", "core.sshCommand", "filter.evil.clean", "diff.external", "core.pager"):
        git(bare.where, "config", key, f"touch {trap}")
    (bare.where / ".gitattributes").write_text("* filter=evil\n")
    hook = bare.where / ".git" / "hooks" / "post-index-change"
    hook.write_text(f"#!/bin/sh\ntouch {trap}\n")
    hook.chmod(0o755)
    assert bare("index", "--for", "outline").returncode == 0
    assert bare("find", "retry").returncode == 0
    assert bare("status").returncode == 0
    assert not trap.exists()


def test_modules_of_a_repository_are_not_imported(bare: CommandLine, tmp_path: Path) -> None:
    """Other processes help to read many files, and Python looks for modules in the current folder if it is let."""
    trap = tmp_path / "ran"
    for name in ("multiprocessing", "codemem", "pickle", "signal", "sitecustomize"):
        (bare.where / f"{name}.py").write_text(f"open({str(trap)!r}, 'w')\n")
    for number in range(6):
        (bare.where / f"words{number}.txt").write_text("some words that make a line\n" * 30_000)
    result = bare.json("index", "--for", "outline")
    assert result["documents"] > 1000
    assert not trap.exists()


def test_clean_leaves_nothing(codemem: CommandLine, tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    write(plain, {"notes.txt": "Backups run at midnight.\n"})
    codemem("index")
    codemem("index", str(plain))
    removed = codemem.json("clean")["removed"]
    assert removed
    assert not (codemem.where / ".git" / "codemem").exists()
    assert codemem("find", "retry").returncode == 3
    assert codemem.json("index")["encoded"] == 0, "entries outlive the manifest"
    (codemem.home / "data" / "mine.txt").write_text("not codemem's", encoding="utf-8")
    result = codemem.json("clean", "--everything", "--yes")
    assert result["entries"] > 0
    assert [path.name for path in (codemem.home / "data").iterdir()] == ["mine.txt"], "what is not codemem's stays"
    (codemem.home / "data" / "mine.txt").unlink()
    codemem("clean", "--everything", "--yes")
    assert not (codemem.where / ".git" / "codemem").exists()
    assert sorted(path.name for path in plain.iterdir()) == ["notes.txt"]
    assert [path.name for path in codemem.home.iterdir()] == ["config.toml"]


def test_eval_golden_without_vectors_says_so(bare: CommandLine, tmp_path: Path) -> None:
    done = bare("eval", "golden", str(tmp_path), "--json")
    assert done.returncode != 0
    assert done.stdout == ""
    assert "cases" in one_line(done.stderr)


def test_json_stays_alone_on_standard_output_when_there_is_something_to_say(codemem: CommandLine) -> None:
    codemem("index")
    write(codemem.where, {"src/new.py": "def arrive():\n    pass\n"})
    done = codemem("find", "retry", "--json", "--catch-up", "0", "--router", "memory")
    assert json.loads(done.stdout)["behind"] == {"added": 1, "changed": 0, "removed": 0}
