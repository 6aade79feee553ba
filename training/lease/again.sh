#!/bin/sh
# On a machine that did not train: one adapter x0 beside the shipped file and the small reader, all at once.
. training/lease/there.sh
. training/lease/asking.sh
await /tmp/r/site.done "/tmp/s/$(basename $SMALL).joined" /tmp/c/x0.safetensors /tmp/c/r.safetensors
cp /tmp/c/*.safetensors /tmp/r/
dequantised $SMALL
await /tmp/s/evals.tar.joined
ANSWER_SECONDS=150
(memory 0-9 10 0 x0) &
(memory 10-19 10 1 shipped) &
(await /tmp/s/minilm.tar.joined; answers 20-31 12 "0 1" r held-out --system bm25-chunks-tuned --system fusion-tuned \
    --reader /tmp/r/r.safetensors --adapter /tmp/r/shipped.safetensors) &
(finding 0 x0) &
wait
date +%T
touch /tmp/r/judged.done
await /tmp/r/prepared.done
timeout 140 sh training/lease/prose.sh > /tmp/r/prose.log 2>&1
touch /tmp/r/prose.done
