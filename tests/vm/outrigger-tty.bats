#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# Programs on a terminal: keys, job control, what a shell sees of their end.
# vm: --cpus 4
# seldom: 6.1
# limit: 180

bats_require_minimum_version 1.5.0
load partition

setup_file() {
    load partition
    up p 2-3 128M
    cat >"$BATS_FILE_TMPDIR/terminal.py" <<'PY'
# terminal.py KEYS COMMAND...: runs COMMAND as a shell's foreground job on a new
# terminal, types KEYS (\xNN escapes, a second between two), prints what came
# back, "stopped" (then continues it after 2 s) and the wait status.
import os, pty, select, signal, sys, time
keys = [k.encode().decode('unicode_escape').encode('latin1') for k in sys.argv[1].split(' ')]
for s in (signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP):
    signal.signal(s, signal.SIG_DFL)
pid, fd = pty.fork()
if pid == 0:
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    job = os.fork()
    if job == 0:
        os.setpgid(0, 0)
        os.tcsetpgrp(0, os.getpid())
        signal.signal(signal.SIGTTOU, signal.SIG_DFL)
        os.execvp(sys.argv[2], sys.argv[2:])
    while True:
        _, status = os.waitpid(job, os.WUNTRACED)
        if not os.WIFSTOPPED(status):
            os.write(1, b'status %d signal %d\n' % (status >> 8, status & 0x7f))
            os._exit(0)
        os.write(1, b'stopped\n')
        time.sleep(2)
        os.kill(job, signal.SIGCONT)
time.sleep(2)
for k in keys:
    os.write(fd, k)
    time.sleep(1)
end = time.time() + 20
out = b''
while b'status' not in out and time.time() < end:
    try:
        out += os.read(fd, 4096) if select.select([fd], [], [], 1)[0] else b''
    except OSError:
        break
print(out.decode().replace('\r', ''))
PY
}

teardown_file() {
    load partition
    down p
}

on_tty() { python3 "$BATS_FILE_TMPDIR/terminal.py" "$@"; }

@test "Ctrl-C and Ctrl-\\ end the program by their signals" {
    on_tty '\x03' outrigger run p busybox sleep 100 | grep 'status 0 signal 2$'
    on_tty '\x03' outrigger run p busybox cat | grep 'status 0 signal 2$'
    on_tty '\x1c' outrigger run p busybox cat | grep 'status 0 signal 3$'
    eventually 5 contexts_are p 0
}

@test "Ctrl-Z stops the program, SIGCONT goes on" {
    run on_tty 'one\n \x1a two\n three\n \x04' outrigger run p busybox cat
    echo "$output"
    [[ $output == *stopped*two*"status 0 signal 0"* ]]
}

@test "a program reads lines and sees its terminal" {
    run on_tty 'hello\n \x04' outrigger run p busybox cat
    [[ $output == *hello*hello*"status 0 signal 0"* ]]
    run on_tty ' ' outrigger run p busybox sh -c 'test -t 0 && test -t 1 && exit 5'
    [[ $output == *"status 5 signal 0"* ]]
}

@test "a handler of the program's own gets Ctrl-C" {
    run on_tty '\x03' outrigger run p busybox sh -c 'trap "echo trapped; exit 7" INT; while :; do sleep 0.1; done'
    echo "$output"
    [[ $output == *trapped*"status 7 signal 0"* ]]
}

@test "a reader that goes away ends the writer by SIGPIPE" {
    local status
    outrigger run p busybox yes | head -n 1 >/dev/null
    status=${PIPESTATUS[0]}
    [ "$status" -eq 141 ]
}
