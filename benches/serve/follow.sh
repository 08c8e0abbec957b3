#!/usr/bin/env bash
# What a `follow` in the same process costs readers: latencies of items of `serve`, with and without `--follow`, in alternation. The
# readers ask about 1,500 times per second over 16 connections, so that they do not wait for each other.
#
#   benches/serve/follow.sh [RATE]    # new items per second of the API; 5 by default, over ten times as many as on Hacker News
set -euo pipefail
source "$(dirname "$0")/lib.sh"
rate=${1:-5}
install wrk wrk

taskset -c 1 "$hn_ingest" mock-api --live "$rate/s" --latency 20ms >api.log &
pids+=($!)
until grep -q http api.log; do sleep 0.1; done
api=$(head -1 api.log)
"$hn_ingest" backfill --api-url "$api" --last 20000 --database hn.db --workers 64 --progress never --search-index all >/dev/null
cp hn.db followed.db

start_serve serve --database hn.db
without=$address
start_serve follow --database followed.db --follow --api-url "$api"
with=$address

cat >paced.lua <<LUA
math.randomseed(1)
request = function() return wrk.format("GET", "/v0/item/" .. (1000000 - math.random(20000)) .. ".json") end
delay = function() return 10 end
LUA
for round in 1 2 3; do
    echo "without follow  $(measure "$without" 16 paced.lua)"
    echo "with follow     $(measure "$with" 16 paced.lua)"
done
