"""The Hugging Face hub as a source: what a repository holds at a revision, and its files, resumed where they stopped.

`hf_hub_download` deletes what a killed process had fetched; hence the library's `http_get` on a file of ours.
"""

import hashlib
import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codemem.model.errors import ModelError, WeightsCorrupt
from codemem.model.weights.files import Progress, file_sha256, put_in_place

_TIMEOUT_S = 10.0
_WANTED = re.compile(r"[^/.][^/]*\.(safetensors|json|txt|jinja)")
"""Files of a checkpoint folder, at its top; never code and never pickles."""


class HubError(ModelError):
    """The hub did not give what was asked for; the next source is tried."""


@dataclass(frozen=True, slots=True)
class HubFile:
    """A file of a repository at one commit."""

    name: str
    bytes: int
    sha256: str | None
    """Object id of a large file; none for a small one, which has `git_sha1`."""
    git_sha1: str | None

    def matches(self, path: Path) -> bool:
        """Whether a file on disk is this one, by its hash."""
        if path.stat().st_size != self.bytes:
            return False
        if self.sha256 is not None:
            return file_sha256(path) == self.sha256
        data = path.read_bytes()
        named = b"blob %d\0" % len(data) + data
        return hashlib.sha1(named, usedforsecurity=False).hexdigest() == self.git_sha1


@dataclass(frozen=True, slots=True)
class HubListing:
    """The files of a checkpoint at the commit that a revision stood for."""

    commit: str
    files: tuple[HubFile, ...]


class Hub:
    """One repository on the hub, asked anonymously and without the library's version reports."""

    def __init__(self, repository: str, endpoint: str | None = None) -> None:
        """`endpoint` replaces the hub's address, as the library's own HF_ENDPOINT does."""
        import huggingface_hub.constants

        huggingface_hub.constants.HF_HUB_DISABLE_TELEMETRY = True
        self.repository = repository
        self.endpoint = endpoint

    def listing(self, revision: str) -> HubListing:
        """What the repository holds, with the hashes that the hub vouches for."""
        from huggingface_hub import HfApi

        try:
            info = HfApi(endpoint=self.endpoint, token=False).model_info(
                self.repository, revision=revision, files_metadata=True, timeout=_TIMEOUT_S
            )
        except Exception as error:  # the HTTP library below, and so the error's type, differs by version
            raise HubError(f"the hub does not list {self.repository}: {_first_line(error)}") from error
        files = tuple(
            HubFile(
                name=entry.rfilename,
                bytes=entry.size or 0,
                sha256=entry.lfs.sha256 if entry.lfs else None,
                git_sha1=None if entry.lfs else entry.blob_id,
            )
            for entry in info.siblings or ()
            if _WANTED.fullmatch(entry.rfilename)
        )
        if not files or info.sha is None:
            raise HubError(f"{self.repository} holds no checkpoint at revision {revision}")
        return HubListing(info.sha, files)

    def fetch(self, file: HubFile, revision: str, target: Path, progress: Progress | None = None) -> None:
        """Downloads one file into place, from where an earlier try stopped.

        What was fetched lies beside the target as `<name>.part` until its hash is right. Raises `HubError`, or
        `WeightsCorrupt` (and starts over the next time) when the bytes are not the ones expected.
        """
        from huggingface_hub import get_hf_file_metadata, hf_hub_url
        from huggingface_hub.file_download import http_get
        from huggingface_hub.utils.tqdm import disable_progress_bars

        disable_progress_bars("huggingface_hub.http_get")
        partial = target.with_name(target.name + ".part")
        url = hf_hub_url(self.repository, file.name, revision=revision, endpoint=self.endpoint)
        try:
            found = get_hf_file_metadata(url, token=False, timeout=_TIMEOUT_S)
            if file.sha256 and re.fullmatch("[0-9a-f]{64}", found.etag or "") and found.etag != file.sha256:
                raise HubError(f"the hub's {file.name} is another file than the registered one")
            with _ReportingFile(partial, file.bytes, progress) as out:
                if out.tell() < file.bytes:
                    agent: dict[str, str] = {"user-agent": "codemem"}
                    http_get(url, out, resume_size=out.tell(), headers=agent, expected_size=file.bytes)
        except HubError:
            raise
        except Exception as error:  # as above
            raise HubError(f"the hub does not give {file.name}: {_first_line(error)}") from error
        if not file.matches(partial):
            partial.unlink()
            raise WeightsCorrupt(f"{file.name} from the hub fails its checksum and was deleted: pull it again")
        put_in_place(partial, target)


class _ReportingFile(io.FileIO):
    """A file opened for appending that reports its length as it grows."""

    def __init__(self, path: Path, total: int, progress: Progress | None) -> None:
        super().__init__(path, "a")
        self._total, self._progress = total, progress
        if self.tell() > total:
            self.truncate(0)

    def write(self, data: Any, /) -> int:
        written = super().write(data)
        if self._progress is not None:
            self._progress(self.tell(), self._total)
        return written


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
