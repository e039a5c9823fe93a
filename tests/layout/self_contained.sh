#!/bin/sh
# Compiles every header alone, and once more as if included twice, with all warnings as errors.
#
#   self_contained.sh <include directory> <compiler> <warning>...
set -eu
include=$1
compiler=$2
shift 2

cd "$include"
bad=0
for header in $(find concur -name '*.hpp' | LC_ALL=C sort); do
    printf '#include <%s>\n#include <%s>\n' "$header" "$header" |
        "$compiler" -std=c++20 -fsyntax-only "$@" -I. -x c++ - ||
        { echo "$header does not compile by itself with $compiler." && bad=1; }
done
exit $bad
