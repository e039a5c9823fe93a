#!/bin/sh
# Checks the law of the house: include/concur/README.md lists every header from the ground up; a
# header includes only headers listed above it, and executors never include each other.
#
#   floors.sh <include directory>
#
# The plan: lines "- `path.hpp` what it is" under headings "## Floor ...". The headers right in
# include/concur under a heading that says "executors" are the executors; each may keep rooms of its
# own in detail/<its name>/, and those belong to it.
set -eu
cd "$1"

plan=concur/README.md
[ -f "$plan" ] || { echo "There is no floor plan: $1/$plan is missing." && exit 1; }

# shellcheck disable=SC2046
LC_ALL=C awk -v plan="$plan" '
function fault(text) { print text; faults++ }

# The executor that a header belongs to, or nothing.
function owner(header,    parts) {
    if (header in executor) return executor[header]
    if (header !~ /^detail\//) return ""
    split(header, parts, "/")
    sub(/\.hpp$/, "", parts[2])
    return (parts[2] in named) ? parts[2] : ""
}

FILENAME == plan {
    if ($0 ~ /^#/) heading = tolower($0)
    if ($0 !~ /^- `[^`]+\.hpp`/) next
    split($0, quoted, "`")
    header = quoted[2]
    if (header in place) { fault(plan " lists " header " twice."); next }
    place[header] = ++count
    listed[count] = header
    if (heading ~ /executors/ && header !~ /\//) {
        name = header
        sub(/\.hpp$/, "", name)
        executor[header] = name
        named[name] = 1
    }
    next
}

FNR == 1 {
    self = FILENAME
    sub(/^concur\//, "", self)
    seen[self] = 1
    if (!(self in place)) fault(self " is not listed in " plan ".")
}

/^[ \t]*#[ \t]*include/ {
    line = $0
    sub(/^[ \t]*#[ \t]*include[ \t]*/, "", line)
    if (line ~ /^"/) { fault(self " includes " line " in quotes; write <concur/...>."); next }
    if (line !~ /^<concur\//) next
    other = substr(line, 9, index(line, ">") - 9)
    if (!(other in place)) {
        fault(self " includes " other ", which " plan " does not list.")
        next
    }
    if (!(self in place)) next
    if (other == self) { fault(self " includes itself."); next }
    if (place[other] > place[self]) {
        fault(self " includes " other ", which is listed below it in " plan ".")
    }
    if (owner(self) != "" && owner(other) != "" && owner(self) != owner(other)) {
        fault(self " includes " other ", but executors are strangers to each other.")
    }
}

END {
    for (i = 1; i <= count; i++) {
        if (!(listed[i] in seen)) fault(plan " lists " listed[i] ", which does not exist.")
    }
    if (count == 0) fault(plan " lists no header at all.")
    if (faults) exit 1
    print count " headers, each on its floor."
}
' "$plan" $(find concur -name '*.hpp' | LC_ALL=C sort)
