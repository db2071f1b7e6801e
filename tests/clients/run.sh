#!/usr/bin/env bash
# Runs the published clients (npm and PyPI) against a fresh Keyfob on the database of the first argument.
#   KEYFOB_BIN                the binary; target/debug/keyfob where it is not set
#   KEYFOB_TEST_POSTGRES_URL  the PostgreSQL to make a database in (tests/with-postgres.sh sets it)
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
say() { echo "tests/clients/run.sh: $*" >&2; }
die() { say "$@"; exit 1; }

case ${1:-} in
  sqlite | postgres) database=$1 ;;
  *) say "usage: tests/clients/run.sh sqlite|postgres"; exit 2 ;;
esac

bin=$(realpath -m "${KEYFOB_BIN:-$here/../../target/debug/keyfob}")
postgres=${KEYFOB_TEST_POSTGRES_URL:-}
[ -x "$bin" ] || die "no binary at $bin: cargo build -p keyfob"
testkit=$(dirname "$bin")/keyfob-testkit
[ -x "$testkit" ] || die "no binary at $testkit: cargo build -p keyfob-testkit"
for example in every_method sdk_page; do
  [ -x "$(dirname "$bin")/examples/$example" ] || die "no example $example beside $bin: cargo build -p keyfob-client --examples"
done
[ -f "$here/node_modules/.installed" ] || die "no npm packages: bash tests/install.sh test"
[ -f "$here/.venv/.installed" ] || die "no PyPI packages: bash tests/install.sh test"
if [ "$database" = postgres ] && [ -z "$postgres" ]; then
  die "KEYFOB_TEST_POSTGRES_URL is not set: bash tests/with-postgres.sh bash tests/clients/run.sh postgres"
fi

# Nothing of the caller's own Keyfob, and of its accounts elsewhere, may get in.
for name in "${!KEYFOB_@}" "${!SENDBLUE_@}" "${!OPENAI_@}" "${!ANTHROPIC_@}"; do unset "$name"; done

work=$(mktemp -d)
data=$work/data
server=
provider=
name=keyfob_clients_$$_$RANDOM
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
  if [ -n "$provider" ]; then kill "$provider" 2>/dev/null || true; fi
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

# --- a scripted OAuth provider, which says where it listens in its first line ---
KEYFOB_PROVIDER_CLIENT=app:CANARY234567CANA-client
: >"$work/provider.out"
"$testkit" provider --client "$KEYFOB_PROVIDER_CLIENT" --auto-approve >"$work/provider.out" 2>"$work/provider.log" &
provider=$!
KEYFOB_PROVIDER=
for ((try = 0; try < 200; try += 1)); do
  KEYFOB_PROVIDER=$(sed -n '1s#^\(http://.*\)$#\1#p' "$work/provider.out")
  [ -z "$KEYFOB_PROVIDER" ] || break
  kill -0 "$provider" 2>/dev/null || die "the provider ended before it listened: $(cat "$work/provider.log")"
  sleep 0.05
done
[ -n "$KEYFOB_PROVIDER" ] || die "the provider did not say where it listens within 10 s"
export KEYFOB_PROVIDER KEYFOB_PROVIDER_CLIENT

# --- a fresh server; at `debug`, because nothing secret may be in the log at any level people use ---
# The log is looked into before the server may have made it.
: >"$work/server.log"
# People reach the pages at an address of their own, as behind a proxy that ends TLS: links must begin with it.
export KEYFOB_PUBLIC_URL=https://keyfob.example.com
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

