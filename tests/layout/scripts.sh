#!/bin/sh
# The scripts parse, and bootstrap keeps its promises where it may not install anything.
#
#   scripts.sh <project directory> <scratch directory>
set -eu
root=$1
scratch=$2
rm -rf "$scratch" && mkdir -p "$scratch/bin"
bad=0
fault() { echo "$*" && bad=1; }

shell="sh"
! command -v dash >/dev/null || shell=dash
for script in "$root"/scripts/* "$root"/tests/layout/*.sh "$root"/tests/compile_fail/*.sh; do
    $shell -n "$script" || fault "$script does not parse."
    ! command -v shellcheck >/dev/null || shellcheck --severity=warning "$script" || fault "shellcheck objects to $script."
done

bootstrap() {
    code=0
    line=$("$@" 2>"$scratch/said") || code=$?
}

# A machine with nothing but a shell's friends: no compiler, no apt-get, no sudo.
for tool in sh sed id env cat tr; do ln -s "$(command -v $tool)" "$scratch/bin/$tool"; done
bootstrap env -u CXX PATH="$scratch/bin" sh "$root/scripts/bootstrap" build test
[ $code -eq 3 ] || fault "bootstrap without apt-get exits with $code, not 3."
case $line in
*"apt-get install"*--no-remove*"g++ cmake ninja-build libfmt-dev libboost1.81-dev doctest-dev"*) ;;
*) fault "bootstrap without apt-get prints no line to paste: $line" ;;
esac
[ "$(printf '%s\n' "$line" | wc -l)" -eq 1 ] || fault "bootstrap prints more than one line to paste."

# With apt-get, but forbidden to use it.
printf '#!/bin/sh\necho used >"%s/used"\n' "$scratch" >"$scratch/bin/apt-get"
chmod +x "$scratch/bin/apt-get"
bootstrap env -u CXX CONCUR_NO_INSTALL=1 PATH="$scratch/bin" sh "$root/scripts/bootstrap" build
[ $code -eq 3 ] || fault "bootstrap with CONCUR_NO_INSTALL=1 exits with $code, not 3."
[ ! -e "$scratch/used" ] || fault 'bootstrap used apt-get in spite of CONCUR_NO_INSTALL=1.'

# Here nothing is missing, or these tests would not run; so apt-get must rest.
mkdir "$scratch/apt" && mv "$scratch/bin/apt-get" "$scratch/apt"
bootstrap env PATH="$scratch/apt:$PATH" "$root/scripts/bootstrap" build
said=$line$(cat "$scratch/said")
[ "$code$said" = 0 ] || fault "bootstrap with nothing missing exits with $code and says: $said"
[ ! -e "$scratch/used" ] || fault 'bootstrap used apt-get although nothing was missing.'

exit $bad
