#!/bin/sh
# The three seeds and their average beside the shipped file and both readers: finding, answers, prose; a GPU each at first.
. training/lease/there.sh
E=/tmp/s/evals
await /tmp/s/evals.tar.joined
CORES=$(($(nproc) / 4))
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
(memory 0 x0; small 0) &
(memory 1 x1; medium 1 bm25-chunks) &
(memory 2 x2; medium 2 fusion) &
(memory 3 avg; memory 3 shipped) &
wait
date +%T
touch /tmp/r/judged.done
timeout 150 sh training/lease/prose.sh > /tmp/r/prose.log 2>&1
touch /tmp/r/prose.done
bash /tmp/s/scale/scale.sh main /tmp/r/avg.safetensors 40
touch /tmp/r/scale.begun
