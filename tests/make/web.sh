#!/usr/bin/env bash
# Builds the console (relay/web) for the relay to carry, or runs its own checks: `web.sh build|check`.
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

if newer_than node_modules/.package-lock.json package-lock.json; then
  npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
  touch node_modules/.package-lock.json
fi

case "${1:?build or check}" in
  build)
    sources=()
    for source in index.html package-lock.json ./*.ts ./*.mjs public src; do
      [ ! -e "$source" ] || sources+=("$source")
    done
    if newer_than dist/index.html "${sources[@]}"; then
      npm run --silent build
      node pack.mjs
    fi
    ;;
  check) npm run --silent check ;;
  *) printf 'web.sh knows no %s\n' "$1" >&2 && exit 1 ;;
esac
