#!/usr/bin/env bash
# Runs a command with a PostgreSQL of its own: a throwaway cluster on a unix socket, with the default durability.
# The command finds it in KEYFOB_TEST_POSTGRES_URL. Where that is set already, the command just runs.
set -euo pipefail

[ $# -gt 0 ] || { echo "usage: tests/with-postgres.sh COMMAND [ARGUMENT...]" >&2; exit 2; }
if [ -n "${KEYFOB_TEST_POSTGRES_URL:-}" ]; then exec "$@"; fi

die() { echo "tests/with-postgres.sh: $*" >&2; exit 1; }

bin=
for dir in $(printf '%s\n' /usr/lib/postgresql/*/bin | sort -V) "$(dirname "$(command -v initdb || echo /none/initdb)")"; do
  if [ -x "$dir/initdb" ] && [ -x "$dir/pg_ctl" ]; then bin=$dir; fi
done
[ -n "$bin" ] || die "no PostgreSQL server binaries: bash tests/install.sh test"

# PostgreSQL refuses to run as root.
as=()
if [ "$(id -u)" = 0 ]; then
  id postgres >/dev/null 2>&1 || die "no user postgres to run the server as: bash tests/install.sh test"
  as=(runuser -u postgres --)
fi

# Directly under /tmp: the path of a socket must be short, and the user postgres must be able to reach it.
dir=$(mktemp -d /tmp/keyfob-pg.XXXXXX)
started=
stop() {
  trap '' INT TERM HUP
  cd /
  if [ -n "$started" ]; then
    "${as[@]}" "$bin/pg_ctl" -D "$dir/data" -m fast -t 30 -w -s stop ||
      "${as[@]}" "$bin/pg_ctl" -D "$dir/data" -m immediate -w -s stop || true
  fi
  rm -rf "$dir"
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP

if [ ${#as[@]} != 0 ]; then chown postgres "$dir"; fi
# Texts are sorted as people do, as most databases do by default, and not by their bytes.
# The files of the empty cluster need not be synced before the start; the server itself syncs as it does by default.
(cd "$dir" && "${as[@]}" "$bin/initdb" -D data -U postgres -A trust -E UTF8 --locale=C.UTF-8 --locale-provider=icu --icu-locale=en-US --no-sync >initdb.log 2>&1) || {
  cat "$dir/initdb.log" >&2
  die "initdb failed"
}
cat >>"$dir/data/postgresql.conf" <<CONF
listen_addresses = ''
unix_socket_directories = '$dir'
max_connections = 300
CONF
started=yes
(cd "$dir" && "${as[@]}" "$bin/pg_ctl" -D "$dir/data" -l "$dir/data/server.log" -w -t 60 -s start) || {
  cat "$dir/data/server.log" >&2
  die "PostgreSQL did not start"
}

export KEYFOB_TEST_POSTGRES_URL="postgres://postgres@${dir//\//%2F}/postgres"
psql "$KEYFOB_TEST_POSTGRES_URL" -XAtqc 'select 1' >/dev/null || die "PostgreSQL does not answer at $KEYFOB_TEST_POSTGRES_URL"

status=0
"$@" || status=$?
exit "$status"
