#!/bin/sh
# begin.sh STAGE...: starts them, detached: each part waits for the files that it needs, so the calls that carry may go on meanwhile.
# Stages log to /tmp/r/*.log and say that they have ended by /tmp/r/NAME.done.
TREE=/tmp/tree
rm -rf $TREE && mkdir -p $TREE /tmp/r /tmp/s && tar cf - --exclude=.work --exclude=.git . | tar xf - -C $TREE
date +%s > /tmp/r/began
cd $TREE
for stage in "$@"; do
    setsid sh training/lease/$stage.sh > /tmp/r/$stage.log 2>&1 < /dev/null &
done
echo started
