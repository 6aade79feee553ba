#!/bin/sh
# MiniLM's vectors for the run over a hundred million tokens, which depend on no model of ours, while others train;
# after the file GROWTH_AFTER, if that is given.
. training/lease/there.sh
# shellcheck disable=SC2086
await /tmp/s/scale.tar.joined /tmp/s/minilm.tar.joined $GROWTH_AFTER
[ -e /tmp/r/scale/dense.begun ] || bash training/lease/scale.sh dense $((GPUS - 1))
