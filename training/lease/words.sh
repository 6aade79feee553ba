#!/bin/sh
# The medium model explains, asks and answers, and asks what single statements answer (POINTED documents, if any), in WRITERS processes on every GPU (or those in WRITE_ON); then what
# retrieval finds for all records. With WRITE_INTO, a folder of its own, it writes for a later course and nothing waits for it.
. training/lease/there.sh
await /tmp/r/site.done "/tmp/s/$(basename $MEDIUM).joined"
dequantised $MEDIUM
python3 - "$MEDIUM" <<'P'
import sys
from pathlib import Path
from codemem.model.weights import checkpoint_folder
Path("/tmp/s/medium").symlink_to(checkpoint_folder(Path(sys.argv[1])))
P
echo "$(date +%T) dequantised"
# shellcheck disable=SC2086
await /tmp/s/course.tar.joined $WORDS_AFTER
INTO=${WRITE_INTO:-/tmp/s/course}
[ -z "$WRITE_INTO" ] || { mkdir -p "$INTO" && ln -s /tmp/s/course/documents.jsonl.zst /tmp/s/course/how.jsonl.zst "$INTO/"; }
ON=${WRITE_ON:-$(seq 0 $((GPUS - 1)))}
PARTS=$(($(echo $ON | wc -w) * ${WRITERS:-1}))
part=0
for gpu in $ON; do
    for _ in $(seq 1 "${WRITERS:-1}"); do
        (
            export CUDA_VISIBLE_DEVICES=$gpu
            [ "${DIALOGUES:-12000}" = 0 ] || python3 -m codemem.training.dialogues --base /tmp/s/medium --data "$INTO" --part $part --parts "$PARTS" \
                --documents "${DIALOGUES:-12000}" --seconds "${DIALOGUE_SECONDS:-60}" --seed "${WORDS_SEED:-5}"
            [ -z "$POINTED" ] || python3 -m codemem.training.pointed --base /tmp/s/medium --data "$INTO" --part $part --parts "$PARTS" \
                --documents "$POINTED" --seconds "${POINTED_SECONDS:-60}" --seed "$((${WORDS_SEED:-5} + 100))"
            [ "${EXPLAINED:-600}" = 0 ] || python3 -m codemem.training.explain --base /tmp/s/medium --data "$INTO" --part $part --parts "$PARTS" \
                --limit "${EXPLAINED:-600}"
        ) > "/tmp/r/words-$part.log" 2>&1 &
        part=$((part + 1))
    done
done
wait
mkdir -p /tmp/r/words && cp "$INTO"/explained-*.zst /tmp/r/words/
echo "$(date +%T) words"
touch /tmp/r/written.done
[ -z "$WRITE_INTO" ] || exit 0
touch /tmp/r/words.done
[ -n "$READERS" ] || exit 0
python3 -m codemem.training.retrieved --data /tmp/s/course --processes 24
touch /tmp/r/retrieved.done
