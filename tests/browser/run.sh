#!/usr/bin/env bash
# Runs a command (the browser tests, if none is given) with a fresh Keyfob on the database of the first argument, then looks for every
# secret that was typed in the server's log, in its output and in what was stored.
#   KEYFOB_BIN                the binary; target/debug/keyfob where it is not set
#   KEYFOB_TEST_POSTGRES_URL  the PostgreSQL to make a database in (tests/with-postgres.sh sets it)
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
say() { echo "tests/browser/run.sh: $*" >&2; }
die() { say "$@"; exit 1; }

case ${1:-} in
  sqlite | postgres) database=$1; shift ;;
  *) say "usage: tests/browser/run.sh sqlite|postgres [COMMAND [ARGUMENT...]]"; exit 2 ;;
esac
if [ $# = 0 ]; then
  tests=("$here"/{connect,ended,opener,oauth,oauth-opener,device,discovery}.test.mjs)
  # How the page looks does not depend on the database.
  if [ "$database" = sqlite ]; then tests+=("$here/look.test.mjs"); fi
  # One file after the other: each has a browser of its own, and a machine has few cores.
  set -- node --test --test-concurrency=1 --test-reporter=spec "${tests[@]}"
fi

bin=$(realpath -m "${KEYFOB_BIN:-$here/../../target/debug/keyfob}")
postgres=${KEYFOB_TEST_POSTGRES_URL:-}
[ -x "$bin" ] || die "no binary at $bin: cargo build -p keyfob"
chromium=$(command -v chromium) || die "no Chromium: bash tests/install.sh test"
[ -f "$here/node_modules/.installed" ] || die "no npm packages: bash tests/install.sh test"
if [ "$database" = postgres ] && [ -z "$postgres" ]; then
  die "KEYFOB_TEST_POSTGRES_URL is not set: bash tests/with-postgres.sh bash tests/browser/run.sh postgres"
fi

# Nothing of the caller's own Keyfob may get in.
for name in "${!KEYFOB_@}"; do unset "$name"; done

work=$(mktemp -d)
data=$work/data
server=
name=keyfob_browser_$$_$RANDOM
created=

# Ends the server and waits for it; fails where it has to be forced.
stop_server() {
  [ -n "$server" ] || return 0
  local pid=$server forced=0 try
  server=
  kill -TERM "$pid" 2>/dev/null || true
  for ((try = 0; try < 200; try += 1)); do
    kill -0 "$pid" 2>/dev/null || break
    sleep 0.05
  done
  if kill -KILL "$pid" 2>/dev/null; then forced=1; fi
  wait "$pid" 2>/dev/null || true
  return "$forced"
}

finish() {
  local status=$?
  trap '' INT TERM HUP
  stop_server || true
  if [ "$status" != 0 ] && [ -s "$work/server.log" ]; then
    { echo "--- the server's log, last 100 lines:"; tail -n 100 "$work/server.log"; echo "---"; } >&2
  fi
  if [ -n "$created" ]; then psql "$postgres" -Xqc "drop database if exists $name with (force)" >/dev/null 2>&1 || true; fi
  rm -rf "$work"
  exit "$status"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP

on_database=()
if [ "$database" = postgres ]; then
  psql "$postgres" -Xqc "create database $name" || die "cannot create a database at $postgres"
  created=yes
  query=
  if [[ $postgres == *\?* ]]; then query="?${postgres#*\?}"; fi
  without=${postgres%%\?*}
  export KEYFOB_DATABASE_URL="${without%/*}/$name$query"
  on_database=(--database-url "$KEYFOB_DATABASE_URL")
fi

# --- a fresh server; at `debug`, because nothing secret may be in the log at any level people use ---
# The log is looked into before the server may have made it.
: >"$work/server.log"
# The provider of the OAuth tests is on this machine.
KEYFOB_EGRESS_ALLOW=127.0.0.1 KEYFOB_LISTEN=127.0.0.1:0 KEYFOB_DATA_DIR=$data KEYFOB_LOG=debug "$bin" serve >"$work/server.out" 2>>"$work/server.log" &
server=$!
address=
for ((try = 0; try < 600; try += 1)); do
  address=$(sed -n 's#.*listening on \(http://127\.0\.0\.1:[0-9][0-9]*\).*#\1#p' "$work/server.log" | head -n 1)
  [ -z "$address" ] || break
  kill -0 "$server" 2>/dev/null || die "the server ended before it listened"
  sleep 0.05
done
[ -n "$address" ] || die "the server did not say 'listening on http://127.0.0.1:PORT' within 30 s"

KEYFOB_OWNER_TOKEN=$("$bin" key create --role owner --name "browser tests" --json --data-dir "$data" "${on_database[@]}" |
  node -p 'JSON.parse(require("fs").readFileSync(0)).token') || die "keyfob key create --role owner failed"
export KEYFOB_URL=$address KEYFOB_CHROMIUM=$chromium KEYFOB_DATA_DIR=$data KEYFOB_OWNER_TOKEN KEYFOB_SECRETS_SEEN=$work/secrets
printf '%s\n' "$KEYFOB_OWNER_TOKEN" >"$KEYFOB_SECRETS_SEEN"

# --- the browser ---
echo "$("$chromium" --version 2>/dev/null), node $(node --version), keyfob on $database at $address"
"$@" || die "failed: $*"
kill -0 "$server" 2>/dev/null || die "the server ended during the tests"

# --- no secret in the log, in the output or in the stored data ---
stop_server || die "the server did not end within 10 s of SIGTERM"
if [ "$database" = postgres ]; then
  pg_dump "$KEYFOB_DATABASE_URL" >"$work/dump.sql" || die "pg_dump failed"
  grep -q '^CREATE TABLE' "$work/dump.sql" || die "Keyfob made no table in its PostgreSQL database"
fi
patterns=$(wc -l <"$KEYFOB_SECRETS_SEEN")
[ "$patterns" -gt 1 ] || die "the tests noted no secret"
mv "$KEYFOB_SECRETS_SEEN" "$work.secrets"
found=$(grep -rlFia -f "$work.secrets" "$work") || true
rm "$work.secrets"
[ -z "$found" ] || die "a secret is where it must not be: $found"
echo "no secret in the log, in the output and in the stored data ($patterns patterns)"
