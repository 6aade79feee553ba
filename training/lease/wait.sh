#!/bin/sh
# wait.sh SECONDS FILE...: until all files are there, at most so long; then what the logs say last.
end=$(($(date +%s) + $1)); shift
for file in "$@"; do
    while [ ! -e "$file" ] && [ "$(date +%s)" -lt "$end" ]; do sleep 1; done
    [ -e "$file" ] && echo "there: $file" || echo "MISSING: $file"
done
date +%T
nvidia-smi --query-gpu=index,name,memory.used,utilization.gpu --format=csv,noheader
for log in /tmp/r/*.log; do echo "== $log"; tail -n 2 "$log" | cut -c1-300; done
