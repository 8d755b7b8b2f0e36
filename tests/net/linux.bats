#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# The stack against Linux on a clean link.

load netns
setup() { net_setup; }
teardown() { net_teardown; }

@test "net: ping, fragmented too, over IPv4 and IPv6" {
    start_server
    in_ns ping -c 3 -i 0.1 -W 2 10.9.0.2
    in_ns ping -c 3 -i 0.1 -W 2 fd09::2
    in_ns ping -c 2 -i 0.1 -W 2 -s 6000 10.9.0.2
    in_ns ping -c 2 -i 0.1 -W 2 -s 6000 fd09::2
}

@test "net: tracepath reaches it and finds the MTU" {
    start_server
    run in_ns tracepath -n 10.9.0.2
    [[ $output == *"pmtu 1500"* && $output == *reached* ]]
}

@test "net: HTTP to curl over IPv4 and IPv6" {
    start_server
    [ "$(in_ns curl -sf -m 10 http://10.9.0.2/)" = "hello from the other side" ]
    [ "$(in_ns curl -sf -m 10 'http://[fd09::2]/')" = "hello from the other side" ]
    [ "$(in_ns curl -sf -m 30 http://10.9.0.2/bytes/50000000 | wc -c)" -eq 50000000 ]
}

@test "net: what goes through echo comes back, 64 MB" {
    start_server
    want=$(random_file 67108864)
    [ "$(in_ns timeout 60 nc -N 10.9.0.2 7 <"$dir/data" | digest)" = "$want" ]
    [ "$(in_ns timeout 60 nc -N fd09::2 7 <"$dir/data" | digest)" = "$want" ]
}

@test "net: the same with checksums and segmentation by the device" {
    start_server --offload
    want=$(random_file 67108864)
    [ "$(in_ns timeout 60 nc -N 10.9.0.2 7 <"$dir/data" | digest)" = "$want" ]
    [ "$(in_ns timeout 60 nc -N fd09::2 7 <"$dir/data" | digest)" = "$want" ]
}

@test "net: as a client it fetches from and sends to Linux" {
    want=$(random_file 33554432)
    in_ns timeout 60 nc -N -l 10.9.0.1 8000 <"$dir/data" >"$dir/back" &
    peer=$!
    for _ in {1..100}; do # until it listens, however busy the machine is
        in_ns ss -Hltn 'sport = :8000' | grep -q . && break
        sleep 0.1
    done
    got=$(in_ns timeout 60 "$netrun" --addr 10.9.0.2/24 connect 10.9.0.1 8000 <"$dir/data" | digest)
    wait "$peer"
    [ "$got" = "$want" ]
    [ "$(digest <"$dir/back")" = "$want" ]
}

@test "net: a refused connection says so" {
    run in_ns timeout 20 "$netrun" --addr 10.9.0.2/24 connect 10.9.0.1 8001 </dev/null
    [ "$status" -ne 0 ]
    [[ $output == *"refused"* ]]
}

@test "net: checksums are right in the eyes of tcpdump" {
    start_server --pcap "$dir/capture"
    in_ns curl -sf -m 10 http://10.9.0.2/bytes/100000 >/dev/null
    in_ns curl -sf -m 10 'http://[fd09::2]/bytes/100000' >/dev/null
    in_ns ping -c 1 fd09::2
    kill "$netrun_pid"; wait "$netrun_pid" || true
    tcpdump -nr "$dir/capture" -vv >"$dir/text" 2>/dev/null
    [ "$(wc -l <"$dir/text")" -gt 100 ]
    run grep -ciE 'incorrect|bad cksum|bad udp' "$dir/text"
    [ "$output" -eq 0 ]
}

@test "net: 50 connections of wrk at once, none fails" {
    start_server
    run in_ns wrk -t 1 -c 50 -d 3 --timeout 10s http://10.9.0.2/ # its own 2 s are nothing on a starved machine
    echo "$output"
    [ "$status" -eq 0 ]
    [[ $output != *"Socket errors"* && $output != *"Non-2xx"* ]]
}

@test "net: UDP echo" {
    start_server
    [ "$(echo datagram | in_ns timeout 5 nc -u -w 1 10.9.0.2 7)" = datagram ]
    [ "$(echo datagram | in_ns timeout 5 nc -u -w 1 fd09::2 7)" = datagram ]
}

@test "net: nobody listens, Linux hears it at once" {
    start_server
    run in_ns timeout 5 nc -z 10.9.0.2 4444
    [ "$status" -eq 1 ]
    run in_ns timeout 5 curl -s -m 3 'http://[fd09::2]:4444/'
    [ "$status" -eq 7 ]
}

@test "net: over a packet socket on an interface of Linux, offloads included" {
    in_ns ip link add veth0 type veth peer name veth1
    in_ns ip addr add 10.9.1.1/24 dev veth0
    in_ns ip link set veth0 up
    in_ns ip link set veth1 up
    local o
    for o in "" --offload; do
        # shellcheck disable=SC2086
        ip netns exec "$ns" "$netrun" --packet veth1 --addr 10.9.1.2/24 $o serve 2>"$dir/netrun.log" &
        netrun_pid=$!
        for _ in $(seq 50); do in_ns ping -c 1 -W 1 -q 10.9.1.2 >/dev/null && break; sleep 0.1; done
        [ "$(in_ns curl -sf -m 20 http://10.9.1.2/bytes/3000000 | wc -c)" -eq 3000000 ]
        want=$(random_file 3000000)
        [ "$(in_ns timeout 20 nc -N 10.9.1.2 7 <"$dir/data" | digest)" = "$want" ]
        kill "$netrun_pid"; wait "$netrun_pid" || true
    done
}

@test "net: an address is obtained by DHCP and used" {
    ip netns exec "$ns" dnsmasq --no-daemon --port=0 --interface=tap0 --bind-interfaces --dhcp-range=10.9.0.50,10.9.0.60,255.255.255.0,2m \
        --dhcp-leasefile="$dir/leases" --pid-file= --no-resolv --no-hosts --conf-file=/dev/null >"$dir/dnsmasq.log" 2>&1 &
    server=$!
    ip netns exec "$ns" "$netrun" dhcp >"$dir/out" 2>"$dir/netrun.log" &
    netrun_pid=$!
    for _ in $(seq 150); do grep -q '^dhcp ' "$dir/out" && break; sleep 0.1; done
    addr=$(sed -n 's,^dhcp \(.*\)/24$,\1,p' "$dir/out")
    [[ $addr == 10.9.0.5? || $addr == 10.9.0.60 ]]
    in_ns ping -c 1 -W 2 "$addr"
    [ "$(in_ns curl -sf -m 10 "http://$addr/")" = "hello from the other side" ]
    kill "$server"
}

@test "net: a probed address that Linux holds is not used" {
    in_ns timeout 8 "$netrun" --addr 10.9.0.1/24 --probe serve 2>"$dir/log" || true
    grep -q "address conflict" "$dir/log"
}
