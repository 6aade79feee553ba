"""Getting a model's base files onto this machine: from a local path, the hub, or, where allowed, the mirror.

Everything lies under one folder: `<directory>/<model>/`. A file under its own name there has passed its checksum.
"""

from collections.abc import Callable
from pathlib import Path

from filelock import FileLock

from codemem.model.errors import WeightsCorrupt, WeightsMissing
from codemem.model.weights.files import (
    Progress,
    file_sha256,
    make_folder,
    put_in_place,
    read_json,
    require_space,
    write_json,
)
from codemem.model.weights.hub import Hub, HubError, HubFile, HubListing
from codemem.model.weights.mirror import MirrorError, fetch_mirror, forget_mirror_parts
from codemem.model.weights.registry import BaseFile, ModelEntry

_SPARE_BYTES = 200 << 20
"""Room for a part in flight and for what else goes on."""


def locate(model: ModelEntry, directory: Path, local: Path | None = None) -> Path:
    """Where a model's base lies: its .gguf file or its folder. Never uses the network.

    `local` is the user's setting and comes first. Raises `WeightsMissing` with the command to run, or `WeightsCorrupt`.
    """
    given = local or model.path
    if given is not None:
        if not given.exists():
            raise WeightsMissing(f"{given}, set as the weights of {model.name!r}, does not exist")
        return given
    found = _in_place(model, directory / model.name)
    if found is None:
        raise WeightsMissing(
            f"the weights of {model.name!r} are not on this machine: run `codemem model pull {model.name}`"
        )
    return found


def pull(
    model: ModelEntry,
    directory: Path,
    *,
    local: Path | None = None,
    allow_mirror: bool = False,
    revision: str | None = None,
    endpoint: str | None = None,
    progress: Progress | None = None,
) -> Path:
    """Brings a model's base here and returns its .gguf file or folder.

    Processes that pull at the same time wait for the first. `allow_mirror` opts into the mirror of last resort.
    `revision` overrides the registry's, `endpoint` the hub's address. Raises `WeightsMissing` when no source gives the
    files or the disk is too small, `WeightsCorrupt` when what they give fails its checksum.
    """
    given = local or model.path
    if given is not None:
        return _checked_local(model, locate(model, directory, local))
    place = directory / model.name
    make_folder(place)
    with FileLock(place / "pull.lock"):
        found = _in_place(model, place, revision)
        if found is not None:
            return found
        if model.file is not None:
            return _pull_file(model, model.file, place, _sources(model, allow_mirror, revision, endpoint), progress)
        return _pull_folder(model, place, revision, endpoint, progress)


def _checked_local(model: ModelEntry, path: Path) -> Path:
    if model.file is not None and path.is_file() and file_sha256(path) != model.file.sha256:
        raise WeightsCorrupt(f"{path} is not {model.file.name}: its sha256 is not {model.file.sha256}")
    return path


def _in_place(model: ModelEntry, place: Path, revision: str | None = None) -> Path | None:
    """What was pulled before, by names and sizes; hashes were checked before the names were given.

    A folder counts only if it was pulled at `revision`, where that is given.
    """
    if model.file is not None:
        path = place / model.file.name
        return path if path.is_file() and path.stat().st_size == model.file.bytes else None
    record = read_json(place / ".pulled.json")
    if record is None or revision not in (None, record["revision"], record["asked"]):
        return None
    for name, size in record["files"].items():
        path = place / name
        if not path.is_file() or path.stat().st_size != size:
            return None
    return place


_Source = Callable[[BaseFile, Path, Progress | None], None]
"""Puts the file in place, or raises `HubError` or `MirrorError`."""


def _sources(model: ModelEntry, allow_mirror: bool, revision: str | None, endpoint: str | None) -> list[_Source]:
    def from_hub(file: BaseFile, target: Path, progress: Progress | None) -> None:
        wanted = HubFile(file.name, file.bytes, file.sha256, None)
        Hub(model.repository or "", endpoint).fetch(wanted, revision or model.revision or "main", target, progress)

    def from_mirror(file: BaseFile, target: Path, progress: Progress | None) -> None:
        if model.mirror is None:
            raise MirrorError(f"there is no mirror of {model.name!r}")
        if not allow_mirror:
            raise MirrorError("the mirror of last resort is not allowed by your settings")
        partial = target.with_name(target.name + ".mirror")
        fetch_mirror(model.mirror, partial, file.bytes, progress)
        right = file_sha256(partial) == file.sha256
        if right:
            put_in_place(partial, target)
        forget_mirror_parts(partial)
        if not right:
            raise WeightsCorrupt(f"{file.name} from the mirror fails its checksum and was deleted")

    return [from_hub, from_mirror]


def _pull_file(
    model: ModelEntry, file: BaseFile, place: Path, sources: list[_Source], progress: Progress | None
) -> Path:
    target = place / file.name
    held = sum(path.stat().st_size for path in place.glob(f"{file.name}*"))
    require_space(place, max(0, file.bytes - held) + _SPARE_BYTES)
    reasons = []
    for source in sources:
        try:
            source(file, target, progress)
        except (HubError, MirrorError) as error:
            reasons.append(str(error))
        else:
            return target
    raise WeightsMissing(
        f"no source gives the weights of {model.name!r} ({'; '.join(reasons)}): run `codemem model pull {model.name}`"
        f" with a network, or set the path of {file.name}"
    )


def _pull_folder(
    model: ModelEntry, place: Path, revision: str | None, endpoint: str | None, progress: Progress | None
) -> Path:
    hub = Hub(model.repository or "", endpoint)
    try:
        asked = revision or _pinned(place) or model.revision or "main"
        _fetch_listing(hub, hub.listing(asked), asked, place, progress)
    except HubError as error:
        raise WeightsMissing(
            f"no source gives the weights of {model.name!r} ({error}): run `codemem model pull {model.name}`"
            " with a network, or set the path of a folder that holds them"
        ) from error
    return place


def _fetch_listing(hub: Hub, listing: HubListing, asked: str, place: Path, progress: Progress | None) -> None:
    total = sum(file.bytes for file in listing.files)
    held = sum(path.stat().st_size for path in place.iterdir() if path.is_file())
    require_space(place, max(0, total - held) + _SPARE_BYTES)
    _write_record(place / ".pinned.json", {"revision": listing.commit})
    done = 0
    for file in listing.files:
        target, before = place / file.name, done

        def report(now: int, _size: int, before: int = before) -> None:
            if progress is not None:
                progress(before + now, total)

        if not (target.is_file() and file.matches(target)):
            hub.fetch(file, listing.commit, target, report)
        done += file.bytes
        report(0, 0, done)
    record: dict[str, object] = {
        "revision": listing.commit,
        "asked": asked,
        "files": {file.name: file.bytes for file in listing.files},
        "sha256": {file.name: file.sha256 for file in listing.files if file.sha256},
    }
    _write_record(place / ".pulled.json", record)


def _pinned(place: Path) -> str | None:
    """The commit that an earlier pull settled on, also one that was interrupted."""
    record = read_json(place / ".pinned.json")
    return str(record["revision"]) if record else None


def _write_record(path: Path, value: dict[str, object]) -> None:
    fresh = path.with_name(path.name + ".new")
    write_json(fresh, value)
    put_in_place(fresh, path)
