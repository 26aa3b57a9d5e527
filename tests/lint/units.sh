#!/bin/sh
# The service manager reads its files: taperd's unit with a program that is there, the user, the folder.
set -eu
units=$(cd "$(dirname "$0")/../../tools/systemd" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
sed 's#^ExecStart=/usr/bin/taperd#ExecStart=/bin/true#' "$units/taperd.service" >"$scratch/taperd.service"
said=$(systemd-analyze verify "$scratch/taperd.service" 2>&1)
[ -z "$said" ] || { echo "$said"; exit 1; }
grep -q '^ExecReload=.* -HUP ' "$scratch/taperd.service"
mkdir -p "$scratch/root"
systemd-sysusers --dry-run --root="$scratch/root" - <"$units/taper.sysusers" 2>&1 | grep -q "user 'taper'"
# Read, and nothing made: no line is below that prefix.
systemd-tmpfiles --create --prefix=/nowhere --root="$scratch/root" - <"$units/taper.tmpfiles"
