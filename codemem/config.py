"""Configuration: the environment, the user's file and the repository's file, in one place.

Nothing else in the package reads the environment. A repository's file comes from whoever wrote the repository, so it
may tune what is read and how questions are answered, but not where anything is stored or what is run.
"""

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, TypeVar

import platformdirs

from codemem.errors import ConfigurationError

REPOSITORY_FILE = ".codemem.toml"
CONFIG_FILE = "config.toml"
ROUTERS = ("memory", "outline", "both")
DEVICES = ("auto", "cpu", "cuda", "mps")
DAEMON = ("off", "auto", "on")


@dataclass(frozen=True, slots=True)
class RepositoryConfig:
    """What `[tool.codemem]` in pyproject.toml, or `.codemem.toml`, may set."""

    model: str | None = None
    """Name of a model in the registry; None: the user's, or the default."""
    max_file_bytes: int | None = None
    """Larger files are left out; None: the indexer's limit."""
    router: str = "both"
    """What `find` ranks by: 'memory', 'outline' or 'both'."""
    results: int = 10
    """How many results `find` shows."""
    inline_seconds: float = 2.0
    """How long `find` and `ask` may spend on bringing the memory up to date before they answer."""
    max_rounds: int | None = None
    """Rounds of Memory Interleave that `ask` may take; None: as many as the model was measured to gain by."""
    source_tokens: int = 3000
    """Tokens of source text that `ask` may read, in all rounds together."""
    max_tokens: int = 512
    """Tokens of an answer."""

    def __post_init__(self) -> None:
        _one_of("router", self.router, ROUTERS)
        _between("results", self.results, 1, 1000)
        _between("inline_seconds", self.inline_seconds, 0, 600)
        if self.max_rounds is not None:
            _between("max_rounds", self.max_rounds, 1, 16)
        _between("source_tokens", self.source_tokens, 256, 32_768)
        _between("max_tokens", self.max_tokens, 16, 8192)
        if self.max_file_bytes is not None:
            _between("max_file_bytes", self.max_file_bytes, 1024, 64 * 1024**2)
        if self.model is not None and (not self.model or set(self.model) & set("/\\") or self.model.startswith(".")):
            raise ConfigurationError(
                f"model = {self.model!r}: a repository names a model of `codemem model list`, no path"
            )


@dataclass(frozen=True, slots=True)
class UserConfig:
    """What the user's own `config.toml` and the environment may set."""

    model: str | None = None
    """Name of a model in the registry; None: the default."""
    device: str = "auto"
    threads: int | None = None
    """Processor threads for the model; None: all cores."""
    mirror: bool = False
    """Take weights from the registry's mirror of last resort if nothing else can be reached."""
    store_limit_gb: float | None = None
    """Size limit of the store in 10^9 bytes; None: no limit."""
    daemon: str = "auto"
    """'on': `find` and `ask` start a daemon and use it; 'auto': they use one that runs; 'off': never."""
    share: str | None = None
    """A folder or a URL that `codemem memory export` writes to: `index` takes entries from there before it encodes."""
    share_unsigned: bool = False
    """Take from `share` also what no key of `trusted_keys` signed: for a place that only those write whom you trust."""
    trusted_keys: tuple[str, ...] = ()
    """Public keys ('ed25519:...') whose signed entries are taken."""
    models: Mapping[str, Path] = field(default_factory=dict)
    """Your own models: name -> a folder with config.json and safetensors, or a .gguf file."""

    def __post_init__(self) -> None:
        _one_of("device", self.device, DEVICES)
        _one_of("daemon", self.daemon, DAEMON)
        if self.threads is not None:
            _between("threads", self.threads, 1, 4096)
        if self.store_limit_gb is not None:
            _between("store_limit_gb", self.store_limit_gb, 0.01, 1e6)


_Config = TypeVar("_Config", RepositoryConfig, UserConfig)


@dataclass(frozen=True, slots=True)
class Places:
    """Where codemem keeps things that belong to the user and not to one repository."""

    data: Path
    """The store, and manifests of repositories that cannot be written to."""
    cache: Path
    """Weights, which can be fetched again."""
    config: Path
    """The folder of `config.toml`."""

    @property
    def store(self) -> Path:
        return self.data / "store"

    @property
    def manifests(self) -> Path:
        return self.data / "manifests"

    @property
    def numbers(self) -> Path:
        """Which number MSA-4B knows each document of the store by."""
        return self.data / "msa-4b-numbers.sqlite"

    @property
    def weights(self) -> Path:
        return self.cache / "weights"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """The platform's folders for data, cache and configuration, or those in CODEMEM_HOME."""
        if home := environment.get("CODEMEM_HOME"):
            root = Path(home).expanduser().absolute()
            return cls(root / "data", root / "cache", root)
        dirs = platformdirs.PlatformDirs("codemem", appauthor=False)
        return cls(dirs.user_data_path, dirs.user_cache_path, dirs.user_config_path)


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that a command needs to know about the user and the machine."""

    places: Places
    user: UserConfig = field(default_factory=UserConfig)

    @classmethod
    def load(cls, environment: Mapping[str, str] | None = None) -> Self:
        """Reads the environment and the user's file.

        CODEMEM_HOME moves data, cache and configuration into one folder; CODEMEM_MODEL, CODEMEM_DEVICE,
        CODEMEM_DAEMON, CODEMEM_THREADS and CODEMEM_MIRROR override the user's file.
        """
        environment = os.environ if environment is None else environment
        places = Places.from_environment(environment)
        path = places.config / CONFIG_FILE
        values = _table(path, ()) if path.is_file() else {}
        _build(UserConfig, values, path)  # so that an error names the file and not a variable
        values |= _from_environment(environment)
        return cls(places, _build(UserConfig, values, "the environment (CODEMEM_*)"))


def parallel_rank(environment: Mapping[str, str] | None = None) -> int | None:
    """This process's number among those that torchrun started for one command; None if it is alone."""
    environment = os.environ if environment is None else environment
    several = "TORCHELASTIC_RUN_ID" in environment and environment.get("WORLD_SIZE", "1") != "1"
    return int(environment["RANK"]) if several else None


