#!/bin/sh
# On the lent machine, in each carrying call: puts what .work/call/NN brought where no later call takes it away, and
# begins if nothing has.
mkdir -p /tmp/c /tmp/arriving /tmp/s /tmp/r
mv .work/call/*/* /tmp/arriving/ && mv /tmp/arriving/* /tmp/c/  # whole, or not there
[ -e /tmp/r/began ] || sh training/lease/begin.sh ${STAGES:-join words train growth}
echo "$(ls /tmp/c | wc -l) files, $(du -sm /tmp/c | cut -f1) MB, $(date +%T); $(tail -n 1 /tmp/r/join.log) $(tail -n 1 /tmp/r/words.log)"
