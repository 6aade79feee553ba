#!/bin/sh
# Instead of `words`, where the medium model's questions and explanations lie in the course that was carried: what retrieval
# finds for all records, if a reader is trained: carried as RETRIEVED, or looked for here.
. training/lease/there.sh
await /tmp/r/site.done /tmp/s/course.tar.joined
touch /tmp/r/words.done
[ -n "$READERS" ] || exit 0
# shellcheck disable=SC2086
await $READ_AFTER $RETRIEVED
if [ -n "$RETRIEVED" ]; then
    cp "$RETRIEVED" /tmp/s/course/ && touch /tmp/r/retrieved.done
    exit
fi
nice -n 19 python3 -m codemem.training.retrieved --data /tmp/s/course --processes $(($(nproc) * 3 / 4))
touch /tmp/r/retrieved.done
