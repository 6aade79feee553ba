#!/bin/sh
# SWE-QA's open questions and plain ones: the average, two seeds and the shipped file, a GPU each; needs prose/swe.py there.
. training/lease/there.sh
P=/tmp/s/prose
gpu=0
for name in avg x0 x1 shipped; do
    for k in 0 1 2 3 4 5 6 7 8 9 10 11; do
        OMP_NUM_THREADS=1 python3 $P/swe.py --prose $P --work /tmp/swe/$name --model $SMALL --adapter /tmp/r/$name.safetensors \
            --system memory --device cuda --gpu $gpu --part $k --parts 12 --out /tmp/r/swe/$name 2> /tmp/r/swe-$name-$k.txt &
    done
    for k in 0 1 2; do
        OMP_NUM_THREADS=1 python3 $P/plain.py --model $SMALL --adapter /tmp/r/$name.safetensors --device cuda --gpu $gpu \
            --repositories /tmp/s/evals/repositories --part $k --parts 3 --work /tmp/plain/$name-$k --out /tmp/r/swe/plain-$name-$k.jsonl \
            > /tmp/r/plain-$name-$k.txt 2>&1 &
    done
    gpu=$((gpu + 1))
done
wait
date +%T
