#!/bin/sh
# Nothing is trained: adapters that were carried (/tmp/c/NAME.safetensors) are there to be judged as soon as the base is, under
# further names too (ALSO="NAME=OTHER ...").
. training/lease/there.sh
await /tmp/r/site.done "/tmp/s/$(basename $SMALL).joined" /tmp/c/shipped.safetensors
dequantised $SMALL
for file in /tmp/c/*.safetensors; do cp "$file" /tmp/r/ && touch "/tmp/r/$(basename "$file" .safetensors).done"; done
for pair in $ALSO; do
    cp "/tmp/r/${pair%%=*}.safetensors" "/tmp/r/${pair##*=}.safetensors" && touch "/tmp/r/${pair##*=}.done"
done
for gpu in $(seq 0 $((GPUS - 1))); do touch "/tmp/r/free-$gpu.done"; done
date +%T
