#!/bin/sh
# The lower half on all GPUs together, from the shipped file or from LOWER_FROM, held to what the shipped one reads (training/holding.py); MEMORY are
# further settings of the memory. What comes out has the upper half that it began with: `low` for JOBS, and START for `train`.
. training/lease/there.sh
. training/lease/asking.sh
SHIPPED=/tmp/c/shipped.safetensors
FROM=${LOWER_FROM:-$SHIPPED}
export NCCL_NVLS_ENABLE=0 # NVLink multicast is not to be used on a lent machine
await /tmp/r/site.done "/tmp/s/$(basename $SMALL).joined" $SHIPPED "$FROM" /tmp/s/pairs.tar.joined
dequantised $SMALL
date +%T
rm -rf /tmp/s/low
python3 -m torch.distributed.run --nproc-per-node "$GPUS" -m codemem.training --base $SMALL --base-sha256 $SMALL_SHA --data /tmp/s/pairs \
    --out /tmp/s/low --layers 5,8,11 --find-layers 0 --from-adapter "$FROM" --hold-to $SHIPPED --memory "${MEMORY:-{\}}" \
    --recipe "$(recipe training/recipes/fifteenth.json "{\"seconds\": ${LOWER_SECONDS:-600}, \"seed\": ${LOWER_SEED:-0}}")" > /tmp/r/low.log 2>&1
cp /tmp/s/low/log.jsonl /tmp/r/low.jsonl
cp /tmp/s/low/codemem-adapter.safetensors /tmp/r/low.part && mv /tmp/r/low.part /tmp/r/low.safetensors # `train` waits for the name
touch /tmp/r/low.done
date +%T
[ ! -e /tmp/s/evals.tar.joined ] || finding $((GPUS - 1)) low # while the medium model writes, or the upper half loads
