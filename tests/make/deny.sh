#!/usr/bin/env bash
# Holds deny.toml. The advisory database is fetched from the network; where that is closed, the rest is still held and
# a sentence says what was not.
set -euo pipefail

cargo deny --locked --log-level error check --hide-inclusion-graph bans licenses sources

log="$(mktemp)"
trap 'rm -f "$log"' EXIT

# A finding is printed as error[kind]; anything else that fails is about the database, not about a dependency.
advisories() {
  cargo deny --locked "$@" check advisories 2>"$log" && return
  ! grep -q '^error\[' "$log" || {
    cat "$log" >&2
    exit 1
  }
  return 1
}

if advisories; then
  printf 'advisories: checked\n'
elif advisories --offline; then
  printf 'advisories: checked against an older copy; the advisory database cannot be reached from here\n'
else
  printf 'advisories: NOT CHECKED, the advisory database cannot be reached from here; bans, licences and sources were\n'
fi
