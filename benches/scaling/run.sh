#!/usr/bin/env bash
# Builds the binary with PostgreSQL and prints the table; arguments go to run.py (see --help).
set -euo pipefail
cd "$(dirname "$0")"

for tool in cargo python3 pg_config; do
  command -v "$tool" >/dev/null || { echo "run.sh: $tool is missing; see README.md" >&2; exit 2; }
done
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/../../target}
cargo build --release --locked --features postgres --manifest-path ../../Cargo.toml --bin hn-ingest
exec python3 run.py --bin "$CARGO_TARGET_DIR/release/hn-ingest" "$@"
