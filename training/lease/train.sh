#!/bin/sh
# Seeds of the course RECIPE over the shipped file or START (of those in APART some settings are CHANGED, and they are not averaged); on the last GPU the READERS of retrieved text, one after the other.
. training/lease/there.sh
RECIPE=${RECIPE:-training/recipes/seventh.json}
SHIPPED=/tmp/c/shipped.safetensors
START=${START:-$SHIPPED}
# shellcheck disable=SC2086
await /tmp/r/site.done "/tmp/s/$(basename $BASE).joined" $SHIPPED "$START" /tmp/r/words.done $TRAIN_AFTER
dequantised $BASE
mkdir -p /tmp/r && cp $SHIPPED /tmp/r/shipped.safetensors
case " $STAGES " in *" shipped "*) ;; *) touch /tmp/r/shipped.done ;; esac # for jobs that ask it; otherwise when all is asked
date +%T
LAYERS=$(python3 -c 'import sys; from pathlib import Path; from codemem.model.adapter import AdapterFile
m = AdapterFile(Path(sys.argv[1])).memory; print("--layers", ",".join(map(str, m.routed_layers)), "--find-layers", m.find_layers, *(["--memory", "{\"bidirectional\":true}"] if m.bidirectional else []))' "$START")
apart() { case " $APART " in *" $1 "*) ;; *) false ;; esac; } # SEED: whether it is trained as CHANGED says, and not averaged
course() { # GPU SEED; a smaller footprint if the first does not fit
    export CUDA_VISIBLE_DEVICES=$1
    if apart "$2"; then changed=$CHANGED; else changed="{}"; fi
    recipe "$RECIPE" "$changed" > "/tmp/r/x$2.recipe.json"
    for form in mlp layer; do
        rm -rf "/tmp/s/x$2"
        # shellcheck disable=SC2086
        python3 -m codemem.training --base $BASE --base-sha256 $BASE_SHA --data /tmp/s/course --out "/tmp/s/x$2" \
            $LAYERS --from-adapter "$START" \
            --recipe "$(recipe "/tmp/r/x$2.recipe.json" "{\"seconds\": ${COURSE_SECONDS:-690}, \"seed\": $2, \"recompute\": \"$form\"}")" \
            && break
    done > "/tmp/r/x$2.log" 2>&1
    cp "/tmp/s/x$2/codemem-adapter.safetensors" "/tmp/r/x$2.safetensors"
    cp "/tmp/s/x$2/log.jsonl" "/tmp/r/x$2.jsonl"
    touch "/tmp/r/x$2.done"
}
courses() { # GPU: its share of the seeds, one after the other
    number=0
    for seed in $SEEDS; do
        [ $((number % COURSES)) -eq "$1" ] && course "$1" "$seed"
        number=$((number + 1))
    done
}
reader() { # NAME BASE SHA SECONDS OPTIONS...
    name=$1 base=$2 sha=$3 seconds=$4; shift 4
    for form in mlp layer; do
        rm -rf "/tmp/s/$name"
        python3 -m codemem.training --base "$base" --base-sha256 "$sha" --data /tmp/s/course --out "/tmp/s/$name" "$@" \
            --recipe "$(recipe training/recipes/reader.json "{\"seconds\": $seconds, \"recompute\": \"$form\"}")" && break
    done > "/tmp/r/$name.log" 2>&1
    cp "/tmp/s/$name/codemem-adapter.safetensors" "/tmp/r/$name.safetensors"
    cp "/tmp/s/$name/log.jsonl" "/tmp/r/$name.jsonl"
    touch "/tmp/r/$name.done"
}
readers() { # GPU
    export CUDA_VISIBLE_DEVICES=$1
    for name in $READERS; do
        await /tmp/r/retrieved.done
        if [ "$name" = r ]; then
            # shellcheck disable=SC2086
            reader r $SMALL $SMALL_SHA "${READER_SECONDS:-280}" $LAYERS --from-adapter $SHIPPED
        else
            await "/tmp/s/$(basename $MEDIUM).joined"
            dequantised $MEDIUM
            reader m $MEDIUM $MEDIUM_SHA "${MEDIUM_SECONDS:-350}"
        fi
    done
}
[ "$COURSES" -eq "$GPUS" ] || (readers $((GPUS - 1)); [ -z "$TREND" ] || sh training/lease/trend.sh > /tmp/r/trend.log 2>&1; touch "/tmp/r/free-$((GPUS - 1)).done") &
trained=""
for gpu in $(seq 0 $((COURSES - 1))); do courses "$gpu" & trained="$trained $!"; done
# shellcheck disable=SC2086
wait $trained
if [ "$BEST" = avg ]; then
    # shellcheck disable=SC2046
    python3 -m codemem.training.average $(for s in $SEEDS; do apart "$s" || echo "/tmp/r/x$s.safetensors"; done) --out /tmp/r/avg.safetensors
    touch /tmp/r/avg.done
fi
[ "$GPUS" -gt 1 ] || readers 0
for gpu in $(seq 0 $((COURSES - 1))); do touch "/tmp/r/free-$gpu.done"; done
wait
touch /tmp/r/trained.done
