#!/bin/sh
# Seeds of the course; on the last GPU both readers of retrieved text, one after the other.
. training/lease/there.sh
SECONDS_EACH=${COURSE_SECONDS:-690}
SHIPPED=/tmp/c/shipped.safetensors
await /tmp/r/site.done "/tmp/s/$(basename $SMALL).joined" $SHIPPED
python3 - $SHIPPED <<'P'
import sys
from pathlib import Path
from codemem.model.adapter import change_memory
from codemem.model.weights import checkpoint_folder
change_memory(Path(sys.argv[1]), Path("/tmp/s/start.safetensors"), routed_layers=(5, 8, 11), find_layers=0)
checkpoint_folder(Path("/tmp/s/qwen2.5-coder-0.5b-instruct-q4_k_m.gguf"))  # once, before several ask for it
checkpoint_folder(Path("/tmp/s/qwen2.5-coder-1.5b-instruct-q4_k_m.gguf"))
P
await /tmp/r/words.done
date +%T
recipe() { # FILE CHANGES
    python3 -c 'import json, sys; print(json.dumps({**json.load(open(sys.argv[1])), **json.loads(sys.argv[2])}))' "$1" "$2"
}
course() { # GPU, which is its seed; a smaller footprint if the first does not fit
    export CUDA_VISIBLE_DEVICES=$1
    for form in mlp layer; do
        rm -rf "/tmp/s/x$1"
        python3 -m codemem.training --base $SMALL --base-sha256 $SMALL_SHA --data /tmp/s/sixth --out "/tmp/s/x$1" \
            --layers 5,8,11 --find-layers 0 --from-adapter /tmp/s/start.safetensors \
            --recipe "$(recipe training/recipes/sixth.json "{\"seconds\": $SECONDS_EACH, \"seed\": $1, \"recompute\": \"$form\"}")" \
            && break
    done > "/tmp/r/x$1.log" 2>&1
    cp "/tmp/s/x$1/codemem-adapter.safetensors" "/tmp/r/x$1.safetensors"
    cp "/tmp/s/x$1/log.jsonl" "/tmp/r/x$1.jsonl"
    touch "/tmp/r/x$1.done"
}
readers() { # GPU
    export CUDA_VISIBLE_DEVICES=$1
    await /tmp/r/retrieved.done
    python3 -m codemem.training --base $SMALL --base-sha256 $SMALL_SHA --data /tmp/s/sixth --out /tmp/s/r \
        --from-adapter $SHIPPED --recipe "$(recipe training/recipes/reader.json '{"seconds": 280}')" > /tmp/r/r.log 2>&1
    cp /tmp/s/r/codemem-adapter.safetensors /tmp/r/r.safetensors
    python3 -m codemem.training --base $MEDIUM --base-sha256 $MEDIUM_SHA --data /tmp/s/sixth --out /tmp/s/m \
        --recipe "$(recipe training/recipes/reader.json '{"seconds": 350, "recompute": "layer"}')" > /tmp/r/m.log 2>&1
    cp /tmp/s/m/codemem-adapter.safetensors /tmp/r/m.safetensors
    touch /tmp/r/readers.done
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
