#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# Links from the smallest MTU to jumbo frames.

load netns
teardown() { net_teardown; }

exchange() {
    net_setup "$1"
    start_server --mtu "$1"
    want=$(random_file 8388608)
    [ "$(in_ns timeout 60 nc -N 10.9.0.2 7 <"$dir/data" | digest)" = "$want" ]
    [ "$1" -lt 1280 ] || [ "$(in_ns timeout 60 nc -N fd09::2 7 <"$dir/data" | digest)" = "$want" ]
    in_ns ping -c 1 -W 2 -s 20000 10.9.0.2
}

@test "net: MTU 576" { exchange 576; }
@test "net: MTU 1280" { exchange 1280; }
@test "net: MTU 9000" { exchange 9000; }

@test "net: a smaller MTU on the way is found by Linux's ICMP" {
    net_setup 1500
    # Linux routes between the TAP and a narrow link to a second namespace.
    ip netns add "$ns-far"
    in_ns ip link add v0 mtu 1000 type veth peer name v1 mtu 1000 netns "$ns-far"
    in_ns ip addr add 10.8.0.1/24 dev v0
    in_ns ip link set v0 up
    in_ns sysctl -qw net.ipv4.ip_forward=1
    ip netns exec "$ns-far" ip addr add 10.8.0.2/24 dev v1
    ip netns exec "$ns-far" ip link set v1 up
    ip netns exec "$ns-far" ip route add default via 10.8.0.1
    # The far side announces a large segment size, so that only ICMP can tell.
    ip netns exec "$ns-far" ip route change default via 10.8.0.1 advmss 1460
    want=$(random_file 4194304)
    ip netns exec "$ns-far" timeout 60 nc -l 10.8.0.2 8000 </dev/null >"$dir/back" &
    peer=$!
    sleep 0.5
    in_ns timeout 60 "$netrun" --addr 10.9.0.2/24 --gateway 10.9.0.1 connect 10.8.0.2 8000 <"$dir/data"
    wait "$peer" || true
    ip netns del "$ns-far"
    [ "$(digest <"$dir/back")" = "$want" ]
}
