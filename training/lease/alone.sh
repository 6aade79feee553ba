#!/bin/sh
# `first.sh` on the last GPU as a stage: while parts are still being carried, before anything else is computed there.
. training/lease/there.sh
await /tmp/r/site.done
bash training/lease/first.sh $((GPUS - 1))
touch /tmp/r/alone.done
