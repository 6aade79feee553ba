#!/bin/sh
# pack.sh NAME FILES...: what lies under /tmp/r, as a tar.xz in pieces that may come back.
name=$1; shift
cd /tmp/r && tar cf - "$@" 2> /tmp/pack.err | xz -T0 -2 | split -b 15M -d - "$OUT/$name.tar.xz."
ls -la "$OUT"; cat /tmp/pack.err
