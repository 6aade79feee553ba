#!/bin/sh
# The medium model explains, and asks and answers, on every GPU; then what retrieval finds for all records.
. training/lease/there.sh
await /tmp/r/site.done "/tmp/s/$(basename $MEDIUM).joined"
python3 - "$MEDIUM" <<'P'
import sys
from pathlib import Path
from codemem.model.weights import checkpoint_folder
Path("/tmp/s/medium").symlink_to(checkpoint_folder(Path(sys.argv[1]), cache=Path("/tmp/s/hf")))
P
echo "$(date +%T) dequantised"
await /tmp/s/course.tar.joined
gpu=0
while [ $gpu -lt "$GPUS" ]; do
    (
        export CUDA_VISIBLE_DEVICES=$gpu
        python3 -m codemem.training.dialogues --base /tmp/s/medium --data /tmp/s/course --part $gpu --parts "$GPUS" \
            --documents "${DIALOGUES:-12000}" --seconds "${DIALOGUE_SECONDS:-60}"
        python3 -m codemem.training.explain --base /tmp/s/medium --data /tmp/s/course --part $gpu --parts "$GPUS" --limit 600
    ) > /tmp/r/words-$gpu.log 2>&1 &
    gpu=$((gpu + 1))
done
wait
mkdir -p /tmp/r/words && cp /tmp/s/course/explained-*.zst /tmp/r/words/
touch /tmp/r/words.done
echo "$(date +%T) words"
python3 -m codemem.training.retrieved --data /tmp/s/course --processes 24
touch /tmp/r/retrieved.done
