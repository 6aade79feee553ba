#!/bin/sh
# Puts together what was carried, in the order in which it is needed, each as soon as its parts are there.
. training/lease/there.sh
await /tmp/c/wheels.tar
tar xf /tmp/c/wheels.tar -C /tmp/s
python3 -m pip install -q --no-index --no-deps --no-compile --target /tmp/site /tmp/s/wheels/*.whl
touch /tmp/r/site.done
for name in "$@" $(cat training/lease/order.txt); do
    await "/tmp/c/$name.parts.json"
    until python3 -m codemem.training.carry join "$name" --folder /tmp/c --to /tmp/s 2> /tmp/r/join.err; do sleep 0.5; done
    touch "/tmp/s/$name.joined"
    echo "$(date +%T) $name"
done
mkdir -p /tmp/r/swe
tar xJf /tmp/s/evals/repositories.tar.xz -C /tmp/s/evals
tar xJf /tmp/s/evals/prose.tar.xz -C /tmp/s
mkdir -p /tmp/swe && OMP_NUM_THREADS=1 python3 /tmp/s/prose/swe.py --prepare --prose /tmp/s/prose \
    --work /tmp/swe/avg /tmp/swe/x0 /tmp/swe/x1 /tmp/swe/shipped && echo "$(date +%T) prose prepared"
bash /tmp/s/scale/scale.sh minilm
bash /tmp/s/scale/scale.sh dense 3
