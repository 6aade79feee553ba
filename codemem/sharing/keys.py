"""Ed25519 keys by which memories are signed and trusted (RFC 8032, through `cryptography`)."""

import os
import re
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from codemem.config import Places
from codemem.errors import CodememError, UsageError

_PUBLIC = re.compile(r"ed25519:([0-9a-f]{64})\Z")
_DOMAIN = b"codemem shared memory 1\0"
"""Before what is signed, so that a signature made for something else never fits."""


def default_key(places: Places) -> Path:
    """Where this user's own signing key lies, if there is one."""
    return places.config / "sharing-key.pem"


def make_key(path: Path) -> str:
    """Writes a new private key, for this user alone; its public name. Raises CodememError if the file exists."""
    key = Ed25519PrivateKey.generate()
    text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(text)
    except FileExistsError as error:
        raise CodememError(f"{path} exists: name another file with --out, or remove it") from error
    except OSError as error:
        raise CodememError(f"{path} cannot be written: {error.strerror}") from error
    return public_name(key)


def load_key(path: Path) -> Ed25519PrivateKey:
    """Raises CodememError for a file that holds no Ed25519 key in PEM without a password."""
    try:
        key = load_pem_private_key(path.read_bytes(), None)
    except OSError as error:
        raise CodememError(f"the signing key {path} cannot be read: {error.strerror}") from error
    except (ValueError, TypeError) as error:
        raise CodememError(f"{path} is no private key in PEM without a password") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise CodememError(f"{path} is no Ed25519 key: make one with `codemem memory keygen`")
    return key


def public_name(key: Ed25519PrivateKey) -> str:
    """'ed25519:' and 64 hexadecimal digits, as `trusted_keys` and `--trusted-key` take it."""
    return f"ed25519:{key.public_key().public_bytes_raw().hex()}"


def check_name(name: str) -> str:
    """The name of a public key. Raises UsageError."""
    if not _PUBLIC.match(name):
        raise UsageError(f"{name!r} is no public key: it is written ed25519: and 64 hexadecimal digits")
    return name


def sign(key: Ed25519PrivateKey, text: str) -> str:
    """Signature of a text, in hexadecimal."""
    return key.sign(_DOMAIN + text.encode()).hex()


def is_signed(name: str, signature: str, text: str) -> bool:
    """Whether the key of that name signed the text."""
    found = _PUBLIC.match(name)
    try:
        if found is not None:
            public = Ed25519PublicKey.from_public_bytes(bytes.fromhex(found[1]))
            public.verify(bytes.fromhex(signature), _DOMAIN + text.encode())
            return True
    except (InvalidSignature, ValueError):
        return False
    return False
