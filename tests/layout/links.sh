#!/bin/sh
# Relative links in our Markdown files must lead to something.
#
#   links.sh <project directory>
set -eu
cd "$1"

find . -name '*.md' -not -path './build/*' -not -path './.git/*' | LC_ALL=C sort | while read -r page; do
    LC_ALL=C awk '
    /^[ \t]*```/ { fenced = !fenced }
    fenced { next }
    {
        gsub(/`[^`]*`/, "")
        while (match($0, /\]\([^)# ]+[^)]*\)/)) {
            link = substr($0, RSTART + 2, RLENGTH - 3)
            $0 = substr($0, RSTART + RLENGTH)
            sub(/[ #].*/, "", link)
            if (link !~ /^[a-z]+:/) print FNR, link
        }
    }' "$page" | while read -r line link; do
        [ -e "$(dirname "$page")/$link" ] || echo "${page#./}:$line links to $link, which does not exist."
    done
done | { ! grep .; }
