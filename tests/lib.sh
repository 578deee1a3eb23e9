# shellcheck shell=bash
# Functions for the suites that need more than Rust: they build the binary, install requirements and start servers. Sourced
# by bash.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# Installs Debian packages; needs root or sudo. A lock serialises the suites, because apt-get fails while another one runs.
need_packages() {
  local sudo=
  [ "$(id -u)" = 0 ] || sudo=sudo
  (
    flock 9
    # A service that a package starts must not inherit the lock.
    $sudo apt-get update -qq 9>&-
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends "$@" >/dev/null 9>&-
  ) 9>"${TMPDIR:-/tmp}/tier-packages.lock"
}

# Installs PostgreSQL if needed, and sets `postgres` to the folder of its programs.
need_postgres() {
  postgres=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -1 || true)
  [ -z "$postgres" ] || return 0
  need_packages postgresql
  postgres=$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -1)
}

need_node() {
  command -v npm >/dev/null || need_packages nodejs npm
}

# Installs the npm packages of the lock file in this folder.
install_modules() {
  need_node
  npm ci --no-audit --no-fund --loglevel=error
}

# Sets TIER_BIN to the binary under test. Builds it unless TIER_BIN is set.
build_tier() {
  if [ -z "${TIER_BIN:-}" ]; then
    cargo build --quiet --locked --bin tier --manifest-path "$root/Cargo.toml"
    TIER_BIN="${CARGO_TARGET_DIR:-$root/target}/debug/tier"
  fi
  export TIER_BIN
}

# Starts a program in the background and waits for "listening on <address>" on its stdout. Sets `address`, and adds the
# process ID to `started`, whose processes stop_started ends.
started=()
start_listening() {
  local out
  out=$(mktemp)
  set -m # A process group of its own, so that ending it ends what it started.
  "$@" >"$out" &
  local pid=$!
  set +m
  started+=("$pid")
  until address=$(sed -n 's/^listening on //p' "$out") && [ -n "$address" ]; do
    kill -0 "$pid" 2>/dev/null || { echo "ended before it listened: $*" >&2; return 1; }
    sleep 0.05
  done
  rm -f "$out"
}

stop_started() {
  local pid
  for pid in "${started[@]}"; do
    if kill -- "-$pid" 2>/dev/null; then wait "$pid" || true; fi
  done
  started=()
}

# Runs `node --test` with the remaining arguments. Prints its output only if a test failed, and then a summary that begins
# with $1.
node_tests() {
  local name=$1 out failed=0
  shift
  out=$(mktemp)
  node --test --test-reporter=spec "$@" >"$out" 2>&1 || failed=1
  [ "$failed" = 0 ] || cat "$out"
  printf '%s: %s passed, %s failed\n' "$name" \
    "$(sed -n 's/^ℹ pass //p' "$out")" "$(sed -n 's/^ℹ fail //p' "$out")"
  rm -f "$out"
  return "$failed"
}
