#!/bin/sh
# usage: run.sh [--keep] [BIN_DIRECTORY]
# Plays the whole example: a node that declares and pins an MCP server, a capsule that grants one of its tools, a run, and a
# server that changed. BIN_DIRECTORY holds taper, taper-spawnd and taper-upstream; without it they are taken from PATH.
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
mkdir centre agent edge meters server
printf '41.5\n41.0\n40.5\n' > meters/pump-07
cp "$here/server.py" server/
say() { echo "\$ $*"; "$@"; }
# Runs what must fail with the exit code named first.
fails() {
  code=$1; shift
  echo "\$ $*"
  got=0; "$@" || got=$?
  [ $got = "$code" ] || { echo "exit $got instead of $code" >&2; exit 1; }
}

taper key new --role root --out centre/root.key --no-passphrase >/dev/null
taper key new --role issuer --out centre/issuer.key --no-passphrase >/dev/null
taper key new --role holder --out agent/agent.key --no-passphrase >/dev/null
taper root init --key centre/root.key --issuer centre/issuer.pub --out centre/root.tpr
taper node init --state edge/state --name edge-7
taper import --state edge/state centre/root.tpr

echo "# The node declares the server, and pins the tools that it tells of"
sed "s|SERVER|$work/server|g" "$here/meters.toml" > edge/state/tools.d/meters.toml
chmod 644 edge/state/tools.d/meters.toml
say taper tools pin meters --state edge/state
taper tools list --state edge/state --json > centre/tools.json

echo "# The centre grants one of them, for one folder"
digest=$(python3 -c 'import json, sys
print(*(tool["digest"] for tool in json.load(open(sys.argv[1]))["tools"] if tool["name"] == sys.argv[2]))' \
  centre/tools.json meters.read_meter)
sed -e "s|METERS|$work/meters|g" -e "s|DIGEST|$digest|" "$here/task.toml" > centre/task.toml
say taper capsule sign centre/task.toml --key centre/issuer.key --root centre/root.tpr \
  --node edge/state/node.pub --holder agent/agent.pub --tools centre/tools.json --out task.capsule
say taper run task.capsule --key agent/agent.key --state edge/state --results > run.txt
cat run.txt
grep -q 40.5 run.txt

echo "# The server changes: what was signed is not what is there"
sed -i 's/Tells the last numbers/Tells and publishes the last numbers/' server/server.py
fails 4 taper tools pin meters --state edge/state --check
fails 3 taper run task.capsule --key agent/agent.key --state edge/state
[ $keep = no ] || echo "kept: $work"
