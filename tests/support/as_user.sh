#!/bin/sh
# usage: as_user.sh PROGRAM_DIRECTORY PROGRAM [ARGUMENT...]
# Runs a test program as an ordinary user, from a copy that this user can reach. Already one: as it is.
set -eu
directory=$1 program=$2
shift 2
[ "$(id -u)" -eq 0 ] || exec "$directory/$program" "$@"
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
chmod 755 "$copy"
cp "$directory/$program" "$directory/taper-spawnd" "$copy"
for tool in "$directory"/hostile_*; do
  [ ! -e "$tool" ] || cp "$tool" "$copy"
done
cd "$copy"
setpriv --reuid=21212 --regid=21212 --clear-groups --bounding-set=-all "./$program" "$@"
