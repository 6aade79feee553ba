#!/bin/sh
# On a machine that did not train: one adapter x0 beside the shipped file and the small reader, all at once.
. training/lease/there.sh
E=/tmp/s/evals
await /tmp/r/site.done "/tmp/s/$(basename $SMALL).joined" /tmp/c/x0.safetensors /tmp/c/r.safetensors
cp /tmp/c/*.safetensors /tmp/r/
python3 -c 'import sys; from pathlib import Path; from codemem.model.weights import checkpoint_folder; checkpoint_folder(Path(sys.argv[1]))' $SMALL
await /tmp/s/evals.tar.joined
mkdir -p /tmp/r/answers
answers() { # CORES PROCESSES GPUS NAME SPLIT ARGUMENTS...
    cores=$1 processes=$2 gpus=$3 name=$4 split=$5; shift 5
    # shellcheck disable=SC2086
    taskset -c "$cores" python3 -m codemem.evals.answers.spread facts hops --split "$split" \
        --repositories $E/repositories --out "/tmp/r/answers/$name-$split" --model $SMALL --device cuda \
        --processes "$processes" --gpus $gpus --seconds 150 "$@" > "/tmp/r/answers-$name-$split.txt" 2>&1
}
memory() { # CORES GPU NAME
    answers "$1" 10 "$2" "$3" held-out --system memory --adapter "/tmp/r/$3.safetensors"
    answers "$1" 10 "$2" "$3" dev --system memory --adapter "/tmp/r/$3.safetensors"
}
finding() { # GPU NAME
    export CUDA_VISIBLE_DEVICES=$1
    python3 -m codemem.training.carried.score --base $SMALL --adapter "/tmp/r/$2.safetensors" --worlds $E/worlds/carry \
        --out "/tmp/r/worlds-$2" > "/tmp/r/worlds-$2.txt" 2>&1
    python3 -m codemem.training.evaluate --base $SMALL --adapter "/tmp/r/$2.safetensors" --pool $E/pool > "/tmp/r/pool-$2.txt" 2>&1
}
(memory 0-9 0 x0) &
(memory 10-19 1 shipped) &
(await /tmp/s/minilm.tar.joined; answers 20-31 12 "0 1" r held-out --system bm25-chunks-tuned --system fusion-tuned \
    --reader /tmp/r/r.safetensors --adapter /tmp/r/shipped.safetensors) &
(finding 0 x0) &
wait
date +%T
touch /tmp/r/judged.done
await /tmp/r/prepared.done
timeout 140 sh training/lease/prose.sh > /tmp/r/prose.log 2>&1
touch /tmp/r/prose.done
