#!/usr/bin/env bash
# Runs each fuzz target for SECONDS_EACH seconds, or the one named ONLY. What is found stays in target/fuzz.
#
# libFuzzer needs coverage counters, which a stable compiler makes when LLVM is asked directly; no nightly is needed.
set -euo pipefail
cd "$(dirname "$0")/../.."

top=$PWD
seconds=${SECONDS_EACH:-60}
triple=$(rustc -vV | sed -n 's/^host: //p')
targets=(frames grants trust_log ceiling checks)
if [ -n "${ONLY:-}" ]; then
  [[ " ${targets[*]} " == *" $ONLY "* ]] || {
    echo "there is no fuzz target $ONLY; there are: ${targets[*]}" >&2
    exit 1
  }
  targets=("$ONLY")
fi

# Only what is fuzzed is counted: --target keeps the flags away from build scripts.
flags=(-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4
  -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table
  -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1 --cfg fuzzing)
RUSTFLAGS="${flags[*]}" CARGO_TARGET_DIR=target/fuzz/build cargo build --quiet --locked --release \
  --manifest-path tests/fuzz/Cargo.toml --target "$triple" ||
  {
    echo "the fuzz targets do not build; libFuzzer needs a C++ compiler (apt-get install g++) and Rust's LLVM passes" >&2
    exit 1
  }

failed=()
# The target of the checks keeps its files in memory.
trap 'rm -rf /dev/shm/cloud-doctor-fuzz-*' EXIT
for target in "${targets[@]}"; do
  corpus=target/fuzz/corpus/$target
  mkdir -p "$corpus" "target/fuzz/found/$target"
  seeds=()
  [ -d "tests/fuzz/seeds/$target" ] && seeds+=("tests/fuzz/seeds/$target")
  log=target/fuzz/$target.log
  printf 'fuzz %-10s %s s ... ' "$target" "$seconds"
  if "target/fuzz/build/$triple/release/$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 \
    -print_final_stats=1 -artifact_prefix="$top/target/fuzz/found/$target/" "$corpus" "${seeds[@]}" >"$log" 2>&1; then
    printf 'ok, %s runs, %s inputs kept\n' "$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")" \
      "$(find "$corpus" -type f | wc -l)"
  else
    printf 'FAILED\n'
    grep -A 3 -m 1 "panicked at\|ERROR: libFuzzer" "$log" || tail -n 30 "$log"
    failed+=("$target")
  fi
done
[ "${#failed[@]}" -eq 0 ] || {
  echo "found something in: ${failed[*]}; the inputs are in target/fuzz/found" >&2
  exit 1
}
