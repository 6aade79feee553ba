#!/bin/sh
# What was trained, and both readers: finding, answers, prose, and growth beside them. Jobs are dealt to GPUs.
. training/lease/there.sh
. training/lease/asking.sh
await /tmp/s/evals.tar.joined
bash training/lease/scale.sh main /tmp/r/$BEST.safetensors 40
EACH=$(($(nproc) / GPUS))
small() { # CORES GPU
    answers "$1" 12 "$2" r held-out --system bm25-chunks-tuned --system fusion-tuned --reader /tmp/r/r.safetensors \
        --adapter /tmp/r/shipped.safetensors
}
medium() { # CORES GPU SYSTEM
    answers "$1" 9 "$2" "m-$3" held-out --system "$3-larger-tuned" --adapter /tmp/r/shipped.safetensors \
        --rival-model $MEDIUM --rival-reader /tmp/r/m.safetensors
}
seed() { # CORES GPU NAME
    memory "$1" 12 "$2" "$3"
    finding "$2" "$3"
}
work() { # GPU: every GPUS-th job
    number=0
    cores=$(($1 * EACH))-$(($1 * EACH + EACH - 1))
    for job in $(for n in $TRAINED; do echo "seed:$n"; done) small: medium:bm25-chunks; do
        [ $((number % GPUS)) -eq "$1" ] && ${job%%:*} "$cores" "$1" "${job#*:}"
        number=$((number + 1))
    done
}
for gpu in $(seq 0 $((GPUS - 1))); do (own=$gpu; work "$own"; touch "/tmp/r/judged-$own.done") & done
wait
date +%T
touch /tmp/r/judged.done
NAMES=$BEST timeout 150 sh training/lease/prose.sh > /tmp/r/prose.log 2>&1
touch /tmp/r/prose.done
medium "0-$(($(nproc) - 1))" "$(seq -s' ' 0 $((GPUS - 1)))" fusion
touch /tmp/r/all.done
