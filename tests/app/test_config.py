"""Configuration: what each file may say, and how a mistake is explained."""

from pathlib import Path

import pytest

from codemem.config import RepositoryConfig, Settings, load_repository_config
from codemem.errors import ConfigurationError


def test_without_any_file_the_defaults_hold(tmp_path: Path) -> None:
    assert load_repository_config(tmp_path) == RepositoryConfig()


def test_pyproject_is_read_and_the_own_file_goes_before_it(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.codemem]\nrouter = "outline"\nresults = 3\n')
    assert load_repository_config(tmp_path) == RepositoryConfig(router="outline", results=3)
    (tmp_path / ".codemem.toml").write_text("inline_seconds = 1\n")
    assert load_repository_config(tmp_path) == RepositoryConfig(inline_seconds=1.0)


def test_a_pyproject_of_others_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.other]\nname = "codemem"\n')
    assert load_repository_config(tmp_path) == RepositoryConfig()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("modle = 'small'", "unknown key 'modle', did you mean 'model'?"),
        ("zzz = 1", "known are model"),
        ("device = 'cpu'", "only your own config.toml may set 'device'"),
        ("models = {mine = '/weights'}", "only your own config.toml may set 'models'"),
        ("store_limit_gb = 1", "only your own config.toml may set 'store_limit_gb'"),
        ("results = true", "results must be a whole number, not True"),
        ("results = 0", "between 1 and 1000"),
        ("router = 'magic'", "one of memory, outline, both"),
        ("source_tokens = 10_000_000", "between 256 and 32768"),
        ("model = '/weights/mine.gguf'", "codemem model list"),
        ("model = ''", "codemem model list"),
        ("= 3", "no valid TOML"),
    ],
)
def test_a_mistake_names_the_file_and_what_to_write(tmp_path: Path, line: str, words: str) -> None:
    (tmp_path / ".codemem.toml").write_text(line)
    with pytest.raises(ConfigurationError) as caught:
        load_repository_config(tmp_path)
    assert words in str(caught.value)
    assert ".codemem.toml" in str(caught.value)


def test_tool_codemem_must_be_a_table(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool]\ncodemem = 3\n")
    with pytest.raises(ConfigurationError, match="no table"):
        load_repository_config(tmp_path)


def test_the_environment_goes_before_the_users_file(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(f'model = "medium"\nthreads = 2\n[models]\nmine = "{tmp_path}"\n')
    settings = Settings.load({"CODEMEM_HOME": str(tmp_path), "CODEMEM_THREADS": "4", "CODEMEM_MIRROR": "1"})
    assert (settings.user.model, settings.user.threads, settings.user.mirror) == ("medium", 4, True)
    assert settings.user.models == {"mine": tmp_path}
    assert settings.places.store == tmp_path / "data" / "store"
    assert settings.places.weights == tmp_path / "cache" / "weights"


@pytest.mark.parametrize(
    ("variable", "value"), [("CODEMEM_THREADS", "many"), ("CODEMEM_MIRROR", "yes"), ("CODEMEM_DEVICE", "tpu")]
)
def test_a_wrong_variable_is_named(tmp_path: Path, variable: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=value):
        Settings.load({"CODEMEM_HOME": str(tmp_path), variable: value})


def test_without_codemem_home_the_platforms_folders_are_used() -> None:
    places = Settings.load({}).places
    assert all("codemem" in str(place) for place in (places.data, places.cache, places.config))
