#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# The large digests, for tests/soak/net-digest.

load ../netns
setup() { net_setup; }
teardown() { net_teardown; }

# download BYTES SECONDS [netrun options]: what the source sends arrives whole.
# Byte i is i * 167 + (i >> 8), so the digest of its first bytes is known from a clean transfer.
download() {
    local bytes=$1 limit=$2
    shift 2
    start_server
    want=$(in_ns timeout 600 curl -sf "http://10.9.0.2/bytes/$bytes" | digest)
    kill "$netrun_pid"; wait "$netrun_pid" || true
    start_server "$@"
    [ "$(in_ns timeout "$limit" curl -sf "http://10.9.0.2/bytes/$bytes" | digest)" = "$want" ]
}

# upload BYTES SECONDS [netrun options]: what Linux sends arrives whole.
upload() {
    local bytes=$1 limit=$2
    shift 2
    want=$(random_file "$bytes")
    in_ns timeout "$limit" "$netrun" --addr 10.9.0.2/24 "$@" listen 9000 </dev/null >"$dir/got" 3>&- &
    local receiver=$!
    sleep 1
    in_ns timeout "$limit" nc -N 10.9.0.2 9000 <"$dir/data"
    wait "$receiver"
    [ "$(digest <"$dir/got")" = "$want" ]
}

@test "net: 10 GB at no loss" { download 10000000000 1200 --offload; }
@test "net: 1 GB at 1 % loss" { download 1000000000 2400 --impair "loss=1%,delay=500us,seed=21"; }
@test "net: 20 MB at 20 % loss" { download 20000000 2400 --impair "loss=20%,delay=500us,seed=22"; }
@test "net: 20 MB at 20 % loss, to us" { upload 20000000 2400 --impair "loss=20%,delay=500us,seed=23"; }
