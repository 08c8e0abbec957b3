#!/usr/bin/env bash
# Builds both Rust programs, makes a Python environment, and runs the comparison; arguments go to run.py (see --help).
set -euo pipefail
cd "$(dirname "$0")"

need() {
  for tool in "$@"; do
    command -v "$tool" >/dev/null || { echo "run.sh: $tool is missing; see README.md" >&2; exit 2; }
  done
}

need cargo nginx wrk python3 openssl
venv=${COMPARE_VENV:-target/venv}
[ -x "$venv/bin/python" ] || python3 -m venv "$venv"
"$venv/bin/pip" install --quiet --disable-pip-version-check -r requirements.txt

target=${CARGO_TARGET_DIR:-$PWD/target}
export CARGO_TARGET_DIR=$target
cargo build --release --locked --manifest-path ../../Cargo.toml --bin hn-ingest
cargo build --release --locked --manifest-path plain-rust/Cargo.toml
exec "$venv/bin/python" run.py --bin "$target/release" "$@"
