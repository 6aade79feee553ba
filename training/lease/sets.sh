#!/bin/sh
# The medium model writes the sets of statements anew (training/statement_questions.py), into the tree and /tmp/r/sets.
. training/lease/there.sh
await /tmp/r/site.done /tmp/s/evals.tar.joined "/tmp/s/$(basename $MEDIUM).joined"
dequantised $MEDIUM
BASE=$(python3 -c 'import sys; from pathlib import Path; from codemem.model.weights import checkpoint_folder; print(checkpoint_folder(Path(sys.argv[1])))' "$MEDIUM")
python3 -m codemem.training.statement_questions --base "$BASE" --repositories /tmp/s/evals/repositories --out /tmp/r/sets > /tmp/r/sets.txt 2>&1
cp /tmp/r/sets/*.json /tmp/tree/evals/answers/sets/
tail -n 1 /tmp/r/sets.txt
date +%T
touch /tmp/r/sets.done
