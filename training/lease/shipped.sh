#!/bin/sh
# What ships, asked everything, while the parts for training are still being carried.
. training/lease/there.sh
. training/lease/asking.sh
await /tmp/r/site.done "/tmp/s/$(basename $SMALL).joined" /tmp/c/shipped.safetensors /tmp/s/evals.tar.joined
cp /tmp/c/shipped.safetensors /tmp/r/
python3 -c 'import sys; from pathlib import Path; from codemem.model.weights import checkpoint_folder; checkpoint_folder(Path(sys.argv[1]))' $SMALL
GPU=$((GPUS - 1))
memory "$(($(nproc) / 2))-$(($(nproc) - 1))" 14 "$GPU" shipped
await /tmp/r/prepared.done
NAMES=shipped ON=$GPU EACH=8 timeout 150 sh training/lease/prose.sh > /tmp/r/prose-shipped.log 2>&1
date +%T
touch /tmp/r/shipped.done
