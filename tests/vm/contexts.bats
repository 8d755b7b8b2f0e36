#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# Contexts: the unified address space, slots, zaps and pins, against the stub
# image's make-believe process (tests/images/stub/proc.c, tests/tools/ctx_probe.c).
# vm: --cpus 4

stub=build/tests/images/stub.elf

value() { cat "/sys/class/outrigger/p/$1"; }
gone() { for _ in $(seq 30); do [ "$(value contexts)" -ne 0 ] || return 0; sleep 0.1; done; return 1; }

start() { # KIND OPTIONS
    outrigger create p --cpus 1-2 --memory 128M --kind "$1"
    outrigger boot p --image $stub --append "${2:-}"
}

teardown() { outrigger destroy --force p; }

probe() {
    run ctx_probe p
    echo "$output"
    outrigger log p
    [ $status -eq 7 ]
}

@test "frames of memory blocks: huge, small, copied, zapped, pinned" {
    start block
    probe
    gone
}

@test "frames of contiguous pages: small, copied, zapped, pinned" {
    start contig
    probe
    gone
}

@test "many one after the other, some at once" {
    start block
    for _ in 1 2 3 4 5; do
        ctx_probe p & a=$!
        ctx_probe p & b=$!
        wait $a || [ $? -eq 7 ]
        wait $b || [ $? -eq 7 ]
    done
    gone
}

@test "a killed proxy ends its program" {
    start block
    for _ in 1 2 3 4 5; do
        ctx_probe p hang & a=$!
        sleep 0.2
        kill -KILL $a
        wait $a || true
        gone
    done
}

@test "a stopped proxy stops its program" {
    start block
    ctx_probe p hang & a=$!
    sleep 0.2
    kill -STOP $a
    sleep 1
    kill -CONT $a
    sleep 1
    kill $a
    [ "$(outrigger log p | grep -c -e 'stub: stop' -e 'stub: cont')" -eq 2 ]
}

@test "a partition killed under a proxy tells it" {
    start block
    ctx_probe p hang & a=$!
    sleep 0.2
    outrigger kill p
    [ "$(value contexts)" -eq 1 ]
    kill -USR1 $a
    status=0
    wait $a || status=$?
    [ $status -eq $((128 + 9)) ]
    gone
}

@test "a program that does not end when killed crashes the partition" {
    start block unkillable
    ctx_probe p hang & a=$!
    sleep 0.2
    kill -KILL $a
    sleep 12
    [ "$(value state)" = crashed ]
    [[ $(value reason) == *"did not end"* ]]
    gone
}

lie() { # OPTION REASON
    start block "$1"
    run ctx_probe p
    [ $status -ne 7 ]
    for _ in $(seq 20); do [ "$(value state)" != crashed ] || break; sleep 0.1; done
    [ "$(value state)" = crashed ]
    [[ $(value reason) == "protocol error: "*"$2"* ]]
    gone
}

@test "a page table that is not the partition's" { lie lie-root "page table of program"; }
@test "a frame that is not the partition's" { lie lie-frame "not the partition's"; }
@test "a lower table that is not the partition's" { lie lie-table "not the partition's"; }
@test "zaps of nonsense" { lie lie-zap "zaps [0x1"; }
@test "more zaps than the ring holds" { lie lie-zap-tail "claims"; }

@test "a page table that contains itself" {
    start block lie-loop
    run timeout 60 ctx_probe p
    [ $status -ne 124 ]
    outrigger kill p || true
    gone
}
