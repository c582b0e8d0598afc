#!/usr/bin/env bash
# Builds the console (relay/web) for the relay to carry, runs its own checks and tests, or has its pages drawn:
# `web.sh build|check|e2e|ui|screenshots`.
#
# Packages come by `npm ci`, exactly those of package-lock.json, and none of their scripts runs. What is newer than its
# sources is left alone. Without relay/web, or with CONSOLE=no, nothing is done: the relay is then one without a console.
set -euo pipefail
cd "$(dirname "$0")/../.."

case "${CONSOLE:-yes}" in
  yes) ;;
  no) exit 0 ;;
  *) printf 'cloud-doctor: CONSOLE is yes or no\n' >&2 && exit 1 ;;
esac
[ -e relay/web/package.json ] || exit 0
cd relay/web

# newer_than FILE PATH…: whether something there is newer than the file, or the file is not there.
newer_than() {
  local file=$1
  shift
  [ ! -e "$file" ] || [ -n "$(find "$@" -newer "$file" -print -quit)" ]
}

# twice COMMAND…: as .config/nextest.toml, machines are shared and noisy.
twice() {
  "$@" || {
    printf 'FLAKY or broken: all of this is tried once more\n'
    "$@"
  }
}

if newer_than node_modules/.package-lock.json package-lock.json; then
  npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
  touch node_modules/.package-lock.json
fi

case "${1:?build, check, e2e, ui or screenshots}" in
  build)
    sources=()
    for source in index.html package-lock.json ./*.ts ./*.mjs public src; do
      [ ! -e "$source" ] || sources+=("$source")
    done
    if newer_than dist/index.html "${sources[@]}"; then
      npm run --silent build
    fi
    ;;
  check)
    npm run --silent check
    node size.mjs
    ;;
  e2e)
    # Each run has a relay and a browser of its own.
    twice npm run --silent e2e -- --reporter=dot
    ;;
  ui)
    # Every page narrow and dark, each second one wide and light too; `screenshots` has all combinations.
    twice npm run --silent e2e:ui -- --quick
    ;;
  screenshots)
    shots=../../target/screenshots
    rm -rf "$shots"
    npm run --silent e2e:ui -- --shots "$shots"
    printf '%s pictures in target/screenshots\n' "$(find "$shots" -name '*.png' | wc -l)"
    find "$shots" -name '*.png' -printf '%f\n' | sed 's/-\(en\|zh-CN\)-.*//' | sort -u | paste -s -d ' '
    ;;
  *) printf 'web.sh knows no %s\n' "$1" >&2 && exit 1 ;;
esac
