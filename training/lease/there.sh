# Sourced: where things are on the lent machine (any number of GPUs), and waiting for them.
TREE=${TREE:-/tmp/tree}
export PYTHONPATH=/tmp/site:$TREE HOME=/tmp/home CODEMEM_HOME=/tmp/home/codemem TOKENIZERS_PARALLELISM=true
mkdir -p $HOME
SMALL=/tmp/s/qwen2.5-coder-0.5b-instruct-q4_k_m.gguf
MEDIUM=/tmp/s/qwen2.5-coder-1.5b-instruct-q4_k_m.gguf
SMALL_SHA=1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32
MEDIUM_SHA=cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046
# The model that `lower` and `train` train (MODEL), and the layers that it routes at, as deep in 28 as in 24.
case ${MODEL:-small} in
medium) BASE=$MEDIUM BASE_SHA=$MEDIUM_SHA ROUTED=6,9,13 ;;
*) BASE=$SMALL BASE_SHA=$SMALL_SHA ROUTED=5,8,11 ;;
esac
base_of() { # ADAPTER: the base that its first bytes name
    if head -c 1000 "$1" | grep -a -q $MEDIUM_SHA; then echo $MEDIUM; else echo $SMALL; fi
}
cd $TREE || exit 1
await() { for file in "$@"; do while [ ! -e "$file" ]; do sleep 0.5; done; done; }
dequantised() { # FILE: once, whoever asks for it first
    flock /tmp/dequantised.lock python3 -c \
        'import sys; from pathlib import Path; from codemem.model.weights import checkpoint_folder; checkpoint_folder(Path(sys.argv[1]))' "$1"
}
recipe() { # FILE CHANGES
    python3 -c 'import json, sys; print(json.dumps({**json.load(open(sys.argv[1])), **json.loads(sys.argv[2])}))' "$1" "$2"
}
GPUS=$(nvidia-smi -L | wc -l)
READERS=${READERS-r m}
# Seeds of the course on all GPUs but the last, which trains the readers and TREND if there are any (a single GPU does
# courses and readers, one after the other); several are averaged.
COURSES=$((GPUS > 1 && ${#READERS} + ${#TREND} > 0 ? GPUS - 1 : GPUS))
SEEDS=${SEEDS:-$(seq 0 $((COURSES - 1)))}
TRAINED=$(for s in $SEEDS; do echo "x$s"; done)
if [ "$(echo $SEEDS | wc -w)" -gt 1 ]; then BEST=avg; else BEST=x0; fi
NAMES=${NAMES:-$BEST shipped}
