#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# What `outrigger run` promises about the program it becomes.
# vm: --cpus 4
# limit: 240

bats_require_minimum_version 1.5.0
load partition

setup_file() {
    load partition
    up p 2-3 256M
}

teardown_file() {
    load partition
    down p
}

setup() {
    tmp=$BATS_TEST_TMPDIR
    program=$apps/self
}

# refused STATUS WORDS COMMAND...: one line with the words, that status.
refused() {
    local status_wanted=$1 words=$2
    shift 2
    run "-$status_wanted" "$@"
    echo "$output"
    [ "${#lines[@]}" -eq 1 ]
    [[ $output == outrigger:*"$words"* ]]
}

# Of its own eyes a program sees what it would see in Linux.
@test "the process is the program: name, arguments, file, descriptors" {
    outrigger run p -- "$program" one two | tee "$tmp/cokernel"
    "$program" one two >"$tmp/linux"
    diff "$tmp/linux" "$tmp/cokernel"
    grep -qx "exe $(realpath "$program")" "$tmp/cokernel"
    grep -qx alive "$tmp/cokernel"
}

@test "the same with other limits on descriptors" {
    local limit
    for limit in "-Sn 20" "-n 20" "-n 4096"; do
        (ulimit $limit && "$program") >"$tmp/linux"
        (ulimit $limit && outrigger run p "$program") >"$tmp/cokernel"
        diff "$tmp/linux" "$tmp/cokernel"
    done
}

@test "ps and /proc show the program" {
    outrigger run p -- /bin/busybox sleep 100 &
    local pid=$!
    eventually 5 contexts_are p 1
    sleep 1
    [ "$(cat /proc/$pid/comm)" = busybox ]
    outrigger ps p | grep -q "p  *$pid .*busybox sleep 100"
    outrigger ps --json | grep -q '"command":"/bin/busybox sleep 100"'
    kill $pid
    wait $pid || [ $? -eq 143 ]
}

@test "names are searched on PATH, options of the program are its own" {
    [ "$(outrigger run p busybox echo -n --help)" = "--help" ]
    [ "$(outrigger run p -- busybox echo -e a)" = a ]
    [ "$(cd "$apps" && outrigger run p ./self where | cut -d ' ' -f 1)" = code ]
    refused 127 "no such program on PATH" outrigger run p no-such-program
    mkdir "$tmp/bin" && : >"$tmp/bin/there"
    PATH=$tmp/bin:$PATH refused 126 "may not be executed" outrigger run p there
}

@test "variables of -e reach the program, the last one wins" {
    [ "$(outrigger run p -e A=1 -e B= -e A=2 -- busybox sh -c 'echo $A-$B-$HOME')" = "2--$HOME" ]
    refused 125 "VAR=VALUE" outrigger run p -e A -- busybox true
}

@test "position independent, dynamic, and scripts" {
    local cat
    cat=$(command -v cat)
    [ "$(echo hi | outrigger run p "$cat")" = hi ]
    printf '#!%s sh\necho script "$0" "$1"\n' "$(command -v busybox)" >"$tmp/script"
    chmod +x "$tmp/script"
    [ "$(outrigger run p "$tmp/script" x)" = "script $tmp/script x" ]
    printf '#!%s\n' "$tmp/script" >"$tmp/second"
    chmod +x "$tmp/second"
    [ "$(outrigger run p "$tmp/second")" = "script $tmp/script $tmp/second" ]
    printf '#!%s\n' "$tmp/loop" >"$tmp/loop"
    chmod +x "$tmp/loop"
    refused 126 "interpreters" outrigger run p "$tmp/loop"
    printf '#!/no/such/shell\n' >"$tmp/bad"
    chmod +x "$tmp/bad"
    refused 126 "/no/such/shell" outrigger run p "$tmp/bad"
}

@test "addresses are random, and not with setarch -R" {
    local a b
    a=$(outrigger run p "$program" where)
    b=$(outrigger run p "$program" where)
    [ "$a" != "$b" ]
    a=$(setarch -R outrigger run p "$program" where)
    b=$(setarch -R outrigger run p "$program" where)
    echo "$a"
    [ "$a" = "$b" ]
}

