#!/bin/sh
# What was trained beside the shipped file and both readers: finding, answers, prose, then growth. Jobs are dealt to GPUs.
. training/lease/there.sh
E=/tmp/s/evals
await /tmp/s/evals.tar.joined
CORES=$(($(nproc) / GPUS))
cp /tmp/c/shipped.safetensors /tmp/r/shipped.safetensors
finding() { # NAME
    python3 -m codemem.training.evaluate --base $SMALL --adapter "/tmp/r/$1.safetensors" --pool $E/pool > "/tmp/r/pool-$1.txt" 2>&1
    python3 -m codemem.training.carried.score --base $SMALL --adapter "/tmp/r/$1.safetensors" --worlds $E/worlds/carry \
        --out "/tmp/r/worlds-$1" > "/tmp/r/worlds-$1.txt" 2>&1
}
answers() { # GPU NAME SPLIT ARGUMENTS...
    gpu=$1 name=$2 split=$3; shift 3
    taskset -c $((gpu * CORES))-$((gpu * CORES + CORES - 1)) python3 -m codemem.evals.answers.spread facts hops \
        --split "$split" --repositories $E/repositories --out "/tmp/r/answers/$name-$split" --model $SMALL --device cuda \
        --processes 15 --gpus "$gpu" --seconds 240 "$@" > "/tmp/r/answers-$name-$split.txt" 2>&1
}
memory() { # GPU NAME
    (export CUDA_VISIBLE_DEVICES="$1"; finding "$2") &
    answers "$1" "$2" held-out --system memory --adapter "/tmp/r/$2.safetensors"
    answers "$1" "$2" dev --system memory --adapter "/tmp/r/$2.safetensors"
    wait
}
small() { answers "$1" r held-out --system bm25-chunks-tuned --system fusion-tuned --reader /tmp/r/r.safetensors \
    --adapter /tmp/r/shipped.safetensors; }
medium() { # GPU SYSTEM
    answers "$1" "m-$2" held-out --system "$2-larger-tuned" --adapter /tmp/r/shipped.safetensors \
        --rival-model $MEDIUM --rival-reader /tmp/r/m.safetensors
}
mkdir -p /tmp/r/answers
work() { # GPU: every GPUS-th job
    number=0
    for job in $(for n in $NAMES; do echo "memory:$n"; done) small: medium:bm25-chunks medium:fusion; do
        [ $((number % GPUS)) -eq "$1" ] && ${job%%:*} "$1" "${job#*:}"
        number=$((number + 1))
    done
}
for gpu in $(seq 0 $((GPUS - 1))); do (own=$gpu; work "$own") & done
wait
date +%T
touch /tmp/r/judged.done
timeout 150 sh training/lease/prose.sh > /tmp/r/prose.log 2>&1
touch /tmp/r/prose.done
bash training/lease/scale.sh main /tmp/r/$BEST.safetensors 40
touch /tmp/r/scale.begun
