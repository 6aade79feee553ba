#!/bin/sh
# Small and medium learn to find from the same questions in as many steps, each from its base alone: what three times the size
# is worth. On the last GPU, once its readers are trained; the medium one first, since that is the longer.
. training/lease/there.sh
GPU=$((GPUS - 1))
await /tmp/s/trend.tar.joined /tmp/s/evals.tar.joined "/tmp/s/$(basename $MEDIUM).joined"
export CUDA_VISIBLE_DEVICES=$GPU
grown() { # NAME BASE SHA LAYERS
    dequantised "$2"
    for form in mlp layer; do
        rm -rf "/tmp/s/$1"
        python3 -m codemem.training --base "$2" --base-sha256 "$3" --data /tmp/s/trend --out "/tmp/s/$1" --layers "$4" --find-layers 0 \
            --recipe "$(recipe training/recipes/trend.json "{\"recompute\": \"$form\"}")" && break
    done > "/tmp/r/$1.log" 2>&1
    cp "/tmp/s/$1/log.jsonl" "/tmp/r/$1.jsonl"
    python3 -m codemem.training.evaluate --base "$2" --adapter "/tmp/s/$1/codemem-adapter.safetensors" --pool /tmp/s/evals/pool > "/tmp/r/pool-$1.txt" 2>&1
    touch "/tmp/r/$1.done"
}
# As deep in 28 layers as 5, 8 and 11 are in 24.
grown trend-medium $MEDIUM $MEDIUM_SHA 6,9,13
grown trend-small $SMALL $SMALL_SHA 5,8,11
