#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# Short runs of tests/soak/fuzz and tests/soak/scale.
# vm: --cpus 4
# limit: 200

teardown() {
    [ ! -d /sys/class/outrigger/p ] || outrigger destroy --force p
}

@test "random calls with hostile arguments hurt nobody else" {
    tests/soak/in-vm/fuzz -s 1 -n 4 -l 1500
}

@test "many threads, many children, much memory, many signals; memory is back after each" {
    tests/soak/in-vm/scale 200 10 32 400
}
