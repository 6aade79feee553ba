"""A folder or an object store that holds shared memories, through fsspec."""

import contextlib
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codemem.errors import CodememError

ROOT = "codemem-1"
"""The folder below the place; its name changes with the format."""


class SharingError(CodememError):
    """A place cannot be reached, or what lies there is not to be used."""


@contextlib.contextmanager
def _errors(name: str) -> Iterator[None]:
    """What a file system of fsspec may raise is any library's own."""
    try:
        yield
    except SharingError:
        raise
    except FileNotFoundError as error:
        raise SharingError(f"there is no {name}") from error
    except ImportError as error:
        raise SharingError(f"{name} needs a package that is not installed: {error}") from error
    except Exception as error:
        raise SharingError(f"{name} cannot be used ({type(error).__name__}: {error})") from error


@dataclass(frozen=True, slots=True)
class Place:
    """Files by name in folders, one a layout. Files are written once and never changed."""

    name: str
    """As the user wrote it."""
    _system: Any
    _path: str

    @classmethod
    def open(cls, name: str) -> "Place":
        """`name` is a folder, or a URL that fsspec knows (s3://, gs://, https://, ...). Raises SharingError."""
        with _errors(name):
            from fsspec.core import url_to_fs

            local = name if "://" in name else os.fspath(Path(name).expanduser().absolute())
            system, path = url_to_fs(local)  # type: ignore[no-untyped-call]
        return cls(name, system, path.rstrip("/"))

    def _of(self, folder: str, file: str = "") -> str:
        return "/".join(part for part in (self._path, ROOT, folder, file) if part)

    def folders(self) -> list[str]:
        """Layouts of which something lies here."""
        return self._names("", "directory")

    def files(self, folder: str, ending: str) -> list[str]:
        """Names of the files of a layout that end so, sorted."""
        return [name for name in self._names(folder, "file") if name.endswith(ending)]

    def _names(self, folder: str, kind: str) -> list[str]:
        with _errors(self.name):
            try:
                found = self._system.ls(self._of(folder), detail=True, refresh=True)
            except (FileNotFoundError, NotADirectoryError):
                return []
            names = {item["name"].rstrip("/").rpartition("/")[2] for item in found if item["type"] == kind}
            return sorted(names)

    def read(self, folder: str, file: str, limit: int) -> bytes:
        """A file's bytes. Raises SharingError if it is gone or has more than `limit`."""
        with _errors(f"{self.name}: {file}"), self._system.open(self._of(folder, file), "rb") as stream:
            data: bytes = stream.read(limit + 1)
        if len(data) > limit:
            raise SharingError(f"{self.name}: {file} has more than {limit:,} bytes")
        return data

    def write(self, folder: str, file: str, data: bytes) -> None:
        """A reader sees the whole file or none: object stores put it in one piece, folders get it renamed."""
        target = self._of(folder, file)
        with _errors(self.name):
            if not self._is_local:
                self._system.pipe_file(target, data)
                return
            path = Path(target)
            path.parent.mkdir(parents=True, exist_ok=True)
            part = path.with_name(f".{file}.{secrets.token_hex(4)}.part")
            try:
                with part.open("wb") as stream:
                    stream.write(data)
                    stream.flush()
                    os.fsync(stream.fileno())
                part.replace(path)
            finally:
                part.unlink(missing_ok=True)

    @property
    def _is_local(self) -> bool:
        protocol = self._system.protocol
        return "file" in ((protocol,) if isinstance(protocol, str) else protocol)
