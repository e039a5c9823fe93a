#!/bin/sh
# Every memory order weaker than seq_cst must name its protocol: a comment with [name], on the same
# line or at most three lines above. A bare relaxed cannot be reviewed.
#
#   orders.sh <directory>
set -eu
cd "$1"

find . -name '*.hpp' | LC_ALL=C sort | while read -r header; do
    LC_ALL=C awk -v header="${header#./}" '
    {
        comment = code = $0
        if (!sub(/^.*\/\//, "", comment)) comment = ""
        sub(/\/\/.*/, "", code)
        if (comment ~ /\[[a-z][a-z0-9_ -]*\]/) tagged = FNR
        if (code ~ /memory_order(_|::)(relaxed|consume|acquire|release|acq_rel)/ &&
            (!tagged || FNR - tagged > 3)) {
            printf "%s:%d uses a weak memory order without naming its protocol: // [name]\n", header, FNR
        }
    }' "$header"
done | { ! grep .; }
