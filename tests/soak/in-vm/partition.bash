# SPDX-License-Identifier: BSD-2-Clause
# What soak tests of one partition `p` share; sourced, under `set -e`.
project=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd)
apps=$project/build/apps
p=/sys/class/outrigger/p

fail() { echo "$(basename "$0"): $*"; outrigger log p | tail -n 40; exit 1; }

# up CPUS MEMORY [OPTION...]: a partition whose caches are warm.
up() {
    outrigger create p --cpus "$1" --memory "$2" "${@:3}"
    outrigger boot p --image "$project/build/outrigger.elf"
    for _ in 1 2 3 4; do outrigger run p -- "$apps/threads" sum 8 >/dev/null; done
    settle
}

down() {
    outrigger shutdown p
    outrigger destroy p
}

empty() { [ "$(cat $p/contexts) $(cat $p/processes) $(cat $p/threads)" = "0 0 0" ]; }

# settle: waits until nothing runs there.
settle() {
    for _ in $(seq 200); do
        ! empty || break
        sleep 0.1
    done
    empty || fail "left: $(cat $p/contexts) contexts, $(cat $p/processes) processes, $(cat $p/threads) threads"
    sleep 1.5 # memory_free is published once a second
}

free_there() { cat $p/memory_free; }
free_linux() { sync; echo 3 >/proc/sys/vm/drop_caches; awk '/^MemAvailable/ { print $2 }' /proc/meminfo; }

# remember, and later `same_memory WHAT [KB]`: within 2 MiB there, KB (30,000) on Linux.
remember() { was_there=$(free_there) was_linux=$(free_linux); }
same_memory() {
    local there linux
    settle
    there=$(free_there) linux=$(free_linux)
    echo "$1: co-kernel free $was_there -> $there, Linux available $was_linux -> $linux kB"
    [ "$there" -ge $((was_there - (2 << 20))) ] || fail "$1: the co-kernel lost memory"
    [ "$linux" -ge $((was_linux - ${2:-30000})) ] || fail "$1: Linux lost memory"
}
