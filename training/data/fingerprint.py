"""Near-duplicate detection over pairs of lines, and the check against what evaluations use."""

import hashlib
import zlib
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

_COMMENT_MARKS = ("# ", "//", "*", "/*", "--")


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What identifies a document's text regardless of white space and comments on lines of their own."""

    exact: bytes
    """Hash of the lines, 8 bytes."""
    shingles: npt.NDArray[np.uint32]
    """Hashes of pairs of consecutive lines, sorted, unique. Lines rather than tokens: ten times faster."""

    @property
    def sketch(self) -> bytes | None:
        """The four smallest shingle hashes; equal sketches are near-duplicates. None for texts of few lines."""
        return self.shingles[:4].tobytes() if len(self.shingles) >= 8 else None


def fingerprint(text: str) -> Fingerprint:
    """Fingerprint a document's text."""
    lines = ["".join(line.split()) for line in text.split("\n") if not line.lstrip().startswith(_COMMENT_MARKS)]
    encoded = [line.encode("utf-8", "replace") for line in lines if line]
    pairs = {zlib.crc32(second, zlib.crc32(first)) for first, second in pairwise(encoded)}
    shingles = np.fromiter(sorted(pairs), dtype=np.uint32, count=len(pairs))
    return Fingerprint(hashlib.blake2b(b"\n".join(encoded), digest_size=8).digest(), shingles)


@dataclass(slots=True)
class SeenTexts:
    """A set of texts that new ones are compared with."""

    exact: set[bytes]
    shingles: npt.NDArray[np.uint32]
    """Sorted and unique."""

    @classmethod
    def of(cls, prints: list[Fingerprint]) -> "SeenTexts":
        """Gather the set from fingerprints."""
        parts = [print_.shingles for print_ in prints] or [np.empty(0, dtype=np.uint32)]
        return cls({print_.exact for print_ in prints}, np.unique(np.concatenate(parts)))

    def resembles(self, print_: Fingerprint, share: float = 0.6) -> bool:
        """Whether a text equals a remembered one, or most of its pairs of lines (five at least) were seen before."""
        if print_.exact in self.exact:
            return True
        if len(print_.shingles) < 5 or not len(self.shingles):
            return False
        places = np.minimum(np.searchsorted(self.shingles, print_.shingles), len(self.shingles) - 1)
        return float((self.shingles[places] == print_.shingles).mean()) >= share
