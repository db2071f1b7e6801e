#!/usr/bin/env bash
# Installs what is missing for the tests (`test`) or the benchmarks (`bench`): Debian packages, and for the tests the
# published clients from npm and PyPI under tests/clients, what drives Chromium under tests/browser, and Schemathesis under
# tests/openapi. Does nothing, quickly, when all is there.
set -euo pipefail

what=${1:-test}
case $what in
  test | bench) ;;
  *) echo "usage: tests/install.sh [test|bench]" >&2; exit 2 ;;
esac

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

die() { echo "tests/install.sh: $*" >&2; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

# --- Rust: brought by the user -------------------------------------------------------------------------------------
check_rust() {
  cd "$repo"
  have cargo || die "no cargo: install Rust with rustup (https://rustup.rs), toolchain stable"
  cargo fmt --version >/dev/null 2>&1 || die "no rustfmt: rustup component add rustfmt"
  cargo clippy --version >/dev/null 2>&1 || die "no clippy: rustup component add clippy"
}

# --- Debian packages -----------------------------------------------------------------------------------------------
postgres_there() {
  local dir
  for dir in /usr/lib/postgresql/*/bin "$(dirname "$(command -v initdb || echo /none/initdb)")"; do
    if [ -x "$dir/initdb" ] && [ -x "$dir/pg_ctl" ] && [ -x "$dir/postgres" ] && have psql; then return 0; fi
  done
  return 1
}

node_there() {
  have node && [ "$(node -p 'process.versions.node.split(".")[0] >= 18' 2>/dev/null)" = true ]
}

# The first Python that can make virtual environments: the one on the PATH may come from elsewhere than Debian.
venv_python() {
  local python
  for python in python3 /usr/bin/python3; do
    if "$python" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
      echo "$python"
      return 0
    fi
  done
  return 1
}

missing_packages() {
  have cc || echo build-essential
  have pkg-config || echo pkg-config
  have make || echo make
  have curl || echo curl
  if [ "$what" = bench ]; then
    have wrk || echo wrk
  else
    have chromium || echo chromium
  fi
  postgres_there || echo postgresql
  # Debian's nodejs comes without npm, others bring it along: which one it is shows once nodejs is there.
  if ! node_there; then echo nodejs; elif ! have npm; then echo npm; fi
  venv_python >/dev/null || echo python3-venv
  have sqlite3 || echo sqlite3
  have strings || echo binutils
}

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

apt_get() { as_root env DEBIAN_FRONTEND=noninteractive apt-get -q "$@"; }

install_packages() {
  have apt-get || die "missing: $*; this is no Debian machine, so install them by hand"
  [ "$(id -u)" = 0 ] || have sudo || die "missing Debian packages: $*; install them as root"
  echo "installing Debian packages: $*"
  apt_get update

  # The tests make clusters of their own. Debian's package would also make one and start it, unless told not to.
  local switch=/etc/postgresql-common/createcluster.d/keyfob-tests.conf
  if [[ " $* " == *" postgresql "* ]]; then
    as_root mkdir -p "${switch%/*}"
    # shellcheck disable=SC2064 # the path is wanted as it is now
    trap "as_root rm -f $switch" EXIT
    echo 'create_main_cluster = false' | as_root tee "$switch" >/dev/null
  fi
  apt_get install -y --no-install-recommends "$@"
  hash -r
}

# --- npm and PyPI packages ---------------------------------------------------------------------------------------------
digest() { cat "$@" | sha256sum | cut -d ' ' -f 1; }

install_node_packages() { # DIRECTORY under tests
  local dir=$repo/tests/$1 want
  local stamp=$dir/node_modules/.installed
  want=$(cd "$dir" && digest package.json package-lock.json .npmrc)
  [ "$(cat "$stamp" 2>/dev/null)" != "$want" ] || return 0
  echo "installing npm packages under tests/$1"
  (cd "$dir" && npm ci --no-audit --no-fund)
  echo "$want" >"$stamp"
}

install_python_packages() { # DIRECTORY under tests
  local dir=$repo/tests/$1 want python
  local venv=$dir/.venv stamp=$dir/.venv/.installed
  want=$(digest "$dir/requirements.txt")
  if [ "$(cat "$stamp" 2>/dev/null)" = "$want" ] && "$venv/bin/python" -c '' 2>/dev/null; then return 0; fi
  echo "installing PyPI packages under tests/$1"
  python=$(venv_python) || die "no Python 3.11 or newer that can make virtual environments"
  rm -rf "$venv"
  "$python" -m venv "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$dir/requirements.txt"
  echo "$want" >"$stamp"
}

check_rust
for _ in 1 2; do
  mapfile -t packages < <(missing_packages)
  if [ "${#packages[@]}" != 0 ]; then install_packages "${packages[@]}"; fi
done
still=$(missing_packages | paste -sd ' ')
[ -z "$still" ] || die "still missing after the installation: $still"
if [ "$what" = test ]; then
  install_node_packages clients
  install_node_packages browser
  install_python_packages clients
  install_python_packages openapi
fi
echo "all there"
