#!/usr/bin/env bash
# Compares items as JSON of `serve`, of nginx as static files, and of Datasette from the same database. Installs what is missing.
#
#   benches/serve/items.sh [ITEMS]    # 10000 by default, which fit into the memory of each server
set -euo pipefail
source "$(dirname "$0")/lib.sh"
items=${1:-10000}
install nginx nginx-light
install wrk wrk
install curl curl
python3 -m venv venv && venv/bin/pip install -q datasette

mirror hn.db "$items"
last=1000000 first=$((1000000 - items + 1))

start_serve serve --database hn.db
serve=$address

# The same bodies as files.
mkdir -p html/v0/item
(cd html/v0/item && seq $first $last | sed "s|.*|url = $serve/v0/item/&.json\noutput = &.json|" | curl -s -K -)
chmod -R a+rX "$folder"
cat >nginx.conf <<CONF
daemon off; worker_processes 1; worker_rlimit_nofile $((items + 2000)); pid $folder/nginx.pid; error_log $folder/error.log;
events { worker_connections 1024; }
http {
    access_log off; sendfile on; tcp_nopush on; keepalive_requests 100000000;
    default_type application/json; types { }
    open_file_cache max=$items inactive=600s;
    client_body_temp_path $folder/b; proxy_temp_path $folder/p; fastcgi_temp_path $folder/f; uwsgi_temp_path $folder/u; scgi_temp_path $folder/s;
    server { listen 127.0.0.1:18099; root $folder/html; }
}
CONF
taskset -c 0 nginx -p "$folder" -c "$folder/nginx.conf" 2>nginx.log &
pids+=($!)

taskset -c 0 venv/bin/datasette serve -i hn.db --port 18098 --setting num_sql_threads 1 >datasette.log 2>&1 &
pids+=($!)
until curl -sf -o /dev/null http://127.0.0.1:18098/hn/items/$last.json; do sleep 0.1; done

# paths NAME PREFIX SUFFIX: a script for wrk that asks for items at random.
paths() {
    cat >"$1.lua" <<LUA
math.randomseed(1)
request = function() return wrk.format("GET", "$2" .. math.random($first, $last) .. "$3") end
LUA
}
paths v0 /v0/item/ .json
paths datasette /hn/items/ ".json?_shape=objects"
for round in 1 2 3; do
    echo "nginx      $(measure http://127.0.0.1:18099 32 v0.lua)"
    echo "serve      $(measure "$serve" 32 v0.lua)"
    echo "datasette  $(measure http://127.0.0.1:18098 32 datasette.lua)"
done
