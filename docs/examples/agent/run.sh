#!/bin/sh
# usage: run.sh [--keep] [BIN_DIRECTORY]
# Plays the whole example: a node that declares an agent's program, a capsule that pins it and grants it three tools, a run, and a
# program that changed. BIN_DIRECTORY holds taper, taper-spawnd and taper-agent; without it they are taken from PATH.
# Everything lives in a directory that is removed at the end (--keep leaves it). Needs no network and no root.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
keep=no bin=
for word in "$@"; do
  case $word in
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
mkdir centre holder edge logs reports agent
printf 'ok\nALARM pressure\nALARM heat\n' > logs/pump-07.log
printf 'ok\nok\n' > logs/pump-08.log
cp "$here/agent.py" agent/
say() { echo "\$ $*"; "$@"; }
# Runs what must fail with the exit code named first.
fails() {
  code=$1; shift
  echo "\$ $*"
  got=0; "$@" || got=$?
  [ $got = "$code" ] || { echo "exit $got instead of $code" >&2; exit 1; }
}
put() { sed -e "s|AGENT|$work/agent|g" -e "s|LOGS|$work/logs|g" -e "s|REPORTS|$work/reports|g" -e "s|DIGEST|${digest:-}|" "$1"; }

taper key new --role root --out centre/root.key --no-passphrase >/dev/null
taper key new --role issuer --out centre/issuer.key --no-passphrase >/dev/null
taper key new --role holder --out holder/agent.key --no-passphrase >/dev/null
taper root init --key centre/root.key --issuer centre/issuer.pub --out centre/root.tpr
taper node init --state edge/state --name edge-7
taper import --state edge/state centre/root.tpr

echo "# The node declares the program: that allows it nothing"
put "$here/reporter.toml" > edge/state/tools.d/reporter.toml
chmod 644 edge/state/tools.d/reporter.toml
say taper tools list --state edge/state
taper tools list --state edge/state --json > centre/tools.json

echo "# The centre pins it in a capsule, with three tools"
digest=$(python3 -c 'import json, sys
print(*(tool["digest"] for tool in json.load(open(sys.argv[1]))["tools"] if tool["name"] == sys.argv[2]))' \
  centre/tools.json reporter)
put "$here/task.toml" > centre/task.toml
say taper capsule sign centre/task.toml --key centre/issuer.key --root centre/root.tpr \
  --node edge/state/node.pub --holder holder/agent.pub --tools centre/tools.json --out task.capsule
say taper run task.capsule --key holder/agent.key --state edge/state
cat reports/alarms.txt
grep -q 'pump-07.log: 2 alarms' reports/alarms.txt

echo "# Again: another task of the same capsule, with what is left of its budgets"
say taper run task.capsule --key holder/agent.key --state edge/state

echo "# The program changes: what was signed is not what is there"
echo 'print("and something else")' >> agent/agent.py
fails 3 taper run task.capsule --key holder/agent.key --state edge/state 2> refused.txt
cat refused.txt
grep -q E509 refused.txt
[ $keep = no ] || echo "kept: $work"
