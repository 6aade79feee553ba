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
