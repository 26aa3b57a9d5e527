#!/bin/sh
# usage: as_user.sh BIN_DIRECTORY FOLDER SCRIPT [ARGUMENT...]
# Runs FOLDER/SCRIPT as an ordinary user, from copies that this user can reach; started by root, also in a
# network namespace with no interface up. The word @BIN@ among the arguments stands for the copy of BIN_DIRECTORY.
set -eu
bin=$1 folder=$2 script=$3
shift 3
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
chmod 755 "$copy"
mkdir "$copy/bin"
cp "$bin/taper" "$bin/taper-spawnd" "$bin/taper-upstream" "$bin/taper-agent" "$copy/bin"
[ ! -e "$bin/libtrue_timers.so" ] || cp "$bin/libtrue_timers.so" "$copy/bin"
cp -r "$folder" "$copy/folder"
chmod -R a+rX "$copy"
set -- "$copy/folder/$script" $(for word in "$@"; do
  [ "$word" = @BIN@ ] && echo "$copy/bin" || echo "$word"
done)
case $script in *.py) set -- /usr/bin/python3 "$@" ;; esac
cd "$copy"
if [ "$(id -u)" -ne 0 ]; then
  "$@"
elif unshare --net true 2>/dev/null; then
  unshare --net setpriv --reuid=21212 --regid=21212 --clear-groups --bounding-set=-all "$@"
else
  echo "note: no network namespace here" >&2
  setpriv --reuid=21212 --regid=21212 --clear-groups --bounding-set=-all "$@"
fi
