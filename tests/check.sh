#!/usr/bin/env bash
# What `make check` and .ci/run hold besides the tests. check.sh STEP [ARGUMENT...], from anywhere:
#   format         every .cc and .h is as clang-format-19 writes it
#   architecture   every #include is one that tests/architecture/rooms.toml allows; and the test of that test
#   asan           AddressSanitizer and UndefinedBehaviorSanitizer over all tests that need no LibTorch
#   tsan           ThreadSanitizer over base, store, wire, the coordinator and the client's protocol
#   tidy           clang-tidy-19 (tests/tidy.py has the arguments)
# `deploy/setup.sh check` installs what format and tidy need.
set -euo pipefail
cd "$(dirname "$0")/.."
jobs=${JOBS:-$(nproc)}

# sanitized PRESET WHAT: builds and tests it. What ctest prints is shown where a test fails; else one line says how many ran.
sanitized() {
  local preset=$1 what=$2 log=build/$1/check.log count fixed=()
  # GCC 12's runtimes cannot place their shadow where a kernel scatters addresses widely.
  if setarch "$(uname -m)" -R true 2>/dev/null; then fixed=(setarch "$(uname -m)" -R); fi
  mkdir -p "build/$preset"
  cmake --preset "$preset" >"$log" 2>&1 || { cat "$log"; return 1; }
  "${fixed[@]}" cmake --build --preset "$preset" -- -j "$jobs" >"$log" 2>&1 || { grep -v '^\[' "$log"; return 1; }
  "${fixed[@]}" ctest --preset "$preset" -j "$jobs" >"$log" 2>&1 || { cat "$log"; return 1; }
  count=$(sed -n 's/^100% tests passed.* out of //p' "$log")
  echo "$what: $count tests ran and passed"
}

case "${1:-}" in
  format) git ls-files -z -- '*.cc' '*.h' | xargs -0 -n 40 -P "$jobs" clang-format-19 --dry-run --Werror && echo "format: every file is as clang-format-19 writes it" ;;
  architecture)
    python3 -B tests/architecture/architecture.py
    python3 -B tests/architecture/test_architecture.py --quiet 2>&1 | tail -n 20
    echo "architecture: every include is one that tests/architecture/rooms.toml allows" ;;
  asan) sanitized asan "AddressSanitizer, UndefinedBehaviorSanitizer" ;;
  tsan) sanitized tsan "ThreadSanitizer" ;;
  tidy) shift; python3 -B tests/tidy.py --jobs "$jobs" "$@" ;;
  *) echo "check.sh: name a step: format, architecture, asan, tsan or tidy" >&2; exit 2 ;;
esac
