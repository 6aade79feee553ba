"""What stands beside a shared segment: which entries it holds, its checksum, and who signed that."""

import base64
import binascii
import hashlib
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from codemem.model.entry import EntryLayout
from codemem.sharing.place import SharingError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

ENDING = ".json"
LONGEST = 64 << 20
"""Bytes of a statement."""
LONGEST_SEGMENT = 4 << 30
_KEY, _NUMBER = 32, 36


@dataclass(frozen=True, slots=True)
class Statement:
    """What a segment holds, as whoever exported it says."""

    model: str
    fingerprint: str
    segment: str
    """Its file's name."""
    size: int
    """Bytes of that file."""
    sha256: str
    keys: Sequence[bytes]
    numbers: Sequence[tuple[bytes, int]] = ()
    """MSA-4B: sha256 of a document's header and text, and the number that its entry spells."""
    signed_by: str | None = None
    """The public key whose signature was checked; None if there is none."""

    @property
    def name(self) -> str:
        """Of the file that holds it."""
        return f"{self.segment.partition('.')[0]}{ENDING}"

    def matches(self, data: bytes) -> bool:
        """Whether these are the segment's bytes."""
        return len(data) == self.size and hashlib.sha256(data).hexdigest() == self.sha256


def folder_of(layout: EntryLayout) -> str:
    return layout.fingerprint[:32]


def write_statement(statement: Statement, key: "Ed25519PrivateKey | None") -> bytes:
    """The file, signed if there is a key."""
    text = json.dumps(
        {
            "format": 1,
            "model": statement.model,
            "fingerprint": statement.fingerprint,
            "segment": statement.segment,
            "bytes": statement.size,
            "sha256": statement.sha256,
            "keys": base64.b64encode(b"".join(statement.keys)).decode(),
            "numbers": base64.b64encode(
                b"".join(content + number.to_bytes(4, "little") for content, number in statement.numbers)
            ).decode(),
        },
        sort_keys=True,
    )
    file: dict[str, Any] = {"statement": text}
    if key is not None:
        from codemem.sharing.keys import public_name, sign

        file |= {"key": public_name(key), "signature": sign(key, text)}
    return json.dumps(file).encode()


def read_statement(data: bytes, trusted: Collection[str]) -> Statement:
    """Checks the signature if it is of one of the `trusted` keys. Raises SharingError for what is no statement."""
    try:
        file = json.loads(data)
        text = str(file["statement"])
        fields = json.loads(text)
        if fields["format"] != 1:
            raise SharingError(f"it has format {fields['format']}: upgrade codemem")
        numbers = _pieces(fields["numbers"], _NUMBER)
        return Statement(
            model=str(fields["model"]),
            fingerprint=str(fields["fingerprint"]),
            segment=str(fields["segment"]),
            size=int(fields["bytes"]),
            sha256=str(fields["sha256"]),
            keys=_pieces(fields["keys"], _KEY),
            numbers=[(piece[:_KEY], int.from_bytes(piece[_KEY:], "little")) for piece in numbers],
            signed_by=_signer(file, text, trusted),
        )
    except (ValueError, KeyError, TypeError, RecursionError, binascii.Error) as error:
        raise SharingError("it is no statement about shared entries") from error


def _pieces(text: str, size: int) -> list[bytes]:
    data = base64.b64decode(text, validate=True)
    if len(data) % size:
        raise ValueError("cut off")
    return [data[at : at + size] for at in range(0, len(data), size)]


def _signer(file: Any, text: str, trusted: Collection[str]) -> str | None:
    name = file.get("key")
    if name is None or name not in trusted:
        return None
    from codemem.sharing.keys import is_signed

    return str(name) if is_signed(str(name), str(file.get("signature")), text) else None
