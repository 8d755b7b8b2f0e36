# SPDX-License-Identifier: BSD-2-Clause
# What the tests of partitions share; `load partition` in a .bats file.

project=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
image=$project/build/outrigger.elf
apps=$project/build/apps
debuggee=$project/build/bin/debuggee
class=/sys/class/outrigger

# up NAME CPUS MEMORY: a booted partition.
up() {
    outrigger create "$1" --cpus "$2" --memory "$3"
    outrigger boot "$1" --image "$image" --append test
}

# down NAME: gone, whatever its state.
down() {
    [ ! -d "$class/$1" ] || outrigger destroy --force "$1"
}

# same COMMAND...: the same output, errors among it, and the same status on both
# kernels; the co-kernel is partition p.
same() {
    local linux cokernel a=0 b=0
    linux=$(timeout 100 "$@" </dev/null 2>&1) || a=$?
    cokernel=$(timeout 200 outrigger run p -- "$@" </dev/null 2>&1) || b=$?
    diff <(echo "$linux") <(echo "$cokernel")
    echo "status $a on Linux, $b on the co-kernel"
    [ "$a" != 124 ] # it did not end
    [ "$a" = "$b" ]
}

attr() { cat "$class/$1/$2"; }

# eventually SECONDS COMMAND...: retries until it succeeds.
eventually() {
    local end=$((SECONDS + $1))
    shift
    until "$@"; do
        [ "$SECONDS" -lt "$end" ] || { echo "never came true: $*"; return 1; }
        sleep 0.1
    done
}

is() { [ "$1" = "$2" ]; }
state_is() { is "$(attr "$1" state)" "$2"; }
processes_are() { is "$(attr "$1" processes)" "$2"; }
contexts_are() { is "$(attr "$1" contexts)" "$2"; }
