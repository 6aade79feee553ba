"""Text to token ids and back, for byte-level BPE tokenizers of the Qwen family.

Text is data: `encode_text` never yields a control token, whatever the text spells. Control tokens are put in by id.
"""

import codecs
import json
import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import tokenizers

from codemem.model.entry import TokenisedDocument
from codemem.model.errors import WeightsCorrupt
from codemem.model.json_file import require_json

CHUNK_TOKENS = 64

# Of Qwen2's tokenizer.json: how text is cut before byte pairs are merged.
_QWEN2_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_SURROGATE = re.compile("[\ud800-\udfff]")
# Letters that compose with the letter before them: jamo after the first of a syllable, vowels of Kirat Rai.
_CONTINUES = re.compile("[\u1160-\u11ff\ud7b0-\ud7ff\U00016d63\U00016d67-\U00016d6a]")
_NORMAL, _CONTROL, _USER_DEFINED = 1, 3, 4
"""GGUF's token types; 5 (unused) pads the vocabulary."""


def qwen2_tokenizer_json(tokens: Sequence[str], kinds: Sequence[int], merges: Sequence[str]) -> str:
    """Builds the text of a tokenizer.json as Qwen2 has it from the three lists that a GGUF file stores.

    `tokens[i]` is the spelling of id i (bytes as GPT-2's printable characters), `kinds[i]` GGUF's token type, and
    `merges` holds "left right" pairs in order of rank.
    """
    vocabulary = {token: i for i, (token, kind) in enumerate(zip(tokens, kinds, strict=True)) if kind == _NORMAL}
    added = [
        {
            "id": i,
            "content": token,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": kind == _CONTROL,
        }
        for i, (token, kind) in enumerate(zip(tokens, kinds, strict=True))
        if kind in (_CONTROL, _USER_DEFINED)
    ]
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}
    split = {"type": "Split", "pattern": {"Regex": _QWEN2_SPLIT}, "behavior": "Isolated", "invert": False}
    whole = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": {"type": "NFC"},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, byte_level]},
        "post_processor": byte_level,
        "decoder": byte_level,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": "",
            "end_of_word_suffix": "",
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": vocabulary,
            "merges": [merge.split(" ") for merge in merges],
        },
    }
    return json.dumps(whole, ensure_ascii=False, separators=(",", ":"))


class Tokenizer:
    """A byte-level BPE tokenizer whose control tokens cannot be spelled by text."""

    def __init__(self, specification: dict[str, Any], *, vocabulary_size: int, eos_ids: Iterable[int]) -> None:
        """`specification` is the parsed tokenizer.json, `vocabulary_size` the padded one: rows of the embedding."""
        added = specification.get("added_tokens") or []
        self.control: dict[str, int] = {token["content"]: token["id"] for token in added}
        """Control tokens by spelling: '<|im_start|>' -> 151644, ..."""
        self.vocabulary_size = vocabulary_size
        self.eos_ids = frozenset(eos_ids)
        model = specification["model"]
        if model.get("type") != "BPE":
            raise WeightsCorrupt(f"a tokenizer of type {model.get('type')!r} is not supported, only byte-level BPE")
        vocabulary = {spelling: token for spelling, token in model["vocab"].items() if spelling not in self.control}
        if max(vocabulary.values(), default=0) >= vocabulary_size or max(self.control.values(), default=0) >= (
            vocabulary_size
        ):
            raise WeightsCorrupt(f"the tokenizer has ids beyond the model's {vocabulary_size}")
        self._backend = _backend(specification, vocabulary)
        self._byte_lengths = np.zeros(vocabulary_size, dtype=np.uint32)
        """Bytes of text by id: in byte-level BPE one character of a token's spelling is one byte."""
        self._byte_lengths[list(vocabulary.values())] = [len(spelling) for spelling in vocabulary]

    @classmethod
    def from_folder(cls, folder: Path) -> Self:
        """Reads tokenizer.json, config.json and, where there is one, generation_config.json of a checkpoint folder."""
        specification = require_json(folder / "tokenizer.json")
        config = require_json(folder / "config.json")
        generation = folder / "generation_config.json"
        eos = config.get("eos_token_id")
        if generation.is_file():
            eos = require_json(generation).get("eos_token_id", eos)
        eos_ids = eos if isinstance(eos, list) else [] if eos is None else [eos]
        try:
            return cls(specification, vocabulary_size=int(config["vocab_size"]), eos_ids=eos_ids)
        except (KeyError, TypeError) as error:
            raise WeightsCorrupt(f"{folder}: tokenizer.json or config.json lacks {error}") from error

    def encode_text(self, text: str) -> list[int]:
        """Ids of a text, none of them a control token."""
        return self.encode_batch([text])[0]

    def encode_with_offsets(self, text: str) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
        """Ids, and for each the end of its text in bytes of the text's UTF-8, counted in the text as given.

        A token that ends within a character ends between its first and last byte.
        """
        return self.encode_batch_with_offsets([text])[0]

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """`encode_text` of each, on all cores."""
        # The fast variant leaves out offsets, which take a third of the time and are rarely needed (see `_with_ends`).
        encodings = self._backend.encode_batch_fast([_encodable(t) for t in texts], add_special_tokens=False)
        return [encoding.ids for encoding in encodings]

    def encode_batch_with_offsets(
        self, texts: Sequence[str]
    ) -> list[tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]]:
        """`encode_with_offsets` of each, on all cores."""
        prepared = [_encodable(text) for text in texts]
        return [self._with_ends(text, ids) for text, ids in zip(prepared, self.encode_batch(prepared), strict=True)]

    def tokenise_document(self, header: str, text: str, chunk_tokens: int = CHUNK_TOKENS) -> TokenisedDocument:
        """Header and text, tokenised apart so that no token spans both, cut into chunks."""
        return self.tokenise_documents([(header, text)], chunk_tokens)[0]

    def tokenise_documents(
        self, documents: Sequence[tuple[str, str]], chunk_tokens: int = CHUNK_TOKENS
    ) -> list[TokenisedDocument]:
        """`tokenise_document` of each (header, text), on all cores."""
        headers = self.encode_batch([header for header, _ in documents])
        texts = self.encode_batch_with_offsets([text for _, text in documents])
        done = []
        for header, (ids, ends) in zip(headers, texts, strict=True):
            all_ids = np.concatenate([np.asarray(header, dtype=np.uint32), ids])
            all_ends = np.concatenate([np.zeros(len(header), dtype=np.uint32), ends])
            last = np.minimum(np.arange(chunk_tokens, len(all_ids) + chunk_tokens, chunk_tokens), len(all_ids)) - 1
            done.append(TokenisedDocument(all_ids, all_ends[last]))
        return done

    def decode(self, ids: Iterable[int], *, control: bool = False) -> str:
        """Text of the ids, bytes that are no UTF-8 replaced; control tokens are spelled only if `control` is set."""
        return b"".join(self.token_bytes(i, control=control) for i in ids).decode("utf-8", errors="replace")

    def token_bytes(self, token: int, *, control: bool = False) -> bytes:
        """The bytes that a token stands for: none for padding, nor for a control token unless `control` is set."""
        if token in self._control_spellings:
            return self._control_spellings[token] if control else b""
        spelling = self._backend.id_to_token(token)
        return b"" if spelling is None else bytes(_BYTE_OF_CHARACTER[character] for character in spelling)

    @cached_property
    def _control_spellings(self) -> dict[int, bytes]:
        return {token: spelling.encode() for spelling, token in self.control.items()}

    def _with_ends(self, text: str, ids: Sequence[int]) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
        array = np.asarray(ids, dtype=np.uint32)
        ends = np.cumsum(self._byte_lengths[array], dtype=np.int64)
        normaliser = self._backend.normalizer
        if not (normaliser is None or text.isascii() or unicodedata.is_normalized("NFC", text)):
            ends = _ends_before_composing(text, ends, normaliser.normalize_str)
        return array, ends.astype(np.uint32)


