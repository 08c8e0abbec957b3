#!/usr/bin/env bash
# What a `follow` in the same process costs readers: items of `serve`, with and without it, over 50 connections at a fixed rate.
#
#   benches/serve/follow.sh [RATE]    # made-up items and changes per second; 5 by default, five times as many as Hacker News
set -euo pipefail
source "$(dirname "$0")/lib.sh"
rate=${1:-5}
