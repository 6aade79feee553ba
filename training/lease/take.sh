#!/bin/sh
# On the lent machine, in each carrying call: puts what .work/call/NN brought where no later call takes it away.
mkdir -p /tmp/c /tmp/s /tmp/r
mv .work/call/*/* /tmp/c/
echo "$(ls /tmp/c | wc -l) files, $(du -sm /tmp/c | cut -f1) MB"
