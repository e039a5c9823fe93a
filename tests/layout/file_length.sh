#!/bin/sh
# A header that outgrows 500 lines should send a part of itself down a floor.
#
#   file_length.sh <directory>
set -eu
cd "$1"

find . -name '*.hpp' -exec wc -l {} \; | while read -r lines header; do
    [ "$lines" -le 500 ] || echo "${header#./} has $lines lines; the limit is 500."
done | { ! grep .; }
