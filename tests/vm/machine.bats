#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# The test machine itself, seen from inside.
# vm: --cpus 4 --memory 4G --nodes 2

setup() {
    project=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
    sys=/sys/devices/system
}

@test "the command runs as root in the caller's directory" {
    [ "$(id -u)" -eq 0 ]
    [ "$PWD" = "$project" ]
}

@test "the build and the tools are on PATH" {
    [[ $PATH == *"$project/build/bin:$project/tools:"* ]]
}

@test "writes land in the overlay, the host's files stay readable" {
    grep -q Outrigger README.md
    echo changed >>README.md
    [ "$(tail -n 1 README.md)" = changed ]
    [ "$(findmnt -n -o FSTYPE /)" = overlay ]
}

@test "the clocksource is the TSC" {
    [ "$(cat $sys/clocksource/clocksource0/current_clocksource)" = tsc ]
}

@test "every node has half of the processors and of the memory" {
    [ "$(cat $sys/node/online)" = 0-1 ]
    [ "$(cat $sys/node/node0/cpulist)" = 0-1 ]
    [ "$(cat $sys/node/node1/cpulist)" = 2-3 ]
    for n in 0 1; do
        kib=$(awk '/MemTotal/ { print $4 }' $sys/node/node$n/meminfo)
        [ "$kib" -gt $((1800 << 10)) ]
    done
}

@test "processors go offline and come back" {
    for c in 1 2 3; do echo 0 >$sys/cpu/cpu$c/online; done
    [ "$(nproc)" -eq 1 ]
    for c in 1 2 3; do echo 1 >$sys/cpu/cpu$c/online; done
    [ "$(nproc)" -eq 4 ]
}

@test "most memory blocks of the upper node go offline and come back" {
    offline=()
    for block in "$sys"/node/node1/memory[0-9]*; do
        if echo offline >"$block/state" 2>/dev/null; then offline+=("$block"); fi
    done
    for block in "${offline[@]}"; do echo online_movable >"$block/state"; done
    # 2 GiB are 16 blocks of 128 MiB.
    [ "${#offline[@]}" -ge 8 ]
}

@test "modules of the running kernel load" {
    modprobe nvme
    grep -q ^nvme /proc/modules
}

@test "/dev/shm, /dev/pts, /run and the loopback interface are there" {
    [ "$(findmnt -n -o FSTYPE /dev/shm)" = tmpfs ]
    [ "$(findmnt -n -o FSTYPE /dev/pts)" = devpts ]
    [ "$(findmnt -n -o FSTYPE /run)" = tmpfs ]
    ip -br link show lo | grep -q UP
}
