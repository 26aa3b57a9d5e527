#!/bin/sh
# usage: run_fuzz.sh PROGRAM CORPUS SECONDS ["" | _planted]
# Plain: no input found in SECONDS may crash. Planted: a crash must be found, within ten times SECONDS.
set -eu
program=$1 corpus=$2 seconds=$3 variant=$4
[ -n "$(ls -A "$corpus" 2>/dev/null)" ] || { echo "no corpus in $corpus"; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/new"
options="-rss_limit_mb=2048 -timeout=10 -max_len=131072 -print_final_stats=1 -verbosity=0"
if [ -z "$variant" ]; then
  # shellcheck disable=SC2086
  exec "$program" $options -max_total_time="$seconds" -artifact_prefix="$work/" "$work/new" "$corpus"
fi
# shellcheck disable=SC2086
if "$program" $options -seed=1 -mutate_depth=1 -max_total_time=$((seconds * 10)) -artifact_prefix="$work/" "$work/new" "$corpus" >"$work/out" 2>&1; then
  echo "the planted bug was not found"
  exit 1
fi
grep -q 'planted bug reached' "$work/out" || { tail -20 "$work/out"; echo "it crashed elsewhere"; exit 1; }
echo "the planted bug was found"
