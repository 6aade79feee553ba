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


class Generating:
    """A checkpoint in Hugging Face's layout that goes on from prompts, greedily, many at once."""

    def __init__(self, base: Path, *, prompt_tokens: int = PROMPT_TOKENS, together: int | None = None) -> None:
        from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

        self.device, dtype = "cuda" if torch.cuda.is_available() else "cpu", torch.bfloat16
        self.prompt_tokens = prompt_tokens
        self.together = together or TOGETHER * PROMPT_TOKENS // prompt_tokens
        tokenizers: Any = PreTrainedTokenizerFast  # untyped
        self.tokenizer = tokenizers(tokenizer_file=str(base / "tokenizer.json"), padding_side="left")
        self.tokenizer.add_special_tokens({"pad_token": "<|endoftext|>"})
        self.end = self.tokenizer.convert_tokens_to_ids("<|im_end|>")
        model: Any = AutoModelForCausalLM.from_pretrained(base, dtype=dtype)
        self.model = model.to(self.device).eval()

    @torch.no_grad()
    def write(self, prompts: Sequence[str], *, most: int = ANSWER_TOKENS) -> list[tuple[str, bool]]:
        """What is written behind each, at most `most` tokens, and whether the model ended it."""
        given = self.tokenizer(
            list(prompts), return_tensors="pt", padding=True, truncation=True, max_length=self.prompt_tokens
        )
        written = self.model.generate(
            input_ids=given["input_ids"].to(self.device),
            attention_mask=given["attention_mask"].to(self.device),
            max_new_tokens=most,
            do_sample=False,
            repetition_penalty=1.05,
            pad_token_id=self.tokenizer.pad_token_id,
            eos_token_id=self.end,
        )
        new = written[:, given["input_ids"].shape[1] :].tolist()
        return [(str(self.tokenizer.decode(ids, skip_special_tokens=True)), self.end in ids) for ids in new]


def explain(
    model: Generating, questions: Sequence[dict[str, Any]], documents: dict[int, dict[str, Any]]
) -> Iterator[dict[str, Any]]:
    """Answer records; questions whose answer is of no use are left out."""
    for start in range(0, len(questions), model.together):
        some = questions[start : start + model.together]
        prompts = [explain_prompt(row["question"], documents[row["gold"][0]]) for row in some]
        for row, (text, whole) in zip(some, model.write(prompts), strict=True):
            if answer := explained(text, whole=whole):
                yield {**row, "answer": answer}


def explain_prompt(question: str, document: dict[str, Any]) -> str:
    """What the model goes on from to answer a question about a document."""
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
        for row in explain(Generating(options.base), questions, documents):
            writer.write(row)
            kept += 1
            if kept <= 3:
                print(row["question"], "|", row["answer"], file=sys.stderr)
    print(json.dumps({"asked": len(questions), "kept": kept}))


if __name__ == "__main__":
    main()
