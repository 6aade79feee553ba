#!/bin/sh
# Loading the largest memory that the disk holds, or LOAD_TOKENS, before anything else needs the last GPU.
. training/lease/there.sh
await /tmp/r/site.done
df -h /tmp | tail -n 1
mkdir -p /tmp/loading
CUDA_VISIBLE_DEVICES=$((GPUS - 1)) python3 -m codemem.benchmarks.stage load \
    "{\"device\": \"cuda\", \"shape\": \"4b\", \"folder\": \"/tmp/loading\", \"tokens\": ${LOAD_TOKENS:-null}}" > /tmp/r/load.json
date +%T
touch /tmp/r/load.done
