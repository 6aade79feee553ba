# Sourced after there.sh: asks the sets of facts and hops, and how well an adapter finds.
E=/tmp/s/evals
mkdir -p /tmp/r/answers
answers() { # CORES PROCESSES GPUS NAME SPLIT ARGUMENTS...: answers lie in /tmp/r/answers/NAME-SPLIT
    cores=$1 processes=$2 gpus=$3 name=$4 split=$5; shift 5
    base=$SMALL word=""
    for next in "$@"; do [ "$word" != --adapter ] || base=$(base_of "$next"); word=$next; done
    # shellcheck disable=SC2086
    taskset -c "$cores" python3 -m codemem.evals.answers.spread ${SETS:-facts hops} --split "$split" \
        --repositories $E/repositories --out "/tmp/r/answers/$name-$split" --model "$base" --device cuda \
        --processes "$processes" --gpus $gpus --seconds "${ANSWER_SECONDS:-240}" "$@" > "/tmp/r/answers-$name-$split.txt" 2>&1
}
memory() { # CORES PROCESSES GPUS NAME
    for split in held-out dev; do answers "$1" "$2" "$3" "$4" $split --system memory --adapter "/tmp/r/$4.safetensors"; done
}
finding() { # GPU NAME
    base=$(base_of "/tmp/r/$2.safetensors")
    CUDA_VISIBLE_DEVICES=$1 python3 -m codemem.training.evaluate --base "$base" --adapter "/tmp/r/$2.safetensors" --pool $E/pool --out "/tmp/r/best-$2.npz" \
        > "/tmp/r/pool-$2.txt" 2>&1
    [ -d $E/worlds/carry ] || return 0
    CUDA_VISIBLE_DEVICES=$1 python3 -m codemem.training.carried.score --base "$base" --adapter "/tmp/r/$2.safetensors" \
        --worlds $E/worlds/carry --out "/tmp/r/worlds-$2" > "/tmp/r/worlds-$2.txt" 2>&1
}
functions() { # CORES GPU NAME: functions through the product, in 8 bits, by the memory and with the words of bodies; goes on beside what comes next
    (
        CUDA_VISIBLE_DEVICES=$2 taskset -c "$1" python3 -m codemem eval functions $E/pool --system words --system memory --system bm25 \
            --model "$(base_of "/tmp/r/$3.safetensors")" --adapter "/tmp/r/$3.safetensors" --device cuda --out "/tmp/r/functions-$3" > "/tmp/r/functions-$3.txt" 2>&1
        touch "/tmp/r/functions-$3.done"
    ) &
}
