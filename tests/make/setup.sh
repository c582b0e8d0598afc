#!/usr/bin/env bash
# Installs what a target of the Makefile needs and nothing else: `setup.sh build|web|check|test|bench|screenshots|demo|fuzz|agent`.
#
# Debian packages come through apt-get (sudo only for that, and only if this is not root). A Rust toolchain and Node.js
# are installed only after a yes on the terminal, or with YES=1. Each thing that cannot be had is one line with its remedy.
set -euo pipefail

nextest_version=0.9.143
deny_version=0.20.2
node_oldest=20.19.0

die() {
  printf 'cloud-doctor: %s\n' "$*" >&2
  exit 1
}

say() {
  printf 'cloud-doctor: %s\n' "$*" >&2
}

# need_commands COMMAND=PACKAGE…: installs the packages of the commands that are not there, in one go.
need_commands() {
  local pair packages=()
  for pair in "$@"; do
    PATH="$PATH:/usr/sbin:/sbin" command -v "${pair%%=*}" >/dev/null || packages+=("${pair##*=}")
  done
  [ "${#packages[@]}" -eq 0 ] || install_packages "${packages[@]}"
}

install_packages() {
  command -v apt-get >/dev/null ||
    die "missing: $*. This is no Debian; install them with the system's own package manager and try again."
  local as_root=()
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || die "missing: $*. Run as root: apt-get install $*"
    as_root=(sudo)
  fi
  say "installing Debian packages: $*"
  local apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends
    -o DPkg::Lock::Timeout=120 install "$@")
  local log
  log="$(mktemp)"
  if ! "${apt[@]}" >"$log" 2>&1 </dev/null; then
    "${as_root[@]}" apt-get -q update >>"$log" 2>&1 </dev/null || true
    if ! "${apt[@]}" >>"$log" 2>&1 </dev/null; then
      tail -n 20 "$log" >&2
      die "apt-get could not install: $*. Its last lines are above; \`apt-get install $*\` as root must work first."
    fi
  fi
  rm -f "$log"
}

# need_quiet_services PROGRAM=PACKAGE…: programs that tests and the benchmark start themselves on loopback. Their packages
# bring services along, which must not begin to serve this machine.
need_quiet_services() {
  local pair packages=() as_root=() policy=/usr/sbin/policy-rc.d
  for pair in "$@"; do
    PATH="$PATH:/usr/sbin:/sbin" command -v "${pair%%=*}" >/dev/null || packages+=("${pair##*=}")
  done
  [ "${#packages[@]}" -gt 0 ] || return 0
  [ "$(id -u)" -eq 0 ] || as_root=(sudo)
  if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
    "${as_root[@]}" chmod 755 "$policy"
    # shellcheck disable=SC2064  # as they are now
    trap "${as_root[*]} rm -f $policy" EXIT
  fi
  install_packages "${packages[@]}"
  # Units of other names than their packages. One by one: a package without a unit must not keep the others enabled.
  local units=("${packages[@]/#openssh-server/ssh}") unit
  for unit in "${units[@]/#netdata-core/netdata}"; do
    "${as_root[@]}" systemctl disable --quiet "$unit" 2>/dev/null || true
  done
  say "installed as programs only; their services are neither started nor enabled: ${packages[*]}"
}

need_rust() {
  # rustup keeps its programs here, also when the shell of this user has not heard of it.
  export PATH="$PATH:${CARGO_HOME:-$HOME/.cargo}/bin"
  if ! command -v cargo >/dev/null; then
    confirm "No Rust toolchain found. Download rustup from https://sh.rustup.rs and install it for this user?" ||
      die "a Rust toolchain is missing. Install rustup (https://rustup.rs), or say yes to it with: make YES=1 …"
    need_commands curl=curl
    local installer
    installer="$(mktemp)"
    curl --proto '=https' --tlsv1.2 -fsS https://sh.rustup.rs -o "$installer" ||
      die "rustup could not be downloaded. Install a Rust toolchain $(toolchain) by other means and try again."
    sh "$installer" -y --no-modify-path --profile minimal --default-toolchain none
    rm -f "$installer"
  fi
  cargo --version >/dev/null ||
    die "cargo is there but does not start; Rust $(toolchain) is needed: rustup toolchain install $(toolchain)"
}

toolchain() {
  sed -n 's/^channel = "\(.*\)"/\1/p' rust-toolchain.toml
}

confirm() {
  [ "${YES:-}" = 1 ] && return
  [ -t 0 ] || return 1
  local answer
  read -r -p "$1 [y/N] " answer
  [ "$answer" = y ] || [ "$answer" = Y ] || [ "$answer" = yes ]
}

# need_cargo_tool NAME VERSION: built from source into a folder of its own, so that `target` stays ours.
need_cargo_tool() {
  cargo "${1#cargo-}" --version >/dev/null 2>&1 && return
  say "building $1 $2, which takes some minutes the first time"
  CARGO_TARGET_DIR="target/tools" cargo install --quiet "$1" --locked --version "$2" ||
    die "$1 could not be built. Install it by hand: cargo install $1 --locked --version $2"
  rm -rf target/tools
}