field() { node -e 'const o = JSON.parse(require("fs").readFileSync(0)); const v = o[process.argv[1]]; if (!v) process.exit(1); console.log(v)' "$1"; }
make_key() { # ROLE: prints the answer
  "$bin" key create --role "$1" --name "client tests ($1)" --json --data-dir "$data" "${on_database[@]}"
}
owner=$(make_key owner) || die "keyfob key create --role owner failed"
backend=$(make_key backend) || die "keyfob key create --role backend failed"
agent=$(make_key agent) || die "keyfob key create --role agent failed"
KEYFOB_KEY_ID=$(field id <<<"$backend") || die "the backend key has no id"
KEYFOB_KEY_SECRET=$(field secret <<<"$backend") || die "the backend key has no secret"
KEYFOB_TOKEN=$(field token <<<"$backend") || die "the backend key has no token"
KEYFOB_AGENT_KEY_ID=$(field id <<<"$agent") || die "the agent key has no id"
KEYFOB_AGENT_KEY_SECRET=$(field secret <<<"$agent") || die "the agent key has no secret"
KEYFOB_AGENT_TOKEN=$(field token <<<"$agent") || die "the agent key has no token"
KEYFOB_OWNER_TOKEN=$(field token <<<"$owner") || die "the owner key has no token"
export KEYFOB_URL=$address KEYFOB_BIN=$bin KEYFOB_DATA_DIR=$data KEYFOB_SECRETS_SEEN=$work/secrets KEYFOB_TOKENS_SEEN=$work/keys
export KEYFOB_LINKS_SEEN=$work/links
export KEYFOB_KEY_ID KEYFOB_KEY_SECRET KEYFOB_TOKEN KEYFOB_AGENT_KEY_ID KEYFOB_AGENT_KEY_SECRET KEYFOB_AGENT_TOKEN KEYFOB_OWNER_TOKEN
: >"$KEYFOB_SECRETS_SEEN"
: >"$KEYFOB_LINKS_SEEN"
printf '%s\n' "$KEYFOB_KEY_SECRET" "$KEYFOB_TOKEN" "$KEYFOB_AGENT_KEY_SECRET" "$KEYFOB_AGENT_TOKEN" "$KEYFOB_OWNER_TOKEN" >"$KEYFOB_TOKENS_SEEN"

# --- the clients ---
echo "node $(node --version), keyfob on $database at $address"
(cd "$here" && node --test --test-reporter=spec node/*.test.mjs) || die "the tests of the npm packages failed"
(cd "$here" && PYTHONDONTWRITEBYTECODE=1 .venv/bin/pytest -q -p no:cacheprovider python/) || die "the tests of the PyPI packages failed"
kill -0 "$server" 2>/dev/null || die "the server ended during the tests"

# --- no secret in the log, in the output or in the stored data ---
[ -s "$KEYFOB_SECRETS_SEEN" ] || die "the tests noted no generated secret"
[ -s "$KEYFOB_LINKS_SEEN" ] || die "the tests noted no link"
stop_server || die "the server did not end within 10 s of SIGTERM"
if [ "$database" = postgres ]; then
  pg_dump "$KEYFOB_DATABASE_URL" >"$work/dump.sql" || die "pg_dump failed"
  grep -q '^CREATE TABLE' "$work/dump.sql" || die "Keyfob made no table in its PostgreSQL database"
fi
"$here/.venv/bin/python" - "$work" <<'PY' || die "a secret is in a place where it must not be"
import base64, pathlib, sys

work = pathlib.Path(sys.argv[1])
files = [work / "server.log", work / "server.out", *work.glob("dump.sql")]
files += [file for file in (work / "data").rglob("*") if file.is_file()]
# The tests' own secrets all begin like this; Keyfob made the others.
secrets = ["CANARY234567CANA", *(work / "secrets").read_text().split()]
patterns = {b"canary"}
for secret in secrets:
    plain, text = base64.b32decode(secret), secret.encode()
    # As texts they are also values, which base64 may begin to encode at any byte of three.
    patterns |= {base64.b64encode(bytes(shift) + text)[shift and shift + 1 : (shift + len(text)) // 3 * 4] for shift in range(3)}
    patterns |= {text.hex().encode(), text.lower(), plain.hex().encode(), plain, base64.b64encode(plain).rstrip(b"=")[:-1]}
# What opens something as it is: keys, and the states of links with what a browser holds of them.
patterns |= {text.encode() for name in ("keys", "links") for text in (work / name).read_text().split()}
found = False
for file in files:
    content = file.read_bytes()
    small = content.lower()
    for pattern in patterns:
        if pattern in content or pattern in small:
            found = True
            where = content.find(pattern) if pattern in content else small.find(pattern)
            print(f"{file.name}, line {content.count(bytes([10]), 0, where) + 1}: a secret of {len(pattern)} bytes", file=sys.stderr)
if found:
    sys.exit(1)
print(f"no secret in {len(files)} files: log, output and stored data ({len(patterns)} patterns)")
PY
