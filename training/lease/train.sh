#!/bin/sh
# Seeds of the course RECIPE over the shipped file; on the last GPU both readers of retrieved text, one after the other.
. training/lease/there.sh
RECIPE=${RECIPE:-training/recipes/seventh.json}
SHIPPED=/tmp/c/shipped.safetensors
await /tmp/r/site.done "/tmp/s/$(basename $SMALL).joined" $SHIPPED /tmp/r/words.done
python3 - <<'P'
from pathlib import Path
from codemem.model.weights import checkpoint_folder
checkpoint_folder(Path("/tmp/s/qwen2.5-coder-0.5b-instruct-q4_k_m.gguf"))  # once, before several ask for it
checkpoint_folder(Path("/tmp/s/qwen2.5-coder-1.5b-instruct-q4_k_m.gguf"))
P
date +%T
recipe() { # FILE CHANGES
    python3 -c 'import json, sys; print(json.dumps({**json.load(open(sys.argv[1])), **json.loads(sys.argv[2])}))' "$1" "$2"
}
LAYERS=$(python3 -c 'import sys; from pathlib import Path; from codemem.model.adapter import AdapterFile
m = AdapterFile(Path(sys.argv[1])).memory; print("--layers", ",".join(map(str, m.routed_layers)), "--find-layers", m.find_layers)' $SHIPPED)
course() { # GPU, which is its seed; a smaller footprint if the first does not fit
    export CUDA_VISIBLE_DEVICES=$1
    for form in mlp layer; do
        rm -rf "/tmp/s/x$1"
        # shellcheck disable=SC2086
        python3 -m codemem.training --base $SMALL --base-sha256 $SMALL_SHA --data /tmp/s/course --out "/tmp/s/x$1" \
            $LAYERS --from-adapter $SHIPPED \
            --recipe "$(recipe "$RECIPE" "{\"seconds\": ${COURSE_SECONDS:-690}, \"seed\": $1, \"recompute\": \"$form\"}")" \
            && break
    done > "/tmp/r/x$1.log" 2>&1
    cp "/tmp/s/x$1/codemem-adapter.safetensors" "/tmp/r/x$1.safetensors"
    cp "/tmp/s/x$1/log.jsonl" "/tmp/r/x$1.jsonl"
    touch "/tmp/r/x$1.done"
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
    await /tmp/r/retrieved.done
    # shellcheck disable=SC2086
    reader r $SMALL $SMALL_SHA "${READER_SECONDS:-280}" $LAYERS --from-adapter $SHIPPED
    reader m $MEDIUM $MEDIUM_SHA "${MEDIUM_SECONDS:-350}"
}
for seed in $SEEDS; do course "$seed" & done
readers $((GPUS - 1)) &
wait
if [ "$BEST" = avg ]; then
    # shellcheck disable=SC2046
    python3 -m codemem.training.average $(for s in $SEEDS; do echo "/tmp/r/x$s.safetensors"; done) --out /tmp/r/avg.safetensors
fi
touch /tmp/r/trained.done
sh training/lease/judge.sh > /tmp/r/judge.log 2>&1
