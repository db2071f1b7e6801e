#!/usr/bin/env bash
# Tests the API with Schemathesis, over its OpenAPI document and against a fresh Keyfob, then looks for secrets in the log and in
# the output. Arguments go to `st run`; without any it is what `make test` runs, which has to send LEAST requests. In that
# case two processes share the operations: each is deterministic by itself, and makes up requests as fast as one core does.
#   KEYFOB_BIN  the binary; target/debug/keyfob where it is not set
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
say() { echo "tests/openapi/run.sh: $*" >&2; }
die() { say "$@"; exit 1; }

# So many cases are made up for each operation; together with those that follow from the document they are so many requests.
CASES=330
LEAST=20000
# In seconds; what it takes at the most.
LONGEST=900

bin=$(realpath -m "${KEYFOB_BIN:-$here/../../target/debug/keyfob}")
[ -x "$bin" ] || die "no binary at $bin: cargo build -p keyfob"
testkit=$(dirname "$bin")/keyfob-testkit
[ -x "$testkit" ] || die "no binary at $testkit: cargo build -p keyfob-testkit"
[ -f "$here/.venv/.installed" ] || die "no PyPI packages: bash tests/install.sh test"
python=$here/.venv/bin/python
if [ $# = 0 ]; then set -- --max-examples "$CASES"; else LEAST=1; fi

# Nothing of the caller's own Keyfob may get in.
for name in "${!KEYFOB_@}" "${!SCHEMATHESIS_@}"; do unset "$name"; done

work=$(mktemp -d)
server=
others=()

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
  for pid in "${others[@]}"; do kill "$pid" 2>/dev/null || true; done
  if [ "$status" != 0 ] && [ -s "$work/server.log" ]; then
    { echo "--- the server's log, its errors and its last 20 lines:"; grep -E 'ERROR|WARN' "$work/server.log" | tail -n 50; tail -n 20 "$work/server.log"; echo "---"; } >&2
  fi
  rm -rf "$work"
  exit "$status"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP

# Waits until the first line that begins so is in a file, and prints its address.
address_in() { # FILE PATTERN PID
  local try found
  for ((try = 0; try < 600; try += 1)); do
    found=$(sed -n "s#.*$2\(http://127\.0\.0\.1:[0-9][0-9]*\).*#\1#p" "$1" | head -n 1)
    if [ -n "$found" ]; then echo "$found"; return 0; fi
    kill -0 "$3" 2>/dev/null || die "a server ended before it listened: $(cat "$1")"
    sleep 0.05
  done
  die "a server did not say where it listens within 30 s"
}

# --- a scripted OAuth provider, a server that requests are sent to, and Keyfob; what has an address of its own is on loopback ---
export KEYFOB_PROVIDER_CLIENT=app:CANARY234567CANA-client
: >"$work/provider.out" >"$work/upstream.out" >"$work/server.log"
"$testkit" provider --client "$KEYFOB_PROVIDER_CLIENT" --auto-approve >"$work/provider.out" 2>&1 &
others+=($!)
"$python" "$here/upstream.py" >"$work/upstream.out" 2>&1 &
others+=($!)
KEYFOB_PROVIDER=$(address_in "$work/provider.out" '' "${others[0]}")
KEYFOB_UPSTREAM=$(address_in "$work/upstream.out" '' "${others[1]}")
admin=127.0.0.1:$("$python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
KEYFOB_EGRESS_ALLOW=127.0.0.1 KEYFOB_LISTEN=127.0.0.1:0 KEYFOB_ADMIN_LISTEN=$admin KEYFOB_DATA_DIR=$work/data KEYFOB_LOG=debug \
  "$bin" serve >"$work/server.out" 2>>"$work/server.log" &
server=$!
KEYFOB_URL=$(address_in "$work/server.log" 'listening on ' "$server")
export KEYFOB_PROVIDER KEYFOB_UPSTREAM KEYFOB_URL

# --- keys of each role, and an account with something of everything ---
field() { "$python" -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"; }
make_key() { "$bin" key create --role "$1" --name "API tests ($1)" --json --data-dir "$work/data"; }
owner=$(make_key owner)
backend=$(make_key backend)
agent=$(make_key agent)
KEYFOB_OWNER_TOKEN=$(field token <<<"$owner")
KEYFOB_TOKEN=$(field token <<<"$backend")
KEYFOB_KEY_ID=$(field id <<<"$backend")
KEYFOB_KEY_SECRET=$(field secret <<<"$backend")
KEYFOB_AGENT_TOKEN=$(field token <<<"$agent")
export KEYFOB_OWNER_TOKEN KEYFOB_TOKEN KEYFOB_KEY_ID KEYFOB_KEY_SECRET KEYFOB_AGENT_TOKEN
export KEYFOB_TOKENS_SEEN=$work/seen KEYFOB_SEED_FILE=$work/seed.json KEYFOB_DOCUMENT=$work/openapi.json
printf '%s\n' CANARY234567CANA "$KEYFOB_OWNER_TOKEN" "$KEYFOB_TOKEN" "$KEYFOB_KEY_SECRET" "$KEYFOB_AGENT_TOKEN" >"$KEYFOB_TOKENS_SEEN"
"$python" "$here/seed.py" >"$KEYFOB_SEED_FILE" || die "the account could not be made"

# --- the document, and what the server does ---
"$python" -c 'import sys, urllib.request; sys.stdout.buffer.write(urllib.request.urlopen(sys.argv[1]).read())' "$KEYFOB_URL/openapi.json" >"$KEYFOB_DOCUMENT"
"$here/.venv/bin/openapi-spec-validator" "$KEYFOB_DOCUMENT" || die "the document is no OpenAPI 3.1"
# How many requests the server counted, whatever a client says that it sent.
count() {
  "$python" - "http://$admin/metrics" <<'PY'
import re, sys, urllib.request

text = urllib.request.urlopen(sys.argv[1]).read().decode()
print(sum(int(count) for count in re.findall(r"^keyfob_http_requests_total\{.*\} (\d+)$", text, re.M)))
PY
}
before=$(count)
ONE='^/api/v1/(contact|account|key|event|revocation)'
run() { # NAME, and arguments of `st run`
  local name=$1
  shift
  (cd "$here" && PYTHONDONTWRITEBYTECODE=1 exec timeout "$LONGEST" .venv/bin/st run "$KEYFOB_URL/openapi.json" "$@") >"$work/$name.out" 2>&1
}
status=0
if [ "$LEAST" = 1 ]; then
  run all "$@" || status=$?
else
  run one "$@" --include-path-regex "$ONE" &
  others+=($!)
  run other "$@" --exclude-path-regex "$ONE" || status=$?
  wait "${others[2]}" || status=$?
fi
for name in all one other; do
  if [ -f "$work/$name.out" ]; then cat "$work/$name.out"; fi
done
[ "$status" = 0 ] || die "Schemathesis found something, or took longer than $LONGEST s"
kill -0 "$server" 2>/dev/null || die "the server ended during the tests"
sent=$(($(count) - before))
echo "$sent requests in $SECONDS s"
[ "$sent" -ge "$LEAST" ] || die "only $sent requests reached the server, of $LEAST"

# --- no secret in the log and in the output ---
stop_server || die "the server did not end within 10 s of SIGTERM"
mv "$KEYFOB_TOKENS_SEEN" "$work.seen"
rm "$KEYFOB_SEED_FILE" "$work/provider.out"
found=$(grep -rlFia -f "$work.seen" "$work") || true
rm "$work.seen"
[ -z "$found" ] || die "a secret is where it must not be: $found"
echo "no secret in the log, in the output and in the stored data"
