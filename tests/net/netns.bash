# SPDX-License-Identifier: BSD-2-Clause
# For the bats files here: a network namespace of its own for each test, with a
# TAP device between Linux (10.9.0.1, fd09::1) and netrun (10.9.0.2, fd09::2).

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
netrun=$root/build/bin/netrun

net_setup() {
    [ "$(id -u)" -eq 0 ] || skip "needs root for a network namespace"
    [ -e /dev/net/tun ] || skip "this machine has no /dev/net/tun"
    ns=otr-net-$$-$BATS_TEST_NUMBER
    dir=$BATS_TEST_TMPDIR
    ip netns add "$ns" || skip "this machine makes no network namespaces"
    in_ns ip link set lo up
    in_ns ip tuntap add tap0 mode tap
    in_ns ip addr add 10.9.0.1/24 dev tap0
    in_ns ip -6 addr add fd09::1/64 dev tap0 nodad
    in_ns ip link set tap0 mtu "${1:-1500}" up
}

net_teardown() {
    [ -n "${ns:-}" ] || return 0
    if [ -n "${netrun_pid:-}" ]; then
        kill "$netrun_pid" 2>/dev/null || true
        wait "$netrun_pid" 2>/dev/null || true
    fi
    ip netns del "$ns" 2>/dev/null || true
}

in_ns() { ip netns exec "$ns" "$@"; }

# start_server [netrun options]: `netrun serve` in the background, ready when it returns.
start_server() {
    # Not through in_ns, so that the process id is netrun's own.
    ip netns exec "$ns" "$netrun" --addr 10.9.0.2/24 --addr fd09::2/64 --state "$dir/state" --json "$@" serve 2>"$dir/netrun.log" &
    netrun_pid=$!
    local i
    for i in $(seq 50); do
        in_ns ping -c 1 -W 1 -q 10.9.0.2 >/dev/null && return
        sleep 0.1
    done
    echo "netrun does not answer:"; cat "$dir/netrun.log"
    return 1
}

# counter NAME: a counter of the running server.
counter() {
    rm -f "$dir/state"
    kill -USR1 "$netrun_pid"
    local i
    for i in $(seq 50); do
        [ -s "$dir/state" ] && break
        sleep 0.05
    done
    sed -n "s/^ *\"$1\": *\([0-9]*\),*$/\1/p" "$dir/state"
}

digest() { sha256sum | cut -d' ' -f1; }
random_file() { head -c "$1" /dev/urandom >"$dir/data"; digest <"$dir/data"; }
