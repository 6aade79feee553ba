"""From the command line to an answer, with a tiny real model: what a newcomer does."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from app.conftest import repository
from cli.conftest import tiny_weights
from loopback_server import SECONDS

__all__ = ["repository", "tiny_weights"]


@pytest.fixture
def environment(tmp_path: Path, tiny_weights: Path) -> Iterator[dict[str, str]]:
    """Of a user whose default is the tiny model."""
    home = tmp_path / "home"
    home.mkdir()
    config = f'model = "tiny"\nthreads = 1\ndevice = "cpu"\n[models]\ntiny = "{tiny_weights}"\n'
    (home / "config.toml").write_text(config, encoding="utf-8")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CODEMEM_")}
    with tempfile.TemporaryDirectory(prefix="cm") as runtime:
        made = kept | {"CODEMEM_HOME": str(home), "OMP_NUM_THREADS": "1", "XDG_RUNTIME_DIR": runtime}
        yield made
        run(made, tmp_path, "serve", "stop")


def run(environment: dict[str, str], where: Path, *arguments: str) -> Any:
    """What a command prints as JSON."""
    command = [sys.executable, "-m", "codemem", *arguments, "--json"]
    done = subprocess.run(command, env=environment, cwd=where, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_two_commands_lead_to_an_answer(environment: dict[str, str], repository: Path) -> None:
    run(environment, repository, "index")
    started = run(environment, repository, "serve", "start", "--http", "--port", "0")
    assert started["running"]
    http = started["http"]
    assert http["page"].startswith(http["base_url"].removesuffix("v1") + "#ticket=")
    assert http["repositories"] == [str(repository)]
    key = Path(http["key_file"]).read_text().strip()
    assert key not in json.dumps(started)
    with openai.OpenAI(base_url=http["base_url"], api_key=key, timeout=SECONDS, max_retries=0) as client:
        question: Any = [{"role": "user", "content": "How does the retry function wait?"}]
        reply: Any = client.chat.completions.create(model="codemem/demo", messages=question, max_tokens=16)
        assert reply.usage.completion_tokens <= 16
        assert reply.choices[0].message.content
        assert reply.codemem["found"] or "does not hold the answer" in reply.choices[0].message.content
        with pytest.raises(openai.NotFoundError):
            client.chat.completions.create(model="other", messages=question)
    status = run(environment, repository, "serve", "status")
    assert status["daemon"]["models"] == ["tiny"]
    assert status["http"]["base_url"] == http["base_url"]
    assert run(environment, repository, "serve", "stop") == {"stopped": True, "http_stopped": True}
    assert run(environment, repository, "serve", "status") == {"running": False, "daemon": None, "http": None}


def test_a_repository_that_is_not_indexed_says_so(environment: dict[str, str], tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.mkdir()
    http = run(environment, plain, "serve", "start", "--http", "--port", "0")["http"]
    key = Path(http["key_file"]).read_text().strip()
    with openai.OpenAI(base_url=http["base_url"], api_key=key, timeout=SECONDS) as client:
        question: Any = [{"role": "user", "content": "What is here?"}]
        with pytest.raises(openai.UnprocessableEntityError, match="codemem index") as refused:
            client.chat.completions.create(model="codemem", messages=question, stream=True)
        assert refused.value.code == "not_indexed"


def test_options_of_the_server_want_the_server(environment: dict[str, str], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "codemem", "serve", "start", "--port", "1"]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "--http" in done.stderr
