"""The place that `codemem index` looks into before it encodes: a read-through cache that the user configures."""

import hashlib
import os
import secrets
from collections.abc import Callable, Collection
from pathlib import Path

from codemem.config import Settings
from codemem.model.store import Store
from codemem.progress import Meter, Report, silent
from codemem.sharing.importing import Trust
from codemem.sharing.place import Place, SharingError
from codemem.sharing.statement import LONGEST, Statement, folder_of
from codemem.sharing.takings import entries_of, statements_in, take


def trust_of(settings: Settings, more: Collection[str] = (), *, everyone: bool = False) -> Trust:
    """Whom the user trusts: keys of the configuration, those named now, and the own one."""
    from codemem.sharing.keys import check_name, default_key, load_key, public_name

    own = default_key(settings.places)
    keys = {check_name(name) for name in (*settings.user.trusted_keys, *more)}
    if own.is_file():
        keys.add(public_name(load_key(own)))
    return Trust(frozenset(keys), everyone)


def fetch_missing(
    settings: Settings,
    store: Store,
    missing: Collection[bytes],
    *,
    tell: Callable[[str], None],
    report: Report = silent,
) -> int:
    """Takes missing entries from the configured place, if it has them; how many. What goes wrong there is told and
    costs nothing else: they are then encoded."""
    if settings.user.share is None or not missing:
        return 0
    try:
        place = Place.open(settings.user.share)
        trust = trust_of(settings, everyone=settings.user.share_unsigned)
        return _fetch(place, trust, settings, store, set(missing), tell=tell, report=report)
    except SharingError as error:
        tell(f"nothing more was taken from the shared memory: {error}")
        return 0


def _fetch(
    place: Place,
    trust: Trust,
    settings: Settings,
    store: Store,
    missing: set[bytes],
    *,
    tell: Callable[[str], None],
    report: Report,
) -> int:
    folder = folder_of(store.layout)
    cached = _StatementCache(place, settings)
    useful: list[Statement] = []
    for statement in statements_in(place, folder, trust.keys, read=cached.read).good:
        offered = missing.intersection(statement.keys)
        if offered and statement.fingerprint == store.layout.fingerprint:
            if trust.everyone or statement.signed_by:
                useful.append(statement)
            else:
                tell(f"{place.name}: {statement.name} is not signed by a key that you trust; it was left out")
    meter = Meter(report, "fetching entries", len(missing), "entries")
    taken = 0
    for statement in useful:
        wanted = missing.intersection(statement.keys)
        if not wanted:
            continue
        try:
            taken += take(store, entries_of(place, store.layout, statement), wanted)
        except SharingError as error:
            tell(f"a segment of the shared memory was left out: {error}")
            continue
        missing -= wanted
        meter.advance(len(wanted))
    store.flush()
    return taken


class _StatementCache:
    """Statements never change, so that each is read from the place once. Signatures are checked every time."""

    def __init__(self, place: Place, settings: Settings) -> None:
        self._place = place
        self._root = settings.places.cache / "shared" / hashlib.sha256(place.name.encode()).hexdigest()[:24]

    def read(self, folder: str, file: str) -> bytes:
        path = self._root / folder / file
        try:
            return path.read_bytes()
        except OSError:
            data = self._place.read(folder, file, LONGEST)
        self._keep(path, data)
        return data

    @staticmethod
    def _keep(path: Path, data: bytes) -> None:
        part = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            part.write_bytes(data)
            os.replace(part, path)
        except OSError:  # without it, the next run reads the place again
            part.unlink(missing_ok=True)
