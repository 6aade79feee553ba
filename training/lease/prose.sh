#!/bin/sh
# SWE-QA's open questions and plain ones, by each of NAMES, in EACH processes over the GPUs in ON; needs what prose.tar.xz
# of the evaluations holds.
. training/lease/there.sh
ON=${ON:-$(seq 0 $((GPUS - 1)))}
EACH=${EACH:-$(($(nproc) / $(echo $NAMES | wc -w) - 4))}
job=0
turn() { set -- $ON; shift $((job % $#)); job=$((job + 1)); GPU=$1; } # a card, each in its turn
for name in $NAMES; do
    base=$(base_of "/tmp/r/$name.safetensors")
    for k in $(seq 0 $((EACH - 1))); do
        turn
        OMP_NUM_THREADS=1 python3 -m codemem.training.lease.swe_qa --prose /tmp/s/prose --work /tmp/swe/$name --model "$base" \
            --adapter /tmp/r/$name.safetensors --system memory --device cuda --gpu "$GPU" \
            --part "$k" --parts "$EACH" --out /tmp/r/swe/$name 2> "/tmp/r/swe-$name-$k.txt" &
    done
    for k in 0 1 2; do
        turn
        OMP_NUM_THREADS=1 python3 -m codemem.training.lease.plain_questions --model "$base" \
            --adapter /tmp/r/$name.safetensors --device cuda --gpu "$GPU" \
            --repositories /tmp/s/evals/repositories --part $k --parts 3 --work /tmp/plain/$name-$k \
            --out /tmp/r/swe/plain-$name-$k.jsonl > /tmp/r/plain-$name-$k.txt 2>&1 &
    done
done
wait
date +%T
