"""The file that a model starts from: any flipped byte is found, and the file is made anew."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from codemem.model.engine import Engine
from codemem.model.prepared import load_prepared
from codemem.model.testing import write_tiny_adapter, write_tiny_checkpoint

DOCUMENTS = [("a.py\n", "def add(a, b):\n    return a + b\n")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("tiny")
    write_tiny_checkpoint(made / "checkpoint")
    write_tiny_adapter(made / "adapter.safetensors")
    return made


def start(folder: Path) -> Engine:
    return Engine.open("tiny", folder / "checkpoint", folder / "adapter.safetensors", device="cpu")


def prepared(folder: Path) -> Path:
    (path,) = folder.rglob("prepared-*.safetensors")
    return path


def entry(engine: Engine) -> dict[str, np.ndarray]:  # type: ignore[type-arg]
    (made,) = engine.encode(engine.tokenise(DOCUMENTS), engine.layout)
    return dict(made.tensors)


def loads(path: Path, engine: Engine) -> bool:
    decoder = engine._decoder
    found = load_prepared(path, decoder.config, engine._memory.routed_layers)
    return found is not None


def test_a_flipped_byte_is_found_wherever_it_is(folder: Path) -> None:
    engine = start(folder)
    path = prepared(folder)
    sound = path.read_bytes()
    header = 8 + int.from_bytes(sound[:8], "little")
    names = sound[8:header].rstrip(b" ")
    random = np.random.default_rng(5)
    places = [0, 3, *random.integers(8, 8 + len(names), 25), *random.integers(header, len(sound), 25), len(sound) - 1]
    for place in map(int, places):
        damaged = bytearray(sound)
        damaged[place] ^= 1 << int(random.integers(8))
        path.write_bytes(damaged)
        assert not loads(path, engine), place
        assert not path.exists(), "a damaged file makes room for a sound one"
    path.write_bytes(sound[: len(sound) * 2 // 3])
    assert not loads(path, engine)
    path.write_bytes(sound)
    assert loads(path, engine)


def test_a_damaged_file_changes_no_entry(folder: Path) -> None:
    expected = entry(start(folder))
    path = prepared(folder)
    sound = path.read_bytes()
    damaged = bytearray(sound)
    damaged[-5] ^= 0x80
    path.write_bytes(damaged)
    found = entry(start(folder))
    assert all(np.array_equal(found[name], expected[name]) for name in expected)
    assert path.read_bytes()[-64:] == sound[-64:], "made anew"


def test_a_model_is_laid_out_without_importing_a_compiler() -> None:
    """torch imports dynamo and sympy for `arange` on the meta device: seconds of every cold `find`."""
    code = (
        "import sys, torch\n"
        "from codemem.model.config import DecoderConfig\n"
        "from codemem.model.decoder import Decoder\n"
        "config = DecoderConfig(272, 64, 2, 4, 2, 16, 96, 1e6, 1e-6, qkv_bias=True, qk_norm=False, tied=True)\n"
        "with torch.device('meta'):\n"
        "    Decoder(config)\n"
        "print(sorted({'torch._dynamo', 'sympy'} & sys.modules.keys()))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"
