#!/bin/sh
# What ships, asked everything, while the parts for training are still being carried.
. training/lease/there.sh
. training/lease/asking.sh
await /tmp/r/site.done "/tmp/s/$(basename $SMALL).joined" /tmp/c/shipped.safetensors /tmp/s/evals.tar.joined
cp /tmp/c/shipped.safetensors /tmp/r/
dequantised $SMALL
GPU=$((GPUS - 1))
memory "$(($(nproc) / 2))-$(($(nproc) - 1))" 14 "$GPU" shipped
date +%T
touch /tmp/r/shipped.done
