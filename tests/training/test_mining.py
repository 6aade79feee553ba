"""Mined negatives: what ranks high and is no answer; what may be one is left out; easy and hopeless questions go."""

import json
from pathlib import Path

import pytest
import torch

from codemem.model.tokenizer import Tokenizer
from codemem.training.__main__ import main as train
from codemem.training.corpus import Corpus
from codemem.training.data.read import rows
from codemem.training.mine import judge, parts_of
from codemem.training.mine import main as mine


def test_what_is_close_to_the_answer_is_no_negative() -> None:
    scores = torch.tensor([0.80, 0.79, 0.70, 0.60, 0.90])
    excluded = torch.tensor([True, False, False, False, True])
    rank, negatives, easy = judge(scores, [0], excluded)
    assert (rank, negatives, easy) == (1, [2, 3], False)  # 0.79 is within 0.95 of 0.80
    assert judge(torch.tensor([0.5, 0.7, 0.2]), [0], torch.tensor([True, False, False]))[:2] == (2, [2])
    assert judge(torch.tensor([0.8, 0.5]), [0], torch.tensor([True, False])) == (1, [1], True)


def test_parts_are_whole_packages_of_about_the_same_size() -> None:
    sizes = {0: 100, 1: 60, 2: 50, 3: 5, 4: 1}
    shares = parts_of(sizes, 2)
    assert set.union(*shares) == set(sizes)
    assert not shares[0] & shares[1]
    assert sorted(sum(sizes[p] for p in share) for share in shares) == [106, 110]


def test_mined_questions_take_the_place_of_the_courses(
    tmp_path: Path, base: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = {"rank": 4, "steps": 1, "questions": 8, "group": 8, "hard": 1, "phases": [{"answers": 0}]}
    where = ["--base", str(base), "--data", str(data), "--out", str(tmp_path / "out"), "--device", "cpu"]
    train([*where, "--recipe", json.dumps(recipe), "--layers", "1,2", "--find-layers", "1"])
    adapter = tmp_path / "out/codemem-adapter.safetensors"
    counts = {"asked": 0}
    for part in ("0", "1"):
        options = ["--base", str(base), "--adapter", str(adapter), "--data", str(data), "--device", "cpu"]
        mine([*options, "--part", part, "--parts", "2"])
        counts["asked"] += json.loads(capsys.readouterr().out.splitlines()[-1])["asked"]
    found = [row for part in (0, 1) for row in rows(data / f"mined-{part}.jsonl.zst")]
    assert 0 < len(found) == counts["asked"] <= 16
    tokenizer = Tokenizer.from_folder(base)
    corpus, before = Corpus.load(data, tokenizer), Corpus.load(data, tokenizer, mined=False)
    assert corpus.questions == [row["q"] for row in found]
    assert before.questions != corpus.questions or before.negatives != corpus.negatives
    for row in found:
        package = corpus.packages[row["pos"][0]]
        assert set(row["neg"]).isdisjoint(row["pos"])
        assert all(corpus.packages[document] == package for document in row["neg"])
