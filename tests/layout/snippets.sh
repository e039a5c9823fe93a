#!/bin/sh
# Every ```cpp block of README.md and docs/ must stand, line by line, in a file under examples/ or
# tests/: what we show has been compiled. Indentation does not count.
#
#   snippets.sh <project directory>
set -eu
cd "$1"

pages=$(find README.md docs -name '*.md' 2>/dev/null | LC_ALL=C sort)
[ -n "$pages" ] || exit 0
sources=$(find examples tests -name '*.cpp' -o -name '*.hpp' -o -name '*.txt' 2>/dev/null | LC_ALL=C sort)

# shellcheck disable=SC2086
LC_ALL=C awk '
function trimmed(line) { gsub(/^[ \t]+|[ \t\r]+$/, "", line); return line }

FILENAME ~ /\.md$/ {
    if (inside && /^[ \t]*```/) {
        inside = 0
        block[++blocks] = text
        where[blocks] = FILENAME ":" start
    } else if (inside) {
        text = text trimmed($0) "\n"
    } else if (/^[ \t]*```(cpp|c\+\+)/) {
        inside = 1
        start = FNR
        text = "\n"
    }
    next
}

FNR == 1 { file++ ; content[file] = "\n" }
{ content[file] = content[file] trimmed($0) "\n" }

END {
    for (b = 1; b <= blocks; b++) {
        found = 0
        for (f = 1; f <= file && !found; f++) found = index(content[f], block[b])
        if (!found) {
            print where[b] " shows code that no file under examples/ or tests/ contains."
            faults++
        }
    }
    if (faults) exit 1
    print blocks + 0 " snippets, all of them compiled somewhere."
}' $pages $sources