def keep_children_from_importing_the_current_folder() -> None:
    """Python processes started from here on do not look for modules in the current folder.

    That folder is a repository, so a stranger's `multiprocessing.py` would be run in place of Python's own.
    """
    os.environ["PYTHONSAFEPATH"] = "1"


def load_repository_config(root: Path) -> RepositoryConfig:
    """Reads `.codemem.toml`, or else `[tool.codemem]` of pyproject.toml, in a repository's root.

    Raises ConfigurationError, naming file and key, for keys that are unknown or that only the user may set.
    """
    own, project = root / REPOSITORY_FILE, root / "pyproject.toml"
    if own.is_file():
        return _build(RepositoryConfig, _table(own, ()), own)
    if project.is_file() and b"codemem" in project.read_bytes():
        return _build(RepositoryConfig, _table(project, ("tool", "codemem")), project)
    return RepositoryConfig()


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key in ("model", "device", "daemon"):
        if value := environment.get(f"CODEMEM_{key.upper()}"):
            values[key] = value
    if threads := environment.get("CODEMEM_THREADS"):
        if not threads.isdecimal():
            raise ConfigurationError(f"CODEMEM_THREADS={threads!r} is no whole number")
        values["threads"] = int(threads)
    if mirror := environment.get("CODEMEM_MIRROR"):
        if mirror not in ("0", "1"):
            raise ConfigurationError(f"CODEMEM_MIRROR={mirror!r} must be 0 or 1")
        values["mirror"] = mirror == "1"
    return values


def _table(path: Path, keys: tuple[str, ...]) -> dict[str, Any]:
    import tomllib  # here, as is difflib: most commands need neither, and `find` with a daemon has no time

    try:
        parsed: Any = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} is no valid TOML: {error}") from error
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from error
    for key in keys:
        parsed = parsed.get(key, {})
        if not isinstance(parsed, dict):
            raise ConfigurationError(f"{path}: {key!r} is no table")
    return dict(parsed)


def _build(kind: type[_Config], values: Mapping[str, Any], where: Path | str) -> _Config:
    """Checks names and types of the values, and makes the dataclass of them."""
    fields = {f.name: f for f in dataclasses.fields(kind)}
    accepted: dict[str, Any] = {}
    for key, value in values.items():
        if key not in fields:
            raise ConfigurationError(f"{where}: {_unknown(kind, key, list(fields))}")
        accepted[key] = _typed(value, _spelling(fields[key].type), f"{where}: {key}")
    try:
        return kind(**accepted)
    except ConfigurationError as error:
        raise ConfigurationError(f"{where}: {error}") from None


def _unknown(kind: type, key: str, known: list[str]) -> str:
    if kind is RepositoryConfig and key in {f.name for f in dataclasses.fields(UserConfig)}:
        return f"only your own config.toml may set {key!r}, a repository may not"
    import difflib

    close = difflib.get_close_matches(key, known, n=1)
    return f"unknown key {key!r}" + (f", did you mean {close[0]!r}?" if close else f"; known are {', '.join(known)}")


def _typed(value: Any, annotation: str, where: str) -> Any:
    """The value as the field's annotation wants it. bool is no number here, though Python says so."""
    wanted = annotation.removesuffix(" | None")
    if wanted == "tuple[str, ...]":
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            return tuple(value)
    elif wanted == "float":
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
    elif "Mapping" in wanted:
        if isinstance(value, dict) and all(isinstance(item, str) for item in value.values()):
            return {name: Path(item).expanduser() for name, item in value.items()}
    elif type(value).__name__ == wanted:
        return value
    raise ConfigurationError(f"{where} must be {_WORDS.get(wanted, 'a table of paths by name')}, not {value!r}")


def _spelling(annotation: object) -> str:
    return (
        annotation.__name__
        if isinstance(annotation, type) and annotation in (str, int, float, bool)
        else str(annotation)
    )


_WORDS = {
    "str": "a string",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "tuple[str, ...]": "a list of strings",
}


def _one_of(key: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ConfigurationError(f"{key} = {value!r} must be one of {', '.join(known)}")


def _between(key: str, value: float, lowest: float, highest: float) -> None:
    if not lowest <= value <= highest:
        raise ConfigurationError(f"{key} = {value} must lie between {lowest} and {highest}")


def preset(name: str, value: str) -> None:
    """Sets what a library reads from the environment when it is loaded; what the user has set stands."""
    os.environ.setdefault(name, value)
