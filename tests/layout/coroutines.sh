#!/bin/sh
# g++ 12 destroys some temporaries of a co_await expression twice: lambdas that capture by value, and
# what is made with braces (aggregates). What we show and test must not write them: pass arguments
# instead of captures, or write two statements.
#
#   coroutines.sh <file or directory>...
set -eu

# shellcheck disable=SC2046
LC_ALL=C awk '
FNR == 1 { inside = 0 }
{
    line = $0
    sub(/\/\/.*/, "", line)
    gsub(/"([^"\\]|\\.)*"/, "\"\"", line)
    while (line != "") {
        if (!inside) {
            if (!match(line, /(^|[^A-Za-z0-9_])co_await($|[^A-Za-z0-9_])/)) break
            line = substr(line, RSTART + RLENGTH)
            inside = 1
            start = FNR
            text = ""
        }
        end = index(line, ";")
        text = text " " (end ? substr(line, 1, end - 1) : line)
        if (!end) break
        line = substr(line, end + 1)
        inside = 0
        if (text ~ /(^|[^A-Za-z0-9_)\]])\[[^]]*[A-Za-z0-9_=][^]]*\][ ]*[({<]/) {
            print FILENAME ":" start ": a lambda with captures in a co_await expression; g++ 12 destroys it twice."
            faults++
        } else if (text ~ /[A-Za-z0-9_>]\{/) {
            print FILENAME ":" start ": a temporary made with braces in a co_await expression; g++ 12 may destroy it twice."
            faults++
        }
    }
}
END { if (faults) exit 1 }
' $(find "$@" -type f \( -name '*.hpp' -o -name '*.cpp' -o -name '*.md' \) | LC_ALL=C sort)
echo 'No co_await expression that g++ 12 miscompiles.'
