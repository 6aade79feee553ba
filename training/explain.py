"""The base model answers how-questions from their source, so that training keeps its way of explaining.

    python -m codemem.training.explain --base FOLDER --data FOLDER [--part 0 --parts 1] [--limit 600]

Reads `how.jsonl.zst` (codemem.training.data.courses), writes `explained-PART.jsonl.zst` beside it, which a run reads as
further answers. Several GPUs take a part each.
"""

import argparse
import json
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from codemem.training.data.courses import HOW
from codemem.training.data.read import DOCUMENTS, Writer, rows

ANSWER_TOKENS = 112
PROMPT_TOKENS = 640
TOGETHER = 600
"""Questions answered at once; 10 GB of a GPU at the default's shape."""

_TASK = (
    "You explain source code to a colleague in one to three plain sentences. Name functions, arguments and conditions "
    "exactly as the code does. No code blocks, no lists."
)
_LIST = re.compile(r"\b[1-9]\.( |$)")


def explained(text: str, *, whole: bool) -> str | None:
    """The answer as it is learnt, or None for one that is cut short, a list, or code. `whole`: the model ended it."""
    if not whole:
        text = text[: max(text.rfind(". "), text.rfind(".\n")) + 1]
    text = " ".join(text.split())
    return None if len(text) < 40 or "```" in text or _LIST.search(text) else text


def explain(
    base: Path, questions: Sequence[dict[str, Any]], documents: dict[int, dict[str, Any]]
) -> Iterator[dict[str, Any]]:
    """Answer records; questions whose answer is of no use are left out."""
    from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

    device, dtype = ("cuda", torch.bfloat16) if torch.cuda.is_available() else ("cpu", torch.float32)
    tokenizers: Any = PreTrainedTokenizerFast  # untyped
    tokenizer = tokenizers(tokenizer_file=str(base / "tokenizer.json"), padding_side="left")
    tokenizer.add_special_tokens({"pad_token": "<|endoftext|>"})
    end = tokenizer.convert_tokens_to_ids("<|im_end|>")
    model: Any = AutoModelForCausalLM.from_pretrained(base, dtype=dtype)
    model.to(device).eval()
    for start in range(0, len(questions), TOGETHER):
        some = questions[start : start + TOGETHER]
        prompts = [_prompt(row["question"], documents[row["gold"][0]]) for row in some]
        given = tokenizer(prompts, return_tensors="pt", padding=True, truncation=True, max_length=PROMPT_TOKENS)
        with torch.no_grad():
            written = model.generate(
                input_ids=given["input_ids"].to(device),
                attention_mask=given["attention_mask"].to(device),
                max_new_tokens=ANSWER_TOKENS,
                do_sample=False,
                repetition_penalty=1.05,
                pad_token_id=tokenizer.pad_token_id,
                eos_token_id=end,
            )
        for row, ids in zip(some, written[:, given["input_ids"].shape[1] :].tolist(), strict=True):
            answer = explained(str(tokenizer.decode(ids, skip_special_tokens=True)), whole=end in ids)
            if answer:
                yield {**row, "answer": answer}


def _prompt(question: str, document: dict[str, Any]) -> str:
    source = f"{document['header']}\n{document['text']}"
    turns = (("system", _TASK), ("user", f"{source}\n\n{question}"))
    return "".join(f"<|im_start|>{who}\n{said}<|im_end|>\n" for who, said in turns) + "<|im_start|>assistant\n"


def main(arguments: list[str] | None = None) -> None:
    """Answers one part of the questions; counts as a JSON object to stdout."""
    parser = argparse.ArgumentParser(
        prog="python -m codemem.training.explain",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--base", type=Path, required=True, help="a checkpoint folder in Hugging Face's layout")
    add("--data", type=Path, required=True)
    add("--part", type=int, default=0)
    add("--parts", type=int, default=1)
    add("--limit", type=int, help="at most so many questions of this part")
    options = parser.parse_args(arguments)
    questions = list(rows(options.data / HOW))[options.part :: options.parts][: options.limit]
    wanted = {row["gold"][0] for row in questions}
    documents = {i: row for i, row in enumerate(rows(options.data / DOCUMENTS)) if i in wanted}
    kept = 0
    with Writer(options.data / f"explained-{options.part}.jsonl.zst") as writer:
        for row in explain(options.base, questions, documents):
            writer.write(row)
            kept += 1
            if kept <= 3:
                print(row["question"], "|", row["answer"], file=sys.stderr)
    print(json.dumps({"asked": len(questions), "kept": kept}))


if __name__ == "__main__":
    main()