@test "files that are no programs" {
    head -c 100 "$program" >"$tmp/short"
    head -c 20000 "$program" >"$tmp/cut"
    head -c 4096 /dev/urandom | tr '\177' x >"$tmp/noise"
    cp "$program" "$tmp/arm" && printf '\267' | dd of="$tmp/arm" bs=1 seek=18 conv=notrunc status=none
    cp "$program" "$tmp/bits" && printf '\001' | dd of="$tmp/bits" bs=1 seek=4 conv=notrunc status=none
    : >"$tmp/empty"
    chmod +x "$tmp"/*
    refused 126 truncated outrigger run p "$tmp/short"
    refused 126 truncated outrigger run p "$tmp/cut"
    refused 126 "neither an ELF program nor a script" outrigger run p "$tmp/noise"
    refused 126 "neither an ELF program nor a script" outrigger run p "$tmp/empty"
    refused 126 "another machine" outrigger run p "$tmp/arm"
    refused 126 "32-bit" outrigger run p "$tmp/bits"
    refused 126 directory outrigger run p "$tmp/"
    refused 127 "no such program" outrigger run p "$tmp/nothing"
    chmod -x "$tmp/short"
    refused 126 "may not be executed" outrigger run p "$tmp/short"
}

@test "failures of its own are 125" {
    refused 125 "no partition nosuch" outrigger run nosuch busybox true
    refused 125 "program to run is missing" outrigger run p
    refused 125 "ulimit -v" setpriv --bounding-set=-sys_resource \
        bash -c 'ulimit -v 20000000; outrigger run p busybox true'
    # A limit on address space is the program's, where the caller may lift it for the proxy.
    [ "$(bash -c 'ulimit -v 20000000; outrigger run p busybox sh -c "ulimit -v"')" = 20000000 ]
    outrigger create idle --cpus 1, --memory 64M
    refused 125 "not running" outrigger run idle busybox true
    outrigger destroy idle
}

@test "only whom the partition's mode allows may run programs" {
    local as=(setpriv --reuid 1234 --regid 1234 --clear-groups)
    refused 125 permission "${as[@]}" outrigger run p busybox true
    outrigger create mine --cpus 1, --memory 64M --owner 1234 --mode 500
    outrigger boot mine
    [ "$("${as[@]}" outrigger run mine busybox id -u)" = 1234 ]
    "${as[@]}" outrigger log mine >/dev/null
    run "${as[@]}" outrigger log p
    [ "$status" -eq 1 ]
    run "${as[@]}" outrigger destroy --force mine
    [ "$status" -eq 1 ]
    [[ $output == *root* ]]
    outrigger destroy --force mine
}

@test "large arguments and environments arrive, too large ones are refused" {
    local big
    big=$(head -c 100000 /dev/zero | tr '\0' x)
    [ "$(outrigger run p -e BIG="$big" busybox sh -c 'echo ${#BIG} ${#1}' sh "$big")" = "100000 100000" ]
    big=${big:0:20000}
    refused 126 "arguments and the environment" bash -c \
        'b=$0; ulimit -s 128; exec outrigger run p -e A="$b$b" -e B="$b$b" busybox true' "$big"
}

@test "a partition that ends kills its programs, blocked ones too, and says so" {
    outrigger create q --cpus 1, --memory 64M
    outrigger boot q
    local fifo=$tmp/fifo pid code
    mkfifo "$fifo"
    outrigger run q busybox cat <>"$fifo" 2>"$tmp/said" &
    pid=$!
    eventually 5 processes_are q 1
    sleep 0.5
    outrigger kill q
    code=0
    wait $pid || code=$?
    cat "$tmp/said"
    [ "$code" -eq 137 ]
    grep -q "partition q is stopped: killed" "$tmp/said"
    outrigger destroy q
}

@test "--trace writes the calls, of children as well, and where they were done" {
    outrigger run --trace -o "$tmp/trace" p -- /bin/sh -c '/bin/echo hi; read x; exit 3' <<<word || [ $? -eq 3 ]
    cat "$tmp/trace"
    grep -Eq '^[0-9]+ execve\("/bin/echo", \["/bin/echo", "hi"\], 0x[0-9a-f]+ /\* [0-9]+ vars \*/\) = 0 <[0-9.]+> ported$' "$tmp/trace"
    grep -Eq '^[0-9]+ write\(1, "hi\\n", 3\) = 3 <[0-9.]+> delegated$' "$tmp/trace"
    grep -Eq '^[0-9]+ read\(0, "w(ord\\n)?", [0-9]+\) = [15] <[0-9.]+> delegated$' "$tmp/trace"
    grep -Eq '^[0-9]+ openat\(AT_FDCWD, "/etc/ld.so.cache", O_RDONLY\|O_CLOEXEC\) = [0-9]+ ' "$tmp/trace"
    grep -Eq '^[0-9]+ exit_group\(3\) = \? ported$' "$tmp/trace"
    [ "$(grep -c '+++ exited with' "$tmp/trace")" -eq 2 ]
    # Nothing of it in what the program itself writes.
    [ "$(outrigger run --trace p -- /bin/busybox echo only 2>/dev/null)" = only ]
}

@test "--summary counts what --trace lists, and both speak JSON" {
    outrigger run --trace --json -o "$tmp/lines" p -- "$apps/calls" "$(mktemp -d)" >/dev/null || [ $? -eq 42 ]
    outrigger run --summary --json -o "$tmp/sums" p -- "$apps/calls" "$(mktemp -d)" >/dev/null || [ $? -eq 42 ]
    python3 - "$tmp/lines" "$tmp/sums" <<'END'
import collections, json, sys
lines = [json.loads(l) for l in open(sys.argv[1])]
sums = {s["call"]: s for s in json.load(open(sys.argv[2]))}
calls = collections.Counter(l["call"] for l in lines)
errors = collections.Counter(l["call"] for l in lines if l["error"])
assert len(calls) > 100, len(calls)
# Those that wait for time or for others may be called once more.
for name in set(calls) - {"poll", "ppoll", "futex", "read", "nanosleep", "clock_nanosleep", "restart_syscall"}:
    s = sums[name]
    assert (calls[name], errors[name]) == (s["calls"], s["errors"]), (name, calls[name], errors[name], s)
END
    outrigger run --summary -o "$tmp/text" p -- /bin/busybox true
    grep -q '^100.00 .* total$' "$tmp/text"
}

@test "--output to where nothing can be written is refused" {
    refused 125 "/nonexistent/x: No such file" outrigger run --trace -o /nonexistent/x p -- /bin/busybox true
}
