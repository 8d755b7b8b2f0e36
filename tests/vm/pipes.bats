#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# Pipes that the co-kernel serves itself: the same as Linux's, whatever is done
# with them; and the calls that it does not delegate.
# vm: --cpus 4
# limit: 300

bats_require_minimum_version 1.5.0
load partition

setup_file() {
    load partition
    up p 2-3 512M
}

teardown_file() {
    load partition
    down p
}

both() {
    local linux cokernel a=0 b=0
    linux=$(timeout 100 "$@" </dev/null 2>&1) || a=$?
    cokernel=$(timeout 200 outrigger run p -- "$@" </dev/null 2>&1) || b=$?
    diff <(echo "$linux") <(echo "$cokernel")
    echo "status $a on Linux, $b on the co-kernel"
    [ "$a" = "$b" ]
}

@test "errors, capacity, ends, numbers, flags" { both "$apps/pipes" errors capacity ends numbers flags; }
@test "many writers, much data, a tree of processes" { both "$apps/pipes" atomicity flow tree; }
@test "signals, deaths, close while a thread waits" { both "$apps/pipes" signals deaths closing; }
@test "exec, memory that is not there" { both "$apps/pipes" exec memory; }
@test "a pipe with bytes inside becomes Linux's" { both "$apps/pipes" remote rights; }
@test "and while others read and write it" { both "$apps/pipes" moving; }

@test "bash: pipelines, substitution of processes, here documents" {
    both /bin/bash -c 'seq 2000 | sort -rn | head -n 3; cat <(echo one; echo two) <(seq 3)
        yes | head -n 2; echo ${PIPESTATUS[@]}; cat <<<here; x=$(seq 5 | tr "\n" ,); echo $x
        for i in 1 2 3; do seq $i; done | while read -r l; do echo "[$l]"; done; mkfifo /dev/shm/f.$$
        (echo named >/dev/shm/f.$$ &); cat /dev/shm/f.$$; rm /dev/shm/f.$$; true | false; echo $?
        head -c 300000 /dev/zero | tee >(wc -c) | wc -c; wait; coproc tr a-z A-Z; echo abc >&${COPROC[1]}
        exec {COPROC[1]}>&-; cat <&${COPROC[0]}'
}

@test "bytes through a local pipe are not delegated" {
    cat >/dev/shm/many.py <<'END'
import os
r, w = os.pipe()
for i in range(5000):
    os.write(w, b"x")
    os.read(r, 1)
END
    outrigger run --summary --json p -- python3 /dev/shm/many.py 2>/dev/shm/summary
    python3 - <<'END'
import json
s = json.load(open("/dev/shm/summary"))
calls = {c["call"]: c for c in s}
assert calls["write"]["calls"] >= 5000 and calls["write"]["delegated"] < 100, calls["write"]
END
}

@test "nothing is left behind" {
    for i in 1 2 3; do outrigger run p -- "$apps/pipes" tree deaths remote >/dev/null 2>&1; done
    outrigger run p -- /bin/true
}