class IncrementalDetokeniser:
    """Turns a stream of ids into a stream of text that is valid at every step: cut characters wait for their rest."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def push(self, token: int) -> str:
        """Text that has become complete with this token, often one word, sometimes empty."""
        return self._decoder.decode(self._tokenizer.token_bytes(token))

    def finish(self) -> str:
        """What is left: nothing, or one replacement character for a sequence that was never completed."""
        return self._decoder.decode(b"", final=True)


def _backend(specification: dict[str, Any], vocabulary: dict[str, int]) -> tokenizers.Tokenizer:
    """The library's tokenizer without added tokens, so that there is nothing it would look for in a text.

    The vocabulary goes in as objects rather than as JSON, which halves the time to load.
    """
    settings = specification["model"].items()
    # A file may spell an absent prefix as null, which the library's constructor does not take.
    model = {name: value for name, value in settings if name not in ("type", "vocab", "merges") and value is not None}
    pairs = (merge.split(" ") if isinstance(merge, str) else merge for merge in specification["model"]["merges"])
    merges = [(left, right) for left, right in pairs]
    frame = {
        **specification,
        "added_tokens": [],
        "post_processor": None,
        "truncation": None,
        "padding": None,
        "model": {"type": "BPE", "vocab": {}, "merges": []},
    }
    backend = tokenizers.Tokenizer.from_str(json.dumps(frame))
    backend.model = tokenizers.models.BPE(vocab=vocabulary, merges=merges, **model)
    return backend


def _ends_before_composing(
    text: str, ends: npt.NDArray[np.int64], compose: Callable[[str], str]
) -> npt.NDArray[np.int64]:
    """Byte ends in a text as given, from byte ends in its composed form (NFC), which is what tokens are cut from.

    Composing is local: no character composes with what comes before a starter that is no mark. So the text falls into
    pieces; in those that composing leaves alone ends are exact, elsewhere they stay within the piece.
    """
    pieces = _pieces_composed_apart(text)
    here = np.cumsum([0, *(len(compose(piece).encode()) for piece in pieces)])
    there = np.cumsum([0, *(len(piece.encode()) for piece in pieces)])
    piece = np.clip(np.searchsorted(here, ends, side="left") - 1, 0, len(pieces) - 1)
    within = np.minimum(there[piece] + ends - here[piece], there[piece + 1])
    placed = np.where(ends >= here[piece + 1], there[piece + 1], within)
    placed[-1:] = there[-1]
    return placed


def _pieces_composed_apart(text: str) -> list[str]:
    """The text cut before every starter that cannot continue a composition: neither mark nor medial or final jamo."""
    starts = [
        i
        for i, character in enumerate(text)
        if character.isascii()
        or (
            not unicodedata.combining(character)
            and not unicodedata.category(character).startswith("M")
            and not _CONTINUES.match(character)
        )
    ]
    bounds = sorted({0, *starts, len(text)})
    return [text[a:b] for a, b in pairwise(bounds)]


def _encodable(text: str) -> str:
    """The text with lone surrogates replaced by U+FFFD, which takes as many bytes (3) as a surrogate would."""
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


def _byte_of_character() -> dict[str, int]:
    """GPT-2's printable stand-ins for bytes: printable Latin-1 stands for itself, the rest from U+0100 on in order."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    rest = [byte for byte in range(256) if byte not in printable]
    table = {chr(byte): byte for byte in printable}
    return table | {chr(0x100 + i): byte for i, byte in enumerate(rest)}


_BYTE_OF_CHARACTER = _byte_of_character()
