#!/bin/sh
# What ships, asked everything, while the parts for training are still being carried.
. training/lease/there.sh
. training/lease/asking.sh
await /tmp/r/site.done "/tmp/s/$(basename $SMALL).joined" /tmp/c/shipped.safetensors /tmp/s/evals.tar.joined
cp /tmp/c/shipped.safetensors /tmp/r/
dequantised $SMALL
GPU=$((GPUS - 1))
for split in ${SHIPPED_SPLITS:-held-out dev}; do
    answers "${SHIPPED_CORES:-$(($(nproc) / 2))-$(($(nproc) - 1))}" 14 "$GPU" shipped "$split" --system memory --adapter /tmp/r/shipped.safetensors
done
date +%T
touch /tmp/r/shipped.done