# need_node: what the console's tools need. Debian 12 has an older one, so it may have to come from nodesource.com.
need_node() {
  local found candidate
  found=$(node --version 2>/dev/null || true)
  is_new_enough "${found#v}" && command -v npm >/dev/null && return
  local remedy="Install it, or build without the console: make CONSOLE=no …"
  command -v apt-get >/dev/null || die "Node.js $node_oldest is needed to build the console, found: ${found:-none}. $remedy"
  candidate=$(LC_ALL=C apt-cache policy nodejs 2>/dev/null | sed -n 's/^ *Candidate: //p')
  if is_new_enough "${candidate%%[!0-9.]*}"; then
    confirm "Node.js $node_oldest is needed to build the console, found: ${found:-none}. Install Debian's nodejs and npm?" ||
      die "Node.js $node_oldest or newer is missing, found: ${found:-none}. $remedy Or say yes to Debian's with: make YES=1 …"
    # NodeSource's package brings npm along, Debian's does not.
    install_packages nodejs
    command -v npm >/dev/null || install_packages npm
  else
    confirm "Node.js $node_oldest is needed to build the console, found: ${found:-none}. Add deb.nodesource.com to this machine's package sources and install Node.js 22 from there?" ||
      die "Node.js $node_oldest or newer is missing, found: ${found:-none}; Debian here has ${candidate:-none}. $remedy Or say yes to nodesource.com with: make YES=1 …"
    add_nodesource
    install_packages nodejs
  fi
  found=$(node --version 2>/dev/null || true)
  is_new_enough "${found#v}" || die "Node.js $node_oldest is needed, and after installing there is: ${found:-none}. $remedy"
}

is_new_enough() {
  [ -n "$1" ] && [ "$(printf '%s\n%s\n' "$node_oldest" "$1" | sort -V | head -n 1)" = "$node_oldest" ]
}

add_nodesource() {
  local as_root=() key
  [ "$(id -u)" -eq 0 ] || as_root=(sudo)
  need_commands curl=curl
  key="$(mktemp)"
  curl --proto '=https' --tlsv1.2 -fsS https://deb.nodesource.com/gpgkey/nodesource-repo.gpg.key -o "$key" ||
    die "the key of deb.nodesource.com could not be downloaded. Install Node.js $node_oldest by other means and try again."
  "${as_root[@]}" install -D -m 0644 "$key" /etc/apt/keyrings/nodesource.asc
  rm -f "$key"
  printf 'deb [signed-by=/etc/apt/keyrings/nodesource.asc] https://deb.nodesource.com/node_22.x nodistro main\n' |
    "${as_root[@]}" tee /etc/apt/sources.list.d/nodesource.list >/dev/null
  "${as_root[@]}" apt-get -q update >/dev/null
}

need_musl_target() {
  local target="$1"
  rustc --print target-libdir --target "$target" 2>/dev/null | xargs -r test -d && return
  command -v rustup >/dev/null || die "this Rust toolchain has no $target, and there is no rustup to add it"
  rustup target add "$target" >&2 || die "rustup could not add $target; on a closed network add it before"
}

build_packages=(cc=gcc make=make git=git)

case "${1:?which target is this for}" in
  build) need_commands "${build_packages[@]}" ;;
  web)
    [ "${CONSOLE:-yes}" = no ] || [ ! -e relay/web/package.json ] || need_node
    exit
    ;;
  check) need_commands "${build_packages[@]}" systemd-analyze=systemd ;;
  # dbus and systemd are what the booted machine of the tests is made of; a running system is not touched.
  test)
    need_commands "${build_packages[@]}" ssh-keygen=openssh-client ssh-agent=openssh-client strace=strace \
      musl-gcc=musl-tools dbus-daemon=dbus systemd-analyze=systemd unshare=util-linux ps=procps faketime=faketime \
      tmux=tmux vim=vim less=less ip=iproute2 apache2=apache2-bin \
      /usr/lib/nagios/plugins/check_load=monitoring-plugins-basic
    need_quiet_services haproxy=haproxy nginx=nginx caddy=caddy keepalived=keepalived redis-server=redis-server \
      pg_ctlcluster=postgresql prometheus=prometheus
    [ "${CONSOLE:-yes}" = no ] || [ ! -e relay/web/package.json ] || need_commands chromium=chromium
    ;;
  bench)
    need_commands "${build_packages[@]}" ssh=openssh-client musl-gcc=musl-tools
    # A browser, and what builds the terminal page that it is compared with.
    [ "${CONSOLE:-yes}" = no ] || [ ! -e relay/web/package.json ] ||
      need_commands chromium=chromium c++=g++ python3=python3
    need_quiet_services sshd=openssh-server prometheus-node-exporter=prometheus-node-exporter haproxy=haproxy nginx=nginx
    # Not every distribution has these; their columns then stay empty.
    (need_quiet_services netdata=netdata-core) || say "metrics.agent.pss will have no peer"
    (need_quiet_services lynis=lynis) || say "checks.vs_lynis will have no peer"
    (need_commands sos=sosreport) || say "checks.vs_sos will have no peer"
    ;;
  screenshots)
    need_commands chromium=chromium fc-list=fontconfig
    # Without a font that has them, pages in Chinese are rows of boxes.
    [ -n "$(fc-list :lang=zh)" ] || install_packages fonts-wqy-microhei
    exit
    ;;
  demo)
    need_commands "${build_packages[@]}" ssh-keygen=openssh-client script=bsdutils
    [ "${CHECK:-}" != 1 ] || [ "${CONSOLE:-yes}" = no ] || need_commands chromium=chromium
    ;;
  fuzz) need_commands "${build_packages[@]}" c++=g++ ;;
  agent) need_commands "${build_packages[@]}" musl-gcc=musl-tools ;;
  *) die "setup.sh knows no target '$1'" ;;
esac
need_rust
case "$1" in
  check) need_cargo_tool cargo-nextest "$nextest_version" && need_cargo_tool cargo-deny "$deny_version" ;;
  test) need_cargo_tool cargo-nextest "$nextest_version" ;;
  agent) need_musl_target "${2:?which musl target}" ;;
  bench) need_musl_target "$(uname -m)-unknown-linux-musl" ;;
esac
