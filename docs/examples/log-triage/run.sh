#!/bin/sh
# usage: run.sh [--machine] [--keep] [BIN_DIRECTORY]
# Plays the whole example: keys, node, signature, run, report, log. Without --machine over a set of logs that it
# makes; with --machine over /var/log itself where this user may read all of it, else over copies of what may be read.
# BIN_DIRECTORY holds taper and taper-spawnd; without it they are taken from PATH. Everything lives in a directory that is
# removed at the end (--keep leaves it). Needs no network and no root.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
machine=no keep=no bin=
for word in "$@"; do
  case $word in
    --machine) machine=yes ;;
    --keep) keep=yes ;;
    -*) sed -n '2,5p' "$0" >&2; exit 2 ;;
    *) bin=$(cd "$word" && pwd) ;;
  esac
done
[ -z "$bin" ] || PATH=$bin:$PATH
command -v taper >/dev/null || { echo "taper is not on PATH; name its folder: run.sh build/release/bin" >&2; exit 2; }

work=$(cd "$(mktemp -d)" && pwd -P)
[ $keep = yes ] || trap 'rm -rf "$work"' EXIT
cd "$work"
mkdir centre agent edge logs reports

logs=$work/logs
# A tool started by root sees in /var/log what the tree's owner and everybody may; one started by a user sees what this
# user may. Where that is not everything, or is no text, readable parts are copied.
whole_machine() {
  [ -n "$(find /var/log -type f -name '*.log' -size +0 2>/dev/null | head -1)" ] || return 1
  if [ "$(id -u)" -eq 0 ]; then
    closed=$(find /var/log '(' -type f -o -type d ')' ! -user "$(stat -c %U /var/log)" ! -perm -o=r | head -1)
  else
    closed=$(find /var/log '(' -type f -o -type d ')' ! -readable 2>&1 | head -1)
  fi
  [ -z "$closed" ] && grep -r -I -s -m 20 -E 'ALARM|ERROR|error|fail' /var/log > sample &&
    iconv -f UTF-8 -t UTF-8 sample > /dev/null 2>&1
}
if [ $machine = yes ] && whole_machine; then
  logs=/var/log
elif [ $machine = yes ]; then
  find /var/log -type f -readable -size +0 -name '*.log' 2>/dev/null | head -50 | while read -r file; do
    tail -c 60000 "$file" | iconv -c -t UTF-8 | tr -d '\000' > "logs/$(echo "${file#/var/log/}" | tr / _)"
  done
  # Without an alarm there would be nothing to report.
  grep -qrE 'ALARM|ERROR|error|fail' logs || rm -f logs/*
fi
if [ "$logs" != /var/log ] && [ -z "$(ls logs)" ]; then
  for pump in 05 06 07; do
    for minute in 00 10 20 30 40 50; do
      echo "2026-11-20T06:$minute:00Z pump-$pump INFO  flow 41.$minute l/s"
      case $pump$minute in
        0710 | 0730) echo "2026-11-20T06:$minute:05Z pump-$pump ALARM bearing temperature 9${pump#0} C" ;;
        0540) echo "2026-11-20T06:$minute:05Z pump-$pump ERROR no answer from the flow sensor" ;;
      esac
    done > logs/pump-$pump.log
  done
fi
newest=$(find "$logs" -type f -name '*.log' -size +0 -printf '%T@ %p\n' | sort -rn | head -1 | cut -d' ' -f2-)
echo "# The logs of $logs"

say() { echo "\$ $*"; "$@"; }

echo "# The centre and the agent"
say taper key new --role root --out centre/root.key --no-passphrase
say taper key new --role issuer --out centre/issuer.key --no-passphrase
say taper key new --role holder --out agent/agent.key --no-passphrase
say taper root init --key centre/root.key --issuer centre/issuer.pub --out centre/root.tpr

echo "# The node"
say taper node init --state edge/state --name edge-7
say taper import --state edge/state centre/root.tpr
cp "$here/grep.toml" edge/state/tools.d/grep.toml
case $(stat -c %u /usr/bin/grep) in
  0 | "$(id -u)") ;;
  *) # In a user namespace root's files belong to nobody, and nobody's program is no tool: use a copy of ours.
    cp /usr/bin/grep edge/grep
    sed -i "s|/usr/bin/grep|$work/edge/grep|" edge/state/tools.d/grep.toml ;;
esac
chmod 644 edge/state/tools.d/grep.toml
taper tools list --state edge/state --json > centre/tools.json

echo "# The centre signs the runbook"
grep_digest=$(grep -o '{[^{]*"name":"grep"[^[]*' centre/tools.json | grep -o '[0-9a-f]\{64\}')
sed -e "s|LOGS|$logs|g" -e "s|REPORT|$work/reports/today.txt|g" -e "s|\"GREP\"|\"$grep_digest\"|" \
  "$here/task.toml" > centre/task.toml
say taper capsule lint centre/task.toml --root centre/root.tpr --issuer centre/issuer.pub --tools centre/tools.json
say taper capsule sign centre/task.toml --key centre/issuer.key --root centre/root.tpr \
  --node edge/state/node.pub --holder agent/agent.pub --tools centre/tools.json --out task.capsule

echo "# The node runs it"
say taper run task.capsule --key agent/agent.key --state edge/state --input "newest=$newest"

echo "# The report"
head -20 reports/today.txt | cut -c1-160
echo "($(wc -l < reports/today.txt) lines)"
[ $machine = yes ] || grep -q "pump-07 ALARM" reports/today.txt

echo "# The log goes back to the centre"
say taper audit export --state edge/state --out centre/log.tpa
say taper audit verify centre/log.tpa --node edge/state/node.pub
[ $keep = no ] || echo "kept: $work"
