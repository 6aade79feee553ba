#!/bin/sh
# The lower half on all GPUs together, from the shipped file or from LOWER_FROM, held to what the shipped one reads (training/holding.py); another MODEL
# than the small one from its base, held to it, where LOWER_FROM names nothing. MEMORY are further settings of the memory. With LOWER_CHANGED each GPU trains one of its own (`low-0`, and with what is changed `low-1` ...), and `low` is their
# average. What comes out has the upper half that it began with: `low` for JOBS, and START for `train`.
. training/lease/there.sh
. training/lease/asking.sh
SHIPPED=/tmp/c/shipped.safetensors
FROM=$LOWER_FROM HOLD=$LOWER_FROM
[ "$BASE" != $SMALL ] || { FROM=${LOWER_FROM:-$SHIPPED} HOLD=$SHIPPED; }
export NCCL_NVLS_ENABLE=0 # NVLink multicast is not to be used on a lent machine
# shellcheck disable=SC2086
await /tmp/r/site.done "/tmp/s/$(basename $BASE).joined" $HOLD $FROM /tmp/s/pairs.tar.joined $LOWER_AFTER
dequantised $BASE
date +%T
lower() { # NAME CHANGES HOW...: HOW runs the module
    name=$1 changes=$2; shift 2
    rm -rf "/tmp/s/$name"
    "$@" -m codemem.training --base $BASE --base-sha256 $BASE_SHA --data /tmp/s/pairs \
        --out "/tmp/s/$name" --layers $ROUTED --find-layers 0 ${FROM:+--from-adapter "$FROM"} ${HOLD:+--hold-to "$HOLD"} --memory "${MEMORY:-{\}}" \
        --recipe "$(recipe "${LOWER_RECIPE:-training/recipes/fifteenth.json}" "$changes")" > "/tmp/r/$name.log" 2>&1
    cp "/tmp/s/$name/log.jsonl" "/tmp/r/$name.jsonl"
    cp "/tmp/s/$name/codemem-adapter.safetensors" "/tmp/r/$name.part" && mv "/tmp/r/$name.part" "/tmp/r/$name.safetensors" # `train` waits for the name
}
if [ -z "$LOWER_CHANGED" ]; then
    lower low "{\"seconds\": ${LOWER_SECONDS:-600}, \"seed\": ${LOWER_SEED:-0}}" python3 -m torch.distributed.run --nproc-per-node "$GPUS"
else
    files=""
    for gpu in $(seq 0 $((GPUS - 1))); do
        if [ "$gpu" = 0 ]; then echo '{}'; else echo "$LOWER_CHANGED"; fi > "/tmp/r/low-$gpu.changed.json"
        changes=$(recipe "/tmp/r/low-$gpu.changed.json" "{\"seconds\": ${LOWER_SECONDS:-600}, \"seed\": $((${LOWER_SEED:-0} + gpu))}")
        (export CUDA_VISIBLE_DEVICES=$gpu && lower "low-$gpu" "$changes" python3) &
        files="$files /tmp/r/low-$gpu.safetensors"
    done
    wait
    # shellcheck disable=SC2086
    python3 -m codemem.training.average $files --out /tmp/s/low-average.safetensors > /tmp/r/low.log 2>&1
    mv /tmp/s/low-average.safetensors /tmp/r/low.safetensors
fi
touch /tmp/r/low.done
date +%T
[ -e /tmp/s/evals.tar.joined ] || exit 0
[ -z "$FUNCTIONS" ] || functions "$FUNCTIONS" $((GPUS - 1)) low # on the cores that FUNCTIONS names
finding $((GPUS - 1)) low # while the medium model writes, or the upper half loads
[ -z "$LOWER_CHANGED" ] || for gpu in $(seq 0 $((GPUS - 1))); do finding "$gpu" "low-$gpu" & done
wait
