import os
from pathlib import Path

import platformdirs
import pytest
from weights_samples import write_gguf

from codemem.model.weights import checkpoint_folder, find_model, prepare, pull


@pytest.fixture
def tiny_gguf(tmp_path: Path) -> Path:
    """A GGUF file of the Qwen2 shape."""
    return write_gguf(tmp_path / "tiny.gguf")


@pytest.fixture(scope="session")
def real_checkpoint() -> Path:
    """The folder of the real default weights.

    CODEMEM_TEST_WEIGHTS may name the .gguf file; otherwise it is pulled once into the user's cache, from the mirror if
    need be, so that a fresh machine runs these tests too. Fails, and never skips, where that is impossible.
    """
    directory = platformdirs.user_cache_path("codemem-tests")
    model = find_model("small")
    named = os.environ.get("CODEMEM_TEST_WEIGHTS")
    if named:
        assert model.file is not None
        return checkpoint_folder(Path(named), cache=directory / "dequantised", sha256=model.file.sha256)
    pull(model, directory, allow_mirror=True)
    return prepare(model, directory)
