#!/bin/sh
# MiniLM's vectors for the run over a hundred million tokens, which depend on no model of ours, while others train.
. training/lease/there.sh
await /tmp/s/scale.tar.joined /tmp/s/minilm.tar.joined
bash training/lease/scale.sh dense $((GPUS - 1))
