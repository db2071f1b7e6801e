#!/usr/bin/env bash
# The main job end to end against a throwaway instance: prints every command with its real answer, checks it, and stops.
# shellcheck disable=SC2016,SC2034 # commands are shown as they are typed, then evaluated
set -euo pipefail

[ $# = 1 ] || { echo "usage: tests/demo.sh BINARY" >&2; exit 2; }
[ -x "$1" ] || { echo "tests/demo.sh: no binary at $1: cargo build -p keyfob" >&2; exit 1; }
bin=$(realpath "$1")
testkit=$(dirname "$bin")/keyfob-testkit
[ -x "$testkit" ] || { echo "tests/demo.sh: no binary at $testkit: cargo build -p keyfob-testkit" >&2; exit 1; }

# Nothing of the caller's own Keyfob may get in.
for name in "${!KEYFOB_@}"; do unset "$name"; done

work=$(mktemp -d)
server=
provider=
finish() {
  local status=$?
  trap '' INT TERM HUP
  if [ -n "$server" ]; then
    kill -TERM "$server" 2>/dev/null || true
    wait "$server" 2>/dev/null || true
  fi
  if [ -n "$provider" ]; then kill "$provider" 2>/dev/null || true; fi
  if [ "$status" != 0 ] && [ -s "$work/log" ]; then
    { echo "--- the server's log, last 50 lines:"; tail -n 50 "$work/log"; } >&2
  fi
  rm -rf "$work"
  exit "$status"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP

fail() { printf '\ndemo failed: %s\n' "$*" >&2; exit 1; }
heading() { printf '\n== %s\n' "$*"; }
keyfob() { "$bin" "$@"; }

# Hides what a key is used with; the rest of the answer is shown as it is.
hide() { sed -E 's/("(secret|token)": *")[^"]*/\1(hidden)/g'; }

# Prints a command as it is typed, runs it, prints its answer and keeps that in `answer`.
run() {
  printf '$ %s\n' "$1"
  answer=$(eval "$1") || fail "the command above ended with status $?"
  if [ "${2:-}" = hide ]; then hide <<<"$answer"; else printf '%s\n' "$answer"; fi
}

# Prints one text field of a JSON object.
field() { tr -d '\n' <<<"$2" | sed -n 's/.*"'"$1"'": *"\([^"]*\)".*/\1/p'; }
need() { [[ $2 =~ $1 ]] || fail "expected $3, got: $2"; }

heading "Start a server on the embedded database; it may reach a provider on this machine"
export HOME=$work KEYFOB_DATA_DIR=$work/data KEYFOB_LISTEN=127.0.0.1:0 KEYFOB_EGRESS_ALLOW=127.0.0.1
echo '$ export KEYFOB_DATA_DIR=$(mktemp -d) KEYFOB_LISTEN=127.0.0.1:0 KEYFOB_EGRESS_ALLOW=127.0.0.1'
echo '$ keyfob serve &'
# It is looked into before the server may have made it.
: >"$work/log"
"$bin" serve >"$work/out" 2>>"$work/log" &
server=$!
url=
for ((try = 0; try < 600; try += 1)); do
  url=$(sed -n 's#.*listening on \(http://127\.0\.0\.1:[0-9][0-9]*\).*#\1#p' "$work/log" | head -n 1)
  [ -z "$url" ] || break
  kill -0 "$server" 2>/dev/null || fail "the server ended before it listened"
  sleep 0.05
done
[ -n "$url" ] || fail "the server did not listen within 30 s"
echo "listening on $url"

heading "Make a key for the backend, which manages entries, and one for the agent, which only uses them"
run 'keyfob key create --role backend --json' hide
backend_token=$(field token "$answer")
backend_id=$(field id "$answer")
backend_secret=$(field secret "$answer")
need '^.+$' "$backend_token" "a token"
run 'keyfob key create --role agent --json' hide
agent_token=$(field token "$answer")
agent_id=$(field id "$answer")
agent_secret=$(field secret "$answer")
need '^.+$' "$agent_token" "a token"

heading "Store a second factor, as the backend"
export KEYFOB_URL=$url KEYFOB_TOKEN=$backend_token
echo "\$ export KEYFOB_URL=$url KEYFOB_TOKEN=(the backend key's token)"
run 'keyfob totp add --label "GitHub - agent@example.com" --secret JBSWY3DPEHPK3PXP --json'
ID=$(field id "$answer")
need '^[0-9a-f-]{36}$' "$ID" "the id of the new entry"
run 'keyfob totp list'
need 'GitHub - agent@example\.com' "$answer" "the new entry in the list"
if [[ $answer == *JBSWY3DPEHPK3PXP* ]]; then fail "the list shows the secret"; fi

heading "Get a code, as the agent"
export KEYFOB_TOKEN=$agent_token
echo "\$ export KEYFOB_TOKEN=(the agent key's token) ID=$ID"
run 'keyfob totp code "$ID"'
need '^[0-9]{6}$' "$answer" "a code of 6 digits"

heading "Get a code over HTTP, as the published Sendblue clients do"
AUTH=(-H "sb-api-key-id: $agent_id" -H "sb-api-secret-key: $agent_secret")
echo "\$ AUTH=(-H 'sb-api-key-id: $agent_id' -H 'sb-api-secret-key: (hidden)')"
run 'curl -sS "${AUTH[@]}" "$KEYFOB_URL/api/v2/totp/code/$ID"'
need '"status": *"OK"' "$answer" "status OK"
need '^[0-9]{6}$' "$(field code "$answer")" "a code of 6 digits"
need '"expires_in": *([1-9]|[12][0-9]|30)[,}]' "$answer" "expires_in from 1 to 30"

heading "The agent may not add an entry"
run 'curl -sS -w "\n%{http_code}" "${AUTH[@]}" --json "{\"label\":\"mine\"}" "$KEYFOB_URL/api/v2/totp/secrets"'
need $'\n403$' "$answer" "status 403"

heading "Two workers ask at once for a code that nobody else gets: each has one of its own"
BACKEND=(-H "sb-api-key-id: $backend_id" -H "sb-api-secret-key: $backend_secret")
echo "\$ BACKEND=(-H 'sb-api-key-id: $backend_id' -H 'sb-api-secret-key: (hidden)')"
run 'curl -sS "${BACKEND[@]}" --json "{\"label\":\"every second\",\"period\":1,\"digits\":8}" "$KEYFOB_URL/api/v2/totp/secrets"' hide
FAST=$(field id "$answer")
need '^[0-9a-f-]{36}$' "$FAST" "the id of the new entry"
echo "\$ FAST=$FAST"
echo '$ CODE="$KEYFOB_URL/api/v2/totp/code/$FAST?unique=true"'
CODE="$KEYFOB_URL/api/v2/totp/code/$FAST?unique=true"
run 'curl -sS --no-progress-meter --parallel --parallel-immediate -w "\n" "${AUTH[@]}" "$CODE" "$CODE"'
mapfile -t codes < <(grep -oE '"code": *"[0-9]{8}"' <<<"$answer")
[ "${#codes[@]}" = 2 ] || fail "expected two codes of 8 digits, got ${#codes[@]}"
[ "${codes[0]}" != "${codes[1]}" ] || fail "both workers got the same code"

heading "An unknown id is a plain 404"
UNKNOWN=$(cat /proc/sys/kernel/random/uuid)
echo "\$ UNKNOWN=$UNKNOWN"
run 'curl -sS -w "\n%{http_code}" "${AUTH[@]}" "$KEYFOB_URL/api/v2/totp/code/$UNKNOWN"'
need $'\n404$' "$answer" "status 404"

heading "A person for whom agents act, and a credential of their own that is to be connected, as the backend"
export KEYFOB_TOKEN=$backend_token
echo "\$ export KEYFOB_TOKEN=(the backend key's token)"
run 'keyfob contact ensure --fingerprint customer:00000042 --name Ann'
ANN=$answer
run 'keyfob secret create --kind personal --type bearer --name "Weather API" --description "To look up the forecast"'
WEATHER=$answer
echo "\$ ANN=$ANN WEATHER=$WEATHER"

heading "The agent finds that it is not connected, and gets a link to send to Ann"
export KEYFOB_TOKEN=$agent_token
echo "\$ export KEYFOB_TOKEN=(the agent key's token)"
run 'keyfob connection verify "$ANN" "$WEATHER" 2>&1'
need '^unauthenticated' "$answer" "that it is not connected"
run 'keyfob connection authenticate "$ANN" "$WEATHER"'
LINK=$answer
need '^http://.*/connect/.{43}$' "$LINK" "a link"
echo "\$ LINK=$LINK"

heading "Ann opens it in her browser, and sends the form with her key"
run 'curl -sS -c "$HOME/ann" "$LINK" | grep -E "<h1>|asks you|proof" | sed -E "s/(value=\").*\"/\1(hidden)\"/"'
need 'Connect Weather API' "$answer" "the page"
PROOF=$(curl -sS -b "$HOME/ann" "$LINK" | sed -n 's/.*name="proof" value="\([^"]*\)".*/\1/p')
echo '$ PROOF=(what the form holds)'
run 'curl -sS -b "$HOME/ann" --data-urlencode "proof=$PROOF" --data-urlencode "value=wx-live-4711" "$LINK" | grep -E "<h1>"'
need 'Weather API is connected' "$answer" "that it is connected"
run 'curl -sS -o "$HOME/page" -w "%{http_code}\n" "$LINK"; grep -E "<h1>" "$HOME/page"'
need '^410' "$answer" "that the link works once"

heading "The agent may use it from now on; nobody can read it"
run 'keyfob connection verify "$ANN" "$WEATHER"'
need '^authenticated$' "$answer" "that it is connected"
run 'keyfob connection list "$ANN"'
if grep -rq wx-live-4711 "$work"; then fail "the key is stored or logged in the clear"; fi

heading "An OAuth provider for tests: its tokens live for two seconds, and a refresh token works once"
# It says where it listens in its first line.
printf '{"accessTokenLife":2,"autoApprove":true}' >"$work/options"
: >"$work/provider"
echo '$ keyfob-testkit provider --client demo:demo-secret --options <(echo '"'"'{"accessTokenLife":2,"autoApprove":true}'"'"') &'
"$testkit" provider --client demo:demo-secret --options "$work/options" >"$work/provider" 2>&1 &
provider=$!
PROVIDER=
for ((try = 0; try < 200; try += 1)); do
  PROVIDER=$(sed -n '1s#^\(http://.*\)$#\1#p' "$work/provider")
  [ -z "$PROVIDER" ] || break
  kill -0 "$provider" 2>/dev/null || fail "the provider ended before it listened"
  sleep 0.05
done
[ -n "$PROVIDER" ] || fail "the provider did not listen within 10 s"
echo "\$ PROVIDER=$PROVIDER"

heading "Ann's mail, by OAuth, as the backend"
export KEYFOB_TOKEN=$backend_token
echo "\$ export KEYFOB_TOKEN=(the backend key's token)"
CONFIG='{"clientId":"demo","clientSecret":"demo-secret","authorizationUrl":"'$PROVIDER'/authorize","tokenUrl":"'$PROVIDER'/token","revokeUrl":"'$PROVIDER'/revoke","scope":"mail.read","hosts":["'${PROVIDER#http://}'"]}'
echo '$ CONFIG={"clientId":"demo","clientSecret":(hidden),"authorizationUrl":"$PROVIDER/authorize","tokenUrl":"$PROVIDER/token","revokeUrl":"$PROVIDER/revoke","scope":"mail.read","hosts":["${PROVIDER#http://}"]}'
run 'keyfob secret create --kind personal --type oauth --name Mail --description "To find your tickets" --config-file - <<<"$CONFIG"'
MAIL=$answer
echo "\$ MAIL=$MAIL"
run 'keyfob connection authenticate "$ANN" "$MAIL"'
LINK=$answer
echo "\$ LINK=$LINK"

heading "Ann opens the link, goes on to the provider, which agrees at once, and comes back"
PROOF=$(curl -sS -b "$HOME/ann" "$LINK" | sed -n 's/.*name="proof" value="\([^"]*\)".*/\1/p')
echo '$ PROOF=(what the form holds)'
run 'curl -sS -b "$HOME/ann" --data-urlencode "proof=$PROOF" -d do=continue "$LINK" | tee "$HOME/onward" | grep -E "<h1>"'
need 'On to 127\.0\.0\.1' "$answer" "the way to the provider"
ONWARD=$(sed -n 's/.*content="0; url=\([^"]*\)".*/\1/p' "$HOME/onward" | sed 's/&#38;/\&/g; s/&amp;/\&/g')
echo '$ ONWARD=(where that page leads)'
run 'curl -sS -L -b "$HOME/ann" "$ONWARD" | grep -E "<h1>"'
need 'Mail is connected' "$answer" "that it is connected"

heading "The backend gets a token, and another one after the first has ended; the agent gets none"
run 'keyfob connection mint "$ANN" "$MAIL"'
FIRST=$answer
accepts() { curl -sS -o "$HOME/answer" -w '%{http_code}' -H "Authorization: Bearer $1" "$PROVIDER/userinfo"; }
[ "$(accepts "$FIRST")" = 200 ] || fail "the provider refuses the token"
echo "... until it has ended"
for ((try = 0; try < 200; try += 1)); do
  [ "$(accepts "$FIRST")" = 200 ] || break
  sleep 0.05
done
run 'keyfob connection mint "$ANN" "$MAIL"'
[ "$answer" != "$FIRST" ] || fail "the token is the one that has ended"
[ "$(accepts "$answer")" = 200 ] || fail "the provider refuses the new token"
SECOND=$answer
if KEYFOB_TOKEN=$agent_token keyfob connection mint "$ANN" "$MAIL" >"$work/answer" 2>&1; then fail "the agent got a token"; fi

heading "It was renewed, and no refresh token was used twice: the provider's ledger"
run 'curl -sS "$PROVIDER/control/ledger" | grep -oE "\"(reuses|refreshes)\":[0-9]+"'
need '"reuses":0' "$answer" "that no refresh token was used twice"

heading "The agent reads Ann's mail without a token: Keyfob puts it into the request, and takes it to its own hosts only"
export KEYFOB_TOKEN=$agent_token
echo "\$ export KEYFOB_TOKEN=(the agent key's token) AGENT=(-H \"Authorization: Bearer \$KEYFOB_TOKEN\")"
AGENT=(-H "Authorization: Bearer $KEYFOB_TOKEN")
run 'curl -sS -w "\n%{http_code}" "${AGENT[@]}" "$KEYFOB_URL/proxy/$ANN/$MAIL/$PROVIDER/userinfo"'
need $'\n200$' "$answer" "that the provider lets it in"
run 'curl -sS -w "\n%{http_code}" "${AGENT[@]}" "$KEYFOB_URL/proxy/$ANN/$MAIL/https://attacker.example/"'
need $'\n400$' "$answer" "that it goes nowhere else"

heading "What the audit trail says of that, and whether anybody has changed it"
export KEYFOB_TOKEN=$backend_token
echo "\$ export KEYFOB_TOKEN=(the backend key's token)"
run 'keyfob event list --action connection.proxy'
need 'refused' "$answer" "the request that was refused"
run 'keyfob event verify'

heading "The backend takes it away; nobody gets a token any more"
run 'keyfob connection revoke "$ANN" "$MAIL" 2>&1'
run 'keyfob connection verify "$ANN" "$MAIL" 2>/dev/null'
need '^unauthenticated$' "$answer" "that it is not connected any more"
if grep -rqF -e "$FIRST" -e "$SECOND" "$work/data" "$work/log"; then fail "a token is stored or logged in the clear"; fi

heading "Stop the server"
kill -TERM "$server"
for ((try = 0; try < 200; try += 1)); do
  kill -0 "$server" 2>/dev/null || break
  sleep 0.05
done
if kill -0 "$server" 2>/dev/null; then fail "the server did not end within 10 s of SIGTERM"; fi
wait "$server" 2>/dev/null || true
server=
if grep -q JBSWY3DPEHPK3PXP "$work/log" "$work/out"; then fail "the secret is in the server's log"; fi
echo "stopped; its data is removed"
