#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# The protocol-hostile image: whatever it writes, the host crashes the partition
# with a reason or ignores it, and gets everything back.
# vm: --cpus 4

stub=build/tests/images/stub.elf

value() { cat "/sys/class/outrigger/p/$1"; }

setup() { cpus=$(nproc); }

teardown() {
    [ ! -e /sys/class/outrigger/p ] || outrigger destroy --force p
    [ "$(nproc)" -eq "$cpus" ]
}

start() {
    outrigger create p --cpus 1-2 --memory 128M
    outrigger boot p --image $stub --append "$1"
}

crashes() { # OPTION REASON
    start "$1"
    for _ in $(seq 40); do [ "$(value state)" != crashed ] || break; sleep 0.1; done
    [ "$(value state)" = crashed ]
    echo "$(value reason)"
    [[ $(value reason) == *"$2"* ]]
    outrigger boot p --append ""
    [ "$(value state)" = running ] || [ "$(value state)" = crashed ]
}

@test "a tail far ahead" { crashes hostile-tail "C2H tail claims"; }
@test "an unknown message" { crashes hostile-type "unknown type 4711"; }
@test "the end of a program that does not exist" { crashes hostile-exit "does not exist"; }
@test "an unknown status" { crashes hostile-status "status 77"; }
@test "stopped without being asked" { crashes hostile-stopped "without being asked"; }
@test "a flood of empty doorbells" { crashes hostile-flood ""; } # or it no longer answers
@test "a flood of messages" { crashes hostile-messages "protocol error"; }

@test "a head that runs backwards is found at the next message" {
    start hostile-head
    sleep 1.5
    run outrigger test p 99
    [ $status -ne 0 ]
    [ "$(value state)" = crashed ]
}

@test "a doorbell vector that is no vector: pings go unanswered" {
    crashes hostile-vector "does not answer"
}

@test "hints and wakes for nobody are ignored" {
    start "hostile-zap-hint hostile-wakes"
    sleep 2
    [ "$(value state)" = running ]
    outrigger shutdown p
}

@test "a log head beyond reason is survived" {
    start hostile-log
    sleep 1.5
    outrigger log p >/dev/null
    [ "$(value state)" = running ]
}

@test "random words everywhere, for a while" {
    for _ in 1 2 3; do
        start hostile-scribble
        sleep 2
        outrigger log p >/dev/null 2>&1 || true
        cat /sys/class/outrigger/p/* /sys/class/outrigger/p/cpu1/* >/dev/null 2>&1 || true
        outrigger destroy --force p
    done
}

@test "a refusal to shut down" {
    start stay
    run outrigger shutdown p --timeout 2
    [ $status -ne 0 ]
    [ "$(value state)" = running ]
    outrigger kill p
}
