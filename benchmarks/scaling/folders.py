"""A scale run over anyone's folders of code: needles, functions of a pool, and what the folders hold.

Facts and hops are asked of the packed corpus alone (`pack`): they need packages that are known.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path

from codemem.benchmarks.scaling.corpus import documents_of, write_parts
from codemem.benchmarks.scaling.pool import QUESTIONS
from codemem.benchmarks.scaling.questions import Rivals, make_questions
from codemem.model.tokenizer import Tokenizer


def pack_folders(folders: Sequence[Path], out: Path, *, pool: Path | None, tokenizer: Tokenizer) -> None:
    """Writes a corpus of these folders in place of what `out` held."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    questions = make_questions(out, pool, lambda text: len(tokenizer.encode_text(text)), splits=())
    (out / QUESTIONS).write_text(questions.to_json(), encoding="utf-8")
    rivals = Rivals(questions)
    documents = (document for folder in folders for document in documents_of(folder))
    write_parts((document for document in documents if not rivals.could_answer(document)), out, 1 << 62)
