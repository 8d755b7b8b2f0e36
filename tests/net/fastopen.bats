#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# Fast Open (RFC 7413) between the stack and Linux, both ways.

load netns
setup() { net_setup; in_ns sysctl -qw net.ipv4.tcp_fastopen=3; }
teardown() {
    [ -z "${server:-}" ] || kill "$server" 2>/dev/null || true
    net_teardown
}

# linux_counter NAME: of /proc/net/netstat in the namespace.
linux_counter() {
    in_ns awk -v name="$1" '/^TcpExt/ { if (!n) n = split($0, names); else { split($0, v); for (k = 1; k <= n; k++) if (names[k] == name) print v[k] } }' /proc/net/netstat
}

# A server of Linux at ADDR, port 8000, that takes Fast Open and closes after its answer.
start_linux_server() {
    : >"$dir/server.log" # an earlier one's word does not count
    in_ns python3 -u - "$1" >"$dir/server.log" 2>&1 3>&- <<'PY' &
import socket, sys
s = socket.create_server((sys.argv[1], 8000), family=socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET)
s.setsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN, 16)
print("ready")
while True:
    c = s.accept()[0]
    got = c.recv(4096)
    c.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + b"got %d\n" % len(got))
    c.close()
PY
    server=$!
    for _ in $(seq 100); do grep -q ready "$dir/server.log" && return; sleep 0.1; done
    return 1
}

@test "fast open: Linux's second request comes with the SYN and is answered" {
    start_server
    local addr
    for addr in 10.9.0.2 '[fd09::2]'; do
        [ "$(in_ns curl -sf --tcp-fastopen -m 10 "http://$addr/")" = "hello from the other side" ]
    done
    [ "$(counter tcp_fastopen_in)" -eq 0 ] # only now they have a cookie
    for addr in 10.9.0.2 '[fd09::2]'; do
        [ "$(in_ns curl -sf --tcp-fastopen -m 10 "http://$addr/")" = "hello from the other side" ]
    done
    [ "$(counter tcp_fastopen_in)" -eq 2 ]
    [ "$(linux_counter TCPFastOpenActive)" -eq 2 ]
}

@test "fast open: the stack's second request comes with the SYN and Linux takes it" {
    local addr
    for addr in 10.9.0.1 fd09::1; do
        start_linux_server "$addr"
        run in_ns timeout 20 "$netrun" --addr 10.9.0.2/24 --addr fd09::2/64 --state "$dir/state" --json --fast-open --times 3 get "$addr" 8000 /something
        kill "$server"; wait "$server" || true
        [ "$status" -eq 0 ]
        [ "$(grep -c '^got ' <<<"$output")" -eq 3 ]
        grep -q '"tcp_fastopen_out": *2' "$dir/state"
    done
    [ "$(linux_counter TCPFastOpenPassive)" -eq 4 ]
}
