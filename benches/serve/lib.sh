# What the scripts of this folder share. They need two cores: servers run on core 0, the load on core 1.

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
hn_ingest=${HN_INGEST:-$repository/target/release/hn-ingest}
if [ -z "${HN_INGEST:-}" ]; then
    cargo build --release --locked --manifest-path "$repository/Cargo.toml"
fi
folder=$(mktemp -d)
pids=()
trap finish EXIT
cd "$folder"

finish() {
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null && wait "$pid" || true; done
    rm -rf "$folder"
}

# install COMMAND PACKAGE
install() {
    command -v "$1" >/dev/null && return
    local as_root
    as_root=$([ "$(id -u)" = 0 ] || echo sudo)
    $as_root apt-get update -q
    DEBIAN_FRONTEND=noninteractive $as_root apt-get install -qy --no-install-recommends "$2"
}

# mirror FILE ITEMS [OPTION...]: a database of the newest made-up items.
mirror() {
    local file=$1 items=$2
    shift 2
    "$hn_ingest" backfill --demo --last "$items" --database "$file" --workers 64 --progress never "$@" >/dev/null
}

# start_serve NAME OPTION...: sets `address` to the URL of a server, without a slash at the end.
start_serve() {
    local log=$1.log
    shift
    taskset -c 0 "$hn_ingest" serve --bind 127.0.0.1:0 "$@" >"$log" 2>&1 &
    pids+=($!)
    until grep -q 'http://127' "$log"; do
        kill -0 $! || { cat "$log" >&2; exit 1; }
        sleep 0.1
    done
    address=$(grep -o 'http://127[0-9.:]*' "$log" | head -1)
}

# measure URL CONNECTIONS [SCRIPT]: requests per second and latencies of five seconds.
measure() {
    taskset -c 1 wrk -t1 -c"$2" -d5s ${3:+-s "$3"} --latency "$1" |
        awk '/Requests\/sec/ {r=$2} /50%/ {a=$2} /99%/ {b=$2} /Non-2xx/ {e=$0} END {print r, "requests/s, p50", a ", p99", b, e}'
}
