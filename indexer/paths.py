"""File names as text.

A name on disk is bytes; documents, manifests and citations carry text. Bytes that are not UTF-8 and control characters
(a newline in a name would break every line-based format, an escape would reach the terminal) are percent-encoded, as is
a '%' that would otherwise read as such a code. Every other character stays as it is, so nearly every path is unchanged,
and `decode_path(encode_path(raw)) == raw` for all bytes.
"""

import re

_CODE = re.compile(rb"%([0-9A-Fa-f]{2})")
_SPECIAL = re.compile(rb"%(?=[0-9A-Fa-f]{2})|[\x00-\x1f\x7f]")


def _percent(match: re.Match[bytes]) -> bytes:
    return b"%%%02X" % match[0][0]


def encode_path(raw: bytes) -> str:
    """The text for the bytes of a name, '/'-separated."""
    if raw.isascii() and b"%" not in raw:
        plain = raw.decode("ascii")
        if plain.isprintable():
            return plain
    text = _SPECIAL.sub(_percent, raw).decode("utf-8", "surrogateescape")
    return "".join(f"%{ord(char) - 0xDC00:02X}" if "\udc80" <= char <= "\udcff" else char for char in text)


def decode_path(path: str) -> bytes:
    """The bytes of a name that `encode_path` wrote."""
    return _CODE.sub(lambda match: bytes([int(match[1], 16)]), path.encode("utf-8"))
