#!/bin/bash
# The stage `first token` alone, on an idle GPU: bash training/lease/first.sh [GPU=0]; results in $R (/tmp/r/first)
set -u
R=${R:-/tmp/r/first}
mkdir -p "$R"
TREE=${TREE:-/tmp/tree}; [ -d "$TREE" ] || TREE=$(pwd); cd "$TREE" || exit 1
export PYTHONPATH=${SITE:-/tmp/site}:$TREE PYTHONDONTWRITEBYTECODE=1 CUDA_VISIBLE_DEVICES=${1:-0}
nvidia-smi --query-gpu=index,name,utilization.gpu,memory.used --format=csv > "$R/gpus.csv"
OUT=$R timeout -k 5 150 python3 -m codemem.benchmarks.gpu_session --only "first token" --gpus 1 --seconds 140 ${EXTRA:-}
python3 - "$R/gpu_session.json" <<'P' | tee "$R/first.txt"
import json, sys
stage = json.load(open(sys.argv[1]))["stages"]["first token"]
r = stage["result"] or {}
print("exit", stage["exit_code"], "ok", r.get("ok"), "machine", r.get("machine"), "seconds", stage["seconds"])
for name in ("first_tokens", "second_rounds", "written", "banks"):
    for row in r.get(name, ()):
        keep = {k: (round(v, 2) if isinstance(v, float) else v) for k, v in row.items()}
        print(name, json.dumps(keep))
print("recording", json.dumps(r.get("recording")), "left out", r.get("left_out"), "refused kernels", r.get("refused_kernels"))
if not r: print(stage["log"][-3000:], stage["text"])
P
