#!/usr/bin/env bash
# Compares `/v0/item` of `serve` with the same JSON as static files of nginx: one core for the server, another one for wrk, three rounds in
# alternation. Needs two cores, and installs nginx and wrk if they are missing.
#
#   benches/serve/run.sh [ITEMS]    # 20000 by default; what is in memory of `serve` is 64 MiB, so more items read the database more often
set -euo pipefail
cd "$(dirname "$0")/../.."
items=${1:-20000} connections=32 seconds=5 rounds=3

if ! command -v nginx >/dev/null || ! command -v wrk >/dev/null; then
    as_root=$([ "$(id -u)" = 0 ] || echo sudo)
    $as_root apt-get update -q
    DEBIAN_FRONTEND=noninteractive $as_root apt-get install -qy --no-install-recommends nginx-light wrk
fi
cargo build --release --locked
hn_ingest=$PWD/target/release/hn-ingest
folder=$(mktemp -d)
pids=()
finish() {
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null && wait "$pid" || true; done
    rm -rf "$folder"
}
trap finish EXIT
cd "$folder"

first=$((1000001 - items))
seq $first 1000000 | "$hn_ingest" items - --demo --database hn.db --workers 64 --progress never >/dev/null || true

# serve, on core 0
taskset -c 0 "$hn_ingest" serve --database hn.db --bind 127.0.0.1:0 2>serve.log &
pids+=($!)
until grep -q http:// serve.log; do sleep 0.1; done
serve=$(grep -o 'http://[0-9.:]*' serve.log)

# The same bodies as files
mkdir -p html/v0/item
(cd html/v0/item && seq $first 1000000 | sed "s|.*|url = $serve/v0/item/&.json\noutput = &.json|" | curl -s -K -)

# nginx, on core 0
cat >nginx.conf <<CONF
daemon off; worker_processes 1; pid $folder/nginx.pid; error_log $folder/error.log;
events { worker_connections 1024; }
http {
    access_log off; sendfile on; tcp_nopush on; keepalive_requests 100000000;
    default_type application/json; types { }
    open_file_cache max=$items inactive=60s;
    client_body_temp_path $folder/b; proxy_temp_path $folder/p; fastcgi_temp_path $folder/f; uwsgi_temp_path $folder/u; scgi_temp_path $folder/s;
    server { listen 127.0.0.1:18099; root $folder/html; }
}
CONF
chmod -R a+rX "$folder"
taskset -c 0 nginx -p "$folder" -c "$folder/nginx.conf" &
pids+=($!)

cat >ids.lua <<LUA
math.randomseed(1)
request = function() return wrk.format("GET", "/v0/item/" .. math.random($first, 1000000) .. ".json") end
LUA
measure() { taskset -c 1 wrk -t1 -c$connections -d${seconds}s -s ids.lua --latency "$1" | awk '/Requests\/sec/ {r=$2} /50%/ {a=$2} /99%/ {b=$2} /Non-2xx/ {e=$0} END {print r, "requests/s, p50", a, "p99", b, e}'; }
sleep 1
for ((round = 1; round <= rounds; round++)); do
    echo "nginx  $(measure http://127.0.0.1:18099)"
    echo "serve  $(measure "$serve")"
done
