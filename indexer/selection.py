"""What is left out unless asked for: by name and size before reading, by content after. Users see every reason."""

import re
import tomllib
from dataclasses import dataclass
from importlib.resources import files


@dataclass(frozen=True, slots=True)
class Selection:
    """Limits on what is read."""

    max_file_bytes: int = 1 << 20
    """Files above this size are skipped; `!` in .codememignore does not lift it."""
    max_document_bytes: int = 1600
    """Largest document, in bytes of UTF-8: about 400 to 500 tokens of code."""
    parse_seconds: float = 2.0
    """Most processor time that a file's syntax may take; after it the file is split by its lines alone."""

    def __post_init__(self) -> None:
        if min(self.max_file_bytes, self.max_document_bytes, self.parse_seconds) <= 0:
            raise ValueError("limits of a selection must be positive")


DEFAULT_SELECTION = Selection()

_NOTEBOOK_FACTOR = 8
_NAMES = tomllib.loads(files(__package__).joinpath("left_out.toml").read_text("utf-8"))
_VENDORED = frozenset(_NAMES["vendored_folders"].split())
_LOCK_FILES = frozenset(_NAMES["lock_files"].split())
_BINARY_EXTENSIONS = frozenset(_NAMES["binary_extensions"].split())
_GENERATED_NAME = re.compile(
    r"(?:\.pb\.(?:go|cc|h|c)|_pb2(?:_grpc)?\.pyi?|\.pb\.gw\.go|_grpc\.pb\.(?:cc|h)|\.g\.dart|\.freezed\.dart|\.designer\.cs"
    r"|\.g\.cs|_generated\.\w+|\.generated\.\w+|zz_generated\.\w+(?:\.\w+)*|\.snap|\.map)\Z"
)
_MINIFIED_NAME = re.compile(r"[.-]min\.(?:js|mjs|cjs|css)\Z")
_SECRET_NAME = re.compile(
    r"(?:\.env(?:\.(?!example\Z|sample\Z|template\Z|dist\Z|defaults?\Z)[\w.-]+)?|\.?envrc|id_(?:rsa|dsa|ecdsa|ed25519)(?:_sk)?"
    r"|.+\.(?:pem|key|p12|pfx|pkcs12|jks|keystore|kdbx|ppk|gpg)|\.netrc|_netrc|\.pypirc|\.htpasswd|\.pgpass|\.git-credentials"
    r"|service[-_]account.*\.json|client_secrets?.*\.json|secrets?\.(?:ya?ml|json|toml))\Z"
)


def left_out_by_name(path: str) -> str | None:
    """Why a file is left out, judged by its name alone; None if it is to be read."""
    name = path.rpartition("/")[2].lower()
    extension = name.rpartition(".")[2]
    if extension in _BINARY_EXTENSIONS and "." in name:
        return "binary file"
    if name in _LOCK_FILES:
        return "generated: lock file"
    if _SECRET_NAME.match(name):
        return "may hold secrets"
    if _MINIFIED_NAME.search(name):
        return "minified"
    if _GENERATED_NAME.search(name):
        return "generated: by its name"
    return None


def too_large(path: str, size: int, selection: Selection) -> str | None:
    """The reason for a file above the size limit. Most of a notebook is outputs, which are not read."""
    limit = selection.max_file_bytes * (_NOTEBOOK_FACTOR if path.endswith(".ipynb") else 1)
    return None if size <= limit else f"larger than {limit:,} bytes ({size:,})"


def vendored_folder(folder: str) -> str | None:
    """The outermost part of a folder's path that holds other projects' code, or None."""
    parts = folder.split("/")
    for index, part in enumerate(parts):
        if part in _VENDORED:
            return "/".join(parts[: index + 1])
    return None


_LFS_POINTER = b"version https://git-lfs.github.com/spec/v1\n"
_KEY_MARKER = re.compile(rb"-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----")
_KEY_BODY = re.compile(rb"[A-Za-z0-9+/]{40}")
_GENERATED_MARKER = re.compile(
    rb"""^[ \t]*(?://|\#|/?\*|--|;|%|<!--|\"\"\"|'''|\(\*|\{-)[^\n]*  # in a comment
    (?:@generated\b
      |[Cc]ode\ generated\b[^\n]*DO\ NOT\ EDIT
      |(?i:auto(?:[- ]?|matically\ )generated\b[^\n]*do\ not\ (?:edit|modify))
      |(?i:this\ (?:file|code)\ (?:is|was|has\ been)\ (?:auto[- ]?|automatically\ |machine[- ])generated)
      |(?i:generated\ by\ the\ protocol\ buffer\ compiler))""",
    re.MULTILINE | re.VERBOSE,
)
_PROSE = frozenset({"text", "markdown", "rst", "org", "latex", "html", "typst", "po"})
_SHORT_LINED = frozenset({"javascript", "typescript", "tsx", "css", "scss"})
_HEAD_BYTES = 4096


def left_out_by_content(path: str, data: bytes, language: str) -> str | None:
    """Why a file is left out, judged by its raw bytes; None if it is to be read."""
    if b"\0" in data and not data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "binary file"
    if data.startswith(_LFS_POINTER) and len(data) < 1024:
        return "Git LFS pointer: its content is not here"
    if _holds_private_key(data):
        return "holds a private key"
    head = data[:_HEAD_BYTES]
    if b"enerated" in head.lower() and _GENERATED_MARKER.search(head):
        return "generated: it says so"
    return None if path.endswith(".ipynb") else _minified(data, language)


def _holds_private_key(data: bytes) -> bool:
    """A marker at the file's start, or anywhere with the key's text after it: code that only names the marker stays."""
    return any(
        not data[: found.start()].strip() or _KEY_BODY.search(data, found.end(), found.end() + 400)
        for found in _KEY_MARKER.finditer(data)
    )


def _minified(data: bytes, language: str) -> str | None:
    if len(data) < 2048 or (language in _PROSE and len(data) < 50_000):
        return None
    lines = data.split(b"\n")
    longest = max(map(len, lines))
    if language in _SHORT_LINED and (len(data) / len(lines) > 250 or (longest > 5000 and longest > len(data) / 2)):
        return "minified"
    if longest > 50_000 or (longest > 20_000 and longest > len(data) / 2):
        return f"minified: a line of {longest:,} bytes"
    return None
