#!/bin/sh
# Runs an example and compares what it prints with the comment that ends its source:
#
#     // Output:
#     // 4 workers, ~ ms
#
# A ~ stands for one or more characters that are not blanks: a time, a number, a path. An example
# without such a comment need only exit with 0.
#
#   output.sh <source> <program> [argument...]
set -eu
source=$1
shift

# The examples show what they show with any number of CPUs, but not with a bar in between.
printed=$(CONCUR_PROGRESS=0 "$@") || { echo "$1 exited with $?." && exit 1; }
grep -q '^// Output:$' "$source" || exit 0

printf '%s\n' "$printed" | LC_ALL=C awk -v source="$source" '
NR == FNR {
    if (inside && !/^\/\//) inside = wanted = 0
    if (inside) { sub(/^\/\/ ?/, ""); sub(/[ \t\r]+$/, ""); want[++wanted] = $0 }
    if ($0 == "// Output:") { inside = 1; wanted = 0 }
    next
}
{
    sub(/[ \t\r]+$/, "")
    got++
    pattern = want[got]
    gsub(/[][\\.^$*+?(){}|]/, "\\\\&", pattern)
    gsub(/~/, "[^ \t]+", pattern)
    if (got > wanted || $0 !~ ("^" pattern "$")) {
        printf "%s, line %d of its output\n  should be: %s\n  is:        %s\n", source, got,
            (got > wanted ? "(nothing more)" : want[got]), $0
        exit failed = 1
    }
}
END {
    if (!failed && got < wanted) {
        printf "%s: its output ends before: %s\n", source, want[got + 1]
        failed = 1
    }
    exit failed
}' "$source" -
