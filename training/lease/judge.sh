#!/bin/sh
# What was trained, and both readers, from the moment when they are there: each GPU that training has left takes the first
# job whose adapter is ready. First what decides: the medium model's reader, then the best adapter, then all others; or
# JOBS, one in a line.
. training/lease/there.sh
. training/lease/asking.sh
await /tmp/s/evals.tar.joined
mkdir -p /tmp/r/claimed
EACH=$(($(nproc) / GPUS))
ASKERS=${ASKERS:-12} # processes of a job; a larger model wants fewer
small() { # CORES GPU NAME
    # shellcheck disable=SC2086
    answers "$1" "$ASKERS" "$2" "$3" held-out ${SMALL_SYSTEMS:---system bm25-chunks-tuned --system fusion-tuned} \
        --reader "/tmp/r/$3.safetensors" --adapter /tmp/r/shipped.safetensors
}
medium() { # CORES GPU NAME SYSTEM: what is bolted on
    answers "$1" 10 "$2" "$3-$4" held-out --system "$4-larger-tuned" --adapter /tmp/r/shipped.safetensors \
        --rival-model $MEDIUM --rival-reader "/tmp/r/$3.safetensors"
}
asked() { memory "$1" "$ASKERS" "$2" "$3"; } # CORES GPU NAME
both() { # CORES GPU NAME: everything, and how well it finds
    asked "$@"
    finding "$2" "$3"
}
held() { # CORES GPU NAME [SYSTEM]
    system=${4:-memory}
    [ "$system" = memory ] && out=$3 || out=$3-$system
    answers "$1" "$ASKERS" "$2" "$out" held-out --system "$system" --adapter "/tmp/r/$3.safetensors"
}
dev() { answers "$1" "$ASKERS" "$2" "$3" dev --system memory --adapter "/tmp/r/$3.safetensors"; } # CORES GPU NAME
practice() { answers "$1" "$ASKERS" "$2" "$3" practice --system memory --adapter "/tmp/r/$3.safetensors"; } # CORES GPU NAME
told() { # CORES GPU NAME: the same adapter not told where names stand, and told it of what BM25 ranks first
    answers "$1" "$ASKERS" "$2" "$3-told" held-out --system memory-references-off --system bm25-chunks-references \
        --adapter "/tmp/r/$3.safetensors"
}
recent() { # CORES GPU NAME: packages from after the base's time, beside BM25
    answers "$1" "$ASKERS" "$2" "$3" recent ${RECENT_SYSTEMS:---system memory --system bm25-chunks --system closed-book} --adapter "/tmp/r/$3.safetensors"
}
before() { # CORES GPU NAME JOB...: a job by the tree of another day (before.tar.xz: a folder `before`)
    cores=$1 on=$2 name=$3 other=$4; shift 4
    flock /tmp/before.lock sh -c '[ -d /tmp/before ] || tar xJf /tmp/c/before.tar.xz -C /tmp'
    (cd /tmp/before && export TREE=/tmp/before PYTHONPATH=/tmp/site:/tmp/before && "$other" "$cores" "$on" "$name" "$@")
}
premises() { # CORES GPU NAME: what is not so, with and without what is known of it before the model is asked
    for split in held-out recent; do
        SETS=premises answers "$1" "$ASKERS" "$2" "$3-premises" $split --system memory --system memory-premises-off --adapter "/tmp/r/$3.safetensors"
    done
}
stated() { # CORES GPU NAME: plain questions that one statement answers; STATED: the sets that were written in this lease are awaited
    [ -z "$STATED" ] || { await /tmp/r/sets.done && cp /tmp/r/sets/*.json evals/answers/sets/; }
    for split in practice dev held-out recent; do
        SETS=statements answers "$1" "$ASKERS" "$2" "$3-stated" $split --system memory --adapter "/tmp/r/$3.safetensors"
    done
}
tongues() { # CORES GPU NAME TONGUES...: dev in other tongues
    tongues_cores=$1 tongues_on=$2 tongues_name=$3; shift 3 # `answers` has names of its own
    for tongue in "$@"; do
        answers "$tongues_cores" "$ASKERS" "$tongues_on" "$tongues_name-$tongue" dev --system memory --tongue "$tongue" \
            --adapter "/tmp/r/$tongues_name.safetensors"
    done
}
growth() { # CORES GPU NAME: answers while the memory grows; goes on beside the next jobs, in a folder of its own but for the best
    (
        [ "$3" = "$BEST" ] || export R="/tmp/r/scale-$3" WORK="/tmp/s/scale-work-$3"
        bash training/lease/scale.sh main "/tmp/r/$3.safetensors" "${GROWTH_ANSWERS:-40}"
    )
}
grown() { # CORES GPU NAME: the product's own answers while a repository grows, a process a world; goes on beside the next jobs
    (
        ANSWER_SECONDS=${GROWN_SECONDS:-400} answers "$1" 5 "$(seq -s ' ' 0 $((GPUS - 1)))" "$3-grown" held-out --system memory \
            --adapter "/tmp/r/$3.safetensors" $(for size in ${GROWN:-16000 250000 1000000}; do echo "--tokens $size"; done)
        touch "/tmp/r/$3-grown.done"
    ) &
}
prose() { NAMES=$3 ON=$2 EACH=${PROSE_EACH:-$((EACH - 4))} timeout "${PROSE_SECONDS:-150}" sh training/lease/prose.sh > "/tmp/r/prose-$3.log" 2>&1; } # CORES GPU NAME
reads() { case " $READERS " in *" $1 "*) ;; *) false ;; esac; } # NAME: whether that reader is trained
jobs() { # each: what does it, of which adapter, and what else that wants to know
    [ -z "$JOBS" ] || { echo "$JOBS"; return; }
    ! reads m || echo "medium m bm25-chunks"
    [ -z "$GROWTH" ] || echo "growth $BEST"
    echo "both $BEST"
    ! reads r || echo "small r"
    for name in $TRAINED; do [ "$name" = "$BEST" ] || echo "held $name"; done
    echo "prose $BEST"
    echo "prose shipped"
    ! reads m || echo "medium m fusion"
}
work() { # GPU CORES
    cores=$2
    await "/tmp/r/free-$1.done"
    left=1
    while [ $left -gt 0 ]; do
        left=0 number=0
        while read -r job name rest; do
            number=$((number + 1))
            [ -d "/tmp/r/claimed/$number" ] && continue
            left=1
            if [ -e "/tmp/r/$name.done" ] && mkdir "/tmp/r/claimed/$number" 2> /tmp/r/claim.err; then
                echo "$(date +%T) GPU $1: $job $name $rest"
                # shellcheck disable=SC2086
                $job "$cores" "$1" "$name" $rest < /dev/null
                break
            fi
        done < /tmp/r/jobs.txt
        sleep 0.5
    done
}
jobs > /tmp/r/jobs.txt
for gpu in $(seq 0 $((GPUS - 1))); do # WORKERS: jobs of one GPU at once
    for _ in $(seq 1 "${WORKERS:-1}"); do work "$gpu" "$((gpu * EACH))-$((gpu * EACH + EACH - 1))" & done
done
# While the last GPU still trains, which takes few cores, the first is asked by twice as many processes.
[ "$COURSES" -eq "$GPUS" ] || work 0 "$(((GPUS - 1) * EACH + 4))-$((GPUS * EACH - 1))" &
wait
date +%T
touch /tmp/r/judged.done
