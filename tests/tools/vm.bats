#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# tools/vm seen from outside. Each boot takes seconds: few tests, each with much in it.
bats_require_minimum_version 1.5.0

setup() {
    cd "$BATS_TEST_DIRNAME/../.." || return 1
    vm=tools/vm
}

@test "arguments, both output streams and the exit status come through" {
    run --separate-stderr "$vm" --timeout 600 -- bash -c 'printf "[%s]" "$@"; echo oops >&2; exit 42' \
        name 'a b' $'two\nlines' "q'uo\"te" '$HOME' ''
    printf '%s\n' "status $status" "$output" "$stderr"
    [ "$status" -eq 42 ]
    [ "$output" = $'[a b][two\nlines][q\'uo"te][$HOME][]' ]
    [ "$stderr" = oops ]
}

@test "a share is written through, everything else is not; no signal is ignored" {
    dir=$(mktemp -d "$BATS_TEST_TMPDIR/with space.XXXX")
    other=$(mktemp -d "$BATS_TEST_TMPDIR/other.XXXX")
    run "$vm" --timeout 600 --share "$dir" -- bash -c 'grep SigIgn /proc/self/status >"$1/file"; echo 2 >"$2/file"' _ "$dir" "$other"
    printf '%s\n' "status $status" "$output"
    [ "$status" -eq 0 ]
    [ "$(cat "$dir/file")" = $'SigIgn:\t0000000000000000' ]
    [ ! -e "$other/file" ]
}

@test "time that runs out is status 124, and nothing is left behind" {
    export TMPDIR=$BATS_TEST_TMPDIR
    run "$vm" --timeout 8 -- sleep 1000
    [ "$status" -eq 124 ]
    # What a reader needs to tell a starved machine from a guest that hangs.
    [[ $output == *"QEMU has had "*" ticks stolen"*"CPU 3"*ISR*RIP=*"no end after 8 s"* ]]
    [ -z "$(find "$TMPDIR" -name 'outrigger-vm.*')" ]
}

@test "a signal ends the machine and leaves nothing behind" {
    export TMPDIR=$BATS_TEST_TMPDIR
    "$vm" --timeout 600 -- sleep 1000 3>&- &
    sleep 2
    qemu=$(pgrep -f "path=$TMPDIR/outrigger-vm")
    kill -TERM $!
    wait $! && status=0 || status=$?
    [ "$status" -eq 143 ]
    for pid in $qemu; do [ ! -d "/proc/$pid" ]; done
    [ -z "$(find "$TMPDIR" -name 'outrigger-vm.*')" ]
}

@test "a machine that does not boot in time is started again, three times at most" {
    run --separate-stderr "$vm" --timeout 600 --boot-timeout 1 -- echo here
    printf '%s\n' "$status" "$output" "$stderr"
    [ "$status" -eq 0 ]
    [ "$output" = here ]
    [ "$(grep -c '^vm: Linux had not booted after [124] s; starting the machine again' <<<"$stderr")" -ge 2 ]
}

@test "a guest that panics is status 125 with the console's tail" {
    run --separate-stderr "$vm" --timeout 600 --keep-log "$BATS_TEST_TMPDIR/log" -- \
        bash -c 'echo before; echo c >/proc/sysrq-trigger'
    echo "status $status, output: $output"
    printf '%s\n' "${stderr_lines[@]}"
    [ "$status" -eq 125 ]
    [ "$output" = before ]
    [[ $stderr == *"the guest died while COMMAND ran"*"sysrq triggered crash"* ]]
    grep -q 'sysrq triggered crash' "$BATS_TEST_TMPDIR/log"
}

@test "--check-log finds trouble in the kernel log" {
    run --separate-stderr "$vm" --timeout 600 --check-log -- bash -c 'echo "WARNING: of a test" >/dev/kmsg'
    printf '%s\n' "status $status" "$stderr"
    [ "$status" -eq 123 ]
    [[ $stderr == *"kernel log tells of trouble"*"WARNING: of a test"* ]]
}

@test "an image with a PVH entry boots alone and its verdict is the exit status" {
    for verdict in 0x10 0x11; do
        gcc -m32 -nostdlib -static -no-pie -Wl,-Ttext=0x100000,--build-id=none,-e,start \
            -DVERDICT=$verdict -o "$BATS_TEST_TMPDIR/$verdict" tests/tools/pvh.S
    done
    run "$vm" --timeout 30 --pvh "$BATS_TEST_TMPDIR/0x10"
    [ "$status" -eq 0 ]
    [ "$output" = "an image alone" ]
    run "$vm" --timeout 30 --pvh "$BATS_TEST_TMPDIR/0x11"
    [ "$status" -eq 1 ]
}

@test "wrong options are refused in one line" {
    while read -r args; do
        # shellcheck disable=SC2086
        run "$vm" $args
        [ "$status" -eq 125 ]
        [ "${#lines[@]}" -eq 1 ]
        [[ $output == vm:* ]]
    done <<'END'
--bogus 1 -- true
--cpus none -- true
--boot-timeout soon -- true
--cpus 0 -- true
--cpus 3 --nodes 2 -- true
--memory many -- true
--iommu=other -- true
--kernel 5.4 -- true
--share /nonexistent -- true
--pvh /nonexistent
--memory
--
END
}
