#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# The command: bad input gives one clear line and changes nothing; listings,
# dry runs, dumps.
# vm: --cpus 4
# seldom: 6.1
# limit: 240

bats_require_minimum_version 1.5.0
load partition

setup_file() {
    modprobe outrigger 2>/dev/null || outrigger check >/dev/null
}

teardown() {
    local name
    for name in p q web; do down "$name"; done
}

# What Linux has, and what the partitions are; `outrigger list` would take its time.
snapshot() { nproc; grep -s . "$class"/*/{state,owner,group,mode,cpus,ranges} || true; }

# refused STATUS WORDS COMMAND...: one line, and everything is as it was.
refused() {
    local wanted=$1 words=$2 before
    shift 2
    before=$(snapshot)
    run "$@"
    echo "$output"
    [ "$status" -eq "$wanted" ]
    [ "${#lines[@]}" -eq 1 ]
    [[ $output == outrigger:*"$words"* ]]
    diff <(echo "$before") <(snapshot)
}

@test "check finds this machine ready" {
    run -0 outrigger check
    [[ $output != *MISSING* ]]
    outrigger check --json | python3 -c 'import json,sys; assert len(json.load(sys.stdin)) > 10'
}

@test "CPUs that cannot be given" {
    refused 1 "CPU 0 cannot be given" outrigger create p --cpus 0-1
    refused 1 "CPU 9 does not exist" outrigger create p --cpus 1,9
    refused 1 "list of CPUs" outrigger create p --cpus 1-
    refused 1 "4 CPUs wanted, but Linux can give 3" outrigger create p --cpus 4
    refused 1 "at least one CPU" outrigger create p --cpus 0
    echo 0 >/sys/devices/system/cpu/cpu3/online
    refused 1 "CPU 3 is offline" outrigger create p --cpus 3,
    echo 1 >/sys/devices/system/cpu/cpu3/online
    outrigger create q --cpus 2,
    refused 1 "CPU 2 is owned" outrigger create p --cpus 1-2
    refused 1 "CPU 2 is owned" outrigger cpu add q 2
    refused 1 "adding CPU 9" outrigger cpu add q 3,9
    refused 1 "removing CPU 1" outrigger cpu remove q 1-2
    run ! bash -c 'echo 1 >/sys/devices/system/cpu/cpu2/online'
    [ "$(nproc)" -eq 3 ]
}

@test "memory that cannot be given" {
    refused 1 "can let go of" outrigger create p --cpus 1, --memory 64G
    refused 1 "NUMA node 7" outrigger create p --memory 128M@7
    refused 2 "not a multiple of 2 MiB" outrigger create p --memory 3M
    refused 2 "not a size" outrigger create p --memory lots
    refused 2 "no memory at all" outrigger create p --memory 0
    refused 2 "taken as" outrigger create p --memory 64M --kind huge
    outrigger create p --cpus 1, --memory 128M
    refused 1 "could return only" outrigger memory remove p 256M
}

@test "names" {
    outrigger create p
    refused 1 "exists already" outrigger create p
    refused 1 "too long" outrigger create "$(printf 'x%.0s' {1..40})"
    refused 1 "a name has letters" outrigger create a/b
    refused 1 "a name has letters" outrigger create .p
    refused 1 "a name has letters" outrigger create ''
    local command
    for command in boot shutdown kill destroy log inspect; do
        refused 1 "no partition nosuch" outrigger $command nosuch
    done
    refused 1 "no partition nosuch" outrigger cpu add nosuch 1
    refused 1 "no partition nosuch" outrigger dump nosuch /tmp/nosuch.core
    [ ! -e /tmp/nosuch.core ]
    refused 1 "not a partition's name" outrigger inspect ../power
}

@test "wrong usage is 2" {
    refused 2 "no command" outrigger frobnicate
    refused 2 "argument is missing" outrigger create
    refused 2 "one argument too many" outrigger create p q
    refused 2 "neither add nor remove" outrigger cpu steal p 1
    refused 2 "is not a mode" outrigger create p --mode 777
    refused 2 "no user" outrigger create p --owner nobody-at-all
    refused 2 "time in seconds" outrigger shutdown p --timeout never
    refused 2 "log level" outrigger boot p --log-level 8
}

@test "the wrong state" {
    outrigger create p --cpus 1, --memory 64M
    refused 1 "not running" outrigger shutdown p
    refused 1 "not running" outrigger kill p
    outrigger boot p
    refused 1 "running" outrigger boot p
    refused 1 "--force" outrigger destroy p
    run ! rmmod outrigger
    outrigger create q --memory 64M
    refused 1 "has no CPU" outrigger boot q
}

@test "images that are none" {
    local t=$BATS_TEST_TMPDIR
    outrigger create p --cpus 1, --memory 64M
    head -c 5000 "$image" >"$t/cut"
    cp "$image" "$t/arm" && printf '\267' | dd of="$t/arm" bs=1 seek=18 conv=notrunc status=none
    : >"$t/empty"
    refused 1 "not an ELF image" outrigger boot p --image README.md
    refused 1 "not an ELF image" outrigger boot p --image "$t/empty"
    refused 1 truncated outrigger boot p --image "$t/cut"
    refused 1 "another machine" outrigger boot p --image "$t/arm"
    refused 1 "regular file" outrigger boot p --image /tmp
    refused 1 "No such file" outrigger boot p --image "$t/nothing"
    refused 1 "" outrigger boot p --image /bin/busybox
    outrigger boot p
    state_is p running
}

@test "create is all or nothing and names the step" {
    refused 1 "web was not created: taking CPU 9" outrigger create web --cpus 1,9 --memory 64M
    refused 1 "web was not created: taking 64M from NUMA node 7" outrigger create web --cpus 1-2 --memory 64M,64M@7
}

@test "cpu add is all or nothing" {
    outrigger create p --cpus 1,
    outrigger create q --cpus 3,
    refused 1 "adding CPU 3" outrigger cpu add p 2-3
    [ "$(attr p cpus)" = 1 ]
}

@test "dry runs change nothing" {
    local before
    before=$(snapshot)
    outrigger create p --cpus 2 --memory 128M --dry-run
    refused 1 "can let go of" outrigger create p --memory 64G --dry-run
    [ "$before" = "$(snapshot)" ]
    outrigger create p --cpus 2 --memory 128M
    before=$(snapshot)
    outrigger cpu add p 1 --dry-run
    outrigger memory add p 64M --dry-run
    outrigger boot p --dry-run
    outrigger destroy p --dry-run
    [ "$before" = "$(snapshot)" ]
    outrigger boot p
    outrigger shutdown p --dry-run
    outrigger kill p --dry-run
    refused 1 --force outrigger destroy p --dry-run
    state_is p running
}

@test "a count of CPUs takes the highest, a list what it says" {
    outrigger create p --cpus 2 --memory 64M --owner nobody --mode 750
    [ "$(attr p cpus)" = 2-3 ]
    [ "$(attr p owner)" = "$(id -u nobody)" ]
    [ "$(attr p mode)" = 0750 ]
    outrigger create q --cpus 1,
    [ "$(attr q cpus)" = 1 ]
}

@test "listings, as tables and as JSON" {
    [ -z "$(outrigger list)" ]
    [ "$(outrigger list --json | tr -d ' \n')" = "[]" ]
    outrigger create p --cpus 2 --memory 128M
    outrigger boot p
    outrigger list | grep -q '^p  *running  *2-3  *128M'
    outrigger list --json | python3 -c '
import json, sys
p, = json.load(sys.stdin)
assert p["name"] == "p" and p["state"] == "running" and p["memory_bytes"] == 128 << 20, p'
    outrigger inspect p | grep -q '^state  *running'
    outrigger inspect p --json | python3 -c '
import json, sys
p = json.load(sys.stdin)
assert p["cpus"] == "2-3" and p["cpu2"]["apic_id"] >= 1 and p["mode"] == "0770", p'
    [ "$(outrigger top -n 2 -d 0.1 p | grep -c '^p ')" -eq 4 ]
    outrigger log p | grep -q running
    run ! grep -q '^<' <(outrigger log p)
    outrigger log -r p | grep -q '^<6>'
    [ -z "$(outrigger ps)" ]
}

@test "a dump of a crashed co-kernel opens in gdb with a symbolised stack" {
    local core=$BATS_TEST_TMPDIR/core
    outrigger create p --cpus 2 --memory 128M
    outrigger boot p --append test
    outrigger test p 4 || true
    eventually 5 state_is p crashed
    outrigger dump p "$core"
    refused 1 "exists" outrigger dump p "$core"
    # Memory that is zero takes no room.
    [ "$(du -m "$core" | cut -f 1)" -lt 40 ]
    run gdb -batch -ex 'info threads' -ex bt -ex 'print boot_info.name' "$image" "$core"
    echo "$output"
    [[ $output == *misbehave*control_message*worker_main* ]]
    [[ $output == *'= "p"'* ]]
    [ "$(grep -c 'LWP [12]' <<<"$output")" -ge 2 ]
    outrigger boot p
    state_is p running
}

@test "two commands race on one partition: each succeeds or is refused" {
    outrigger create p --memory 64M
    local i ok=0 pids=()
    for i in 1 2 3; do
        outrigger cpu add p 1 2>/dev/null & pids+=($!)
    done
    for i in "${pids[@]}"; do wait "$i" && ok=$((ok + 1)); done
    [ "$ok" -eq 1 ]
    [ "$(attr p cpus)" = 1 ]
    outrigger destroy p & pids=($!)
    outrigger destroy p & pids+=($!)
    ok=0
    for i in "${pids[@]}"; do wait "$i" && ok=$((ok + 1)); done
    [ "$ok" -eq 1 ]
}
