#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# Debian's gdb on programs of a partition.
# vm: --cpus 4
# seldom: 6.1
# limit: 500
# log-allow: (traps: )?debuggee\[[0-9]+\]

bats_require_minimum_version 1.5.0
load partition

setup_file() {
    load partition
    command -v gdb >/dev/null || skip "gdb is not installed"
    up p 2-3 256M
}

teardown_file() {
    load partition
    down p
}

setup() {
    dir=$(mktemp -d)
    cd "$dir" || return
    pid=
}

teardown() {
    [ -z "$pid" ] || kill -KILL "$pid" 2>/dev/null || true
    eventually 10 processes_are p 0
}

# begin MODE: a program that is ready; its number in $pid.
begin() {
    outrigger run p -- "$debuggee" "$@" >out 2>&1 3>&- &
    pid=$!
    eventually 20 grep -q ready out
}

# ends STATUS [TEXT]: so it ended, and it had written that.
ends() {
    local status=0
    wait "$pid" || status=$?
    pid=
    echo "ended with $status, wrote: $(cat out)"
    [ "$status" -eq "$1" ]
    [ $# -lt 2 ] || grep -q "$2" out
}

# on COMMAND...: what gdb says when it is attached to $pid and gets these.
on() {
    local args=() command
    for command in "$@"; do args+=(-ex "$command"); done
    timeout 100 gdb -nx -batch -ex 'set debuginfod enabled off' -ex 'set width 0' \
        -ex "target remote | outrigger gdb --stdio p $pid" "${args[@]}" 2>&1 </dev/null
}

functions() { grep -oE '(wait_for_lock|wait_for_input|spin_forever|count|main) ' | sort; }

says() { # TEXT...: $output has each of them
    local text
    for text in "$@"; do
        [[ $output == *"$text"* ]] || { echo "$output"; echo "missing: $text"; return 1; }
    done
}

@test "attach: every thread's stack as native gdb shows it; memory; detach, and it finishes" {
    begin count
    run on 'thread apply all bt' 'info threads'
    functions <<<"$output" >ours
    says start_thread wait_for_lock wait_for_input spin_forever
    "$debuggee" count >native 3>&- &
    local other=$!
    eventually 20 grep -q ready native
    timeout 100 gdb -nx -batch -ex 'set debuginfod enabled off' -p $other -ex 'thread apply all bt' 2>/dev/null | functions >theirs
    kill -KILL $other
    diff <(uniq ours) <(uniq theirs)
    run on 'p greeting' "set var greeting[0] = 'j'" 'p greeting' 'p $rsp' 'p $mxcsr' 'info registers rip fs_base' detach
    says '"hello' '"jello' '(void *) 0x' '[ IM DM ZM OM UM PM ]' 'detached'
    run on 'set var stop = 1' detach
    ends 7 'stop 1 greeting jello'
}

@test "breakpoints, arguments, stepping, watching" {
    begin count
    run on 'break tick' continue bt 'p n' finish continue next 'p ticks > 0' stepi stepi 'x/i $pc' \
        'info breakpoints' 'delete' 'set var stop = 1' detach
    says 'hit Breakpoint 1' 'tick (n=' 'in count ()' 'Value returned' 'breakpoint already hit'
    ends 7
    begin count
    run on 'break tick' continue delete 'set can-use-hw-watchpoints 0' 'watch ticks' continue 'p $_siginfo.si_signo' delete 'set var stop = 5' detach
    says 'atchpoint 2: ticks' 'Old value' 'New value'
    ends 7 'stop 5'
}

@test "stepping one thread, over calls that Linux does, and calling a function" {
    begin count
    run on 'break tick' continue delete 'p tick(5)' 'set scheduler-locking on' 'next' next next next bt \
        'set scheduler-locking off' 'p $orig_rax' 'set var stop = 2' detach
    says ' = 6' 'count ()'
    ends 7 'stop 2'
}

@test "an interrupt stops what runs, and it goes on" {
    begin count
    run timeout 90 python3 - "$pid" <<'PY'
import os, signal, subprocess, sys, time
g = subprocess.Popen(["gdb", "-nx", "-q", "-ex", "set pagination off", "-ex", "set debuginfod enabled off",
                      "-ex", "target remote | outrigger gdb --stdio p " + sys.argv[1]],
                     stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
g.stdin.write("continue\n"); g.stdin.flush()
said = ""
while "Continuing." not in said:
    said += g.stdout.readline()
time.sleep(1)
g.send_signal(signal.SIGINT)
out = g.communicate("info threads\nset var stop = 3\ndetach\nquit\n", timeout=50)[0]
print(out)
PY
    says 'received signal SIGINT' 'detached'
    ends 7 'stop 3'
}

@test "signals come to gdb first, and go on as it says" {
    begin count
    run on "shell (sleep 2; kill -USR1 $pid) >/dev/null 2>&1 &" continue 'p got_signal' 'break tick' continue 'p got_signal' delete 'set var stop = 4' detach
    says 'received signal SIGUSR1' '$1 = 0' '$2 = 10'
    ends 7
}

@test "a crash is seen before it kills, and leaves its core" {
    ulimit -c unlimited
    echo core >/proc/sys/kernel/core_pattern
    outrigger run --gdb="$dir/gdb.sock" p -- "$debuggee" crash >out 2>&1 3>&- &
    pid=$!
    eventually 10 test -S gdb.sock
    run timeout 100 gdb -nx -batch -ex 'set debuginfod enabled off' -ex "target remote $dir/gdb.sock" \
        -ex 'break main' -ex continue -ex 'p argc' -ex 'info sharedlibrary' -ex continue -ex bt -ex continue
    says 'Breakpoint 1, main (argc=2' 'libc.so.6' 'received signal SIGSEGV' 'crash_here' 'terminated with signal SIGSEGV'
    ends 139
    [ -s core ]
}

@test "started for gdb: forks and execve while there are breakpoints, exit status" {
    outrigger run --gdb=127.0.0.1:4711 p -- "$debuggee" fork >out 2>&1 3>&- &
    pid=$!
    eventually 10 grep -q 'target remote' out
    run timeout 100 gdb -nx -batch -ex 'set debuginfod enabled off' -ex "target remote 127.0.0.1:4711" \
        -ex 'break tick' -ex continue -ex 'set var stop = 1' -ex 'continue' -ex 'info inferiors' -ex continue
    says 'hit Breakpoint 1' 'executing new program' 'exited normally'
    ends 0 'child 0x300'
    grep replaced out
}

@test "gdb kills what it started; a debugger that dies lets the program go on" {
    outrigger run --gdb="$dir/gdb.sock" p -- "$debuggee" count >out 2>&1 3>&- &
    pid=$!
    eventually 10 test -S gdb.sock
    run timeout 60 gdb -nx -batch -ex 'set debuginfod enabled off' -ex "target remote $dir/gdb.sock" -ex kill
    ends 137
    begin count
    # The server dies with breakpoints in and the program held, gdb with it.
    mkfifo hold
    (sleep 60 >hold) 3>&- &
    local keeper=$!
    outrigger gdb --listen "$dir/s" p "$pid" 3>&- 2>/dev/null &
    local server=$!
    eventually 10 test -S s
    timeout 60 gdb -nx -q -ex 'set debuginfod enabled off' -ex "target remote $dir/s" -ex 'break tick' -ex continue \
        <hold >said 2>&1 3>&- &
    local gdb=$!
    eventually 40 grep -q 'hit Breakpoint' said
    kill -KILL $server
    kill -KILL $gdb $keeper
    run on 'p ticks'
    local before
    before=$(sed -n 's/^\$1 = //p' <<<"$output")
    sleep 1
    run on 'p ticks' 'set var stop = 6' detach
    [[ $output == *'$1 = '* ]]
    local after
    after=$(sed -n 's/^\$1 = //p' <<<"$output")
    echo "$before $after"
    [ "$after" -gt "$before" ]
    ends 7 'stop 6'
}

@test "refusals: another user's program, two debuggers, no such program; nonsense for packets" {
    begin count
    run outrigger gdb --stdio p 1 </dev/null
    [ "$status" -eq 1 ]
    says 'no program of p has the pid 1'
    run setpriv --reuid=65534 --regid=65534 --clear-groups outrigger gdb --stdio p "$pid" </dev/null
    [ "$status" -eq 1 ]
    outrigger gdb --listen "$dir/s" p "$pid" 3>&- 2>/dev/null &
    eventually 10 test -S s
    run timeout 100 python3 - "$dir/s" <<'PY'
import random, socket, sys
s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); s.settimeout(0.02)
random.seed(5)
def send(d):
    d = d if isinstance(d, bytes) else d.encode()
    s.sendall(b"$" + d + b"#%02x" % (sum(d) & 255))
    try: s.recv(65536)
    except socket.timeout: pass
words = ["m", "M", "X", "g", "G", "p", "P", "Z0", "z0", "Hg", "Hc", "T", "qXfer:auxv:read::", "qXfer:features:read:target.xml:",
         "qXfer:siginfo:read::", "qXfer:exec-file:read:", "QPassSignals:", "qThreadExtraInfo,", "vCont;t:", "qsThreadInfo", "?",
         "vMustReplyEmpty", "qSupported:multiprocess+"]
bits = ["0", "1", "-1", "ffffffffffffffff", "fffffffffffffffff", ",", ":", ";", "=", ".", "p", "10000", "zz", "", "7fffffff", "}"]
for i in range(1500):
    send(random.choice(words) + "".join(random.choice(bits) for _ in range(random.randrange(8))))
for i in range(100):
    s.sendall(bytes(random.randrange(256) for _ in range(random.randrange(200))).replace(b"\x03", b""))
s.sendall(b"$" + b"a" * 200000 + b"#00")
s.close()
PY
    echo "$output"
    [ "$status" -eq 0 ]
    run on 'p greeting' 'set var stop = 8' detach
    ends 7 'stop 8'
}
