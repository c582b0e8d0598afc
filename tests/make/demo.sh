#!/usr/bin/env bash
# A relay and an agent of this machine, to try out: throw-away keys, one folder in /tmp, nothing installed.
#
# Prints a link for a browser and what to type, and runs until Ctrl-C, which ends everything that it started and removes
# the folder. With CHECK=1 it runs a command and a shell through the whole road instead, has Chromium go from the link to a
# shell, prints what came back and stops; it succeeds only if that worked. PORT says where the relay listens, on loopback only.
set -euo pipefail
cd "$(dirname "$0")/../.."

port=${PORT:-8440}
console=http://localhost:$port
programs=$PWD/target/debug
server=demo
user=$(id -un)
relay_pid='' agent_pid='' invite_pid='' demo=''
# Where to say what went wrong, wherever a failing command's own words go.
exec 3>&2

die() {
  printf 'demo: %s\n' "$*" >&3
  exit 1
}

step() {
  printf 'demo: %s\n' "$*"
}

# end_process PID: as Ctrl-C would, and by force if that takes longer than ten seconds.
end_process() {
  local pid=$1 tick
  [ -n "$pid" ] && kill -INT "$pid" 2>/dev/null || return 0
  for ((tick = 0; tick < 100; tick++)); do
    kill -0 "$pid" 2>/dev/null || return 0
    sleep 0.1
  done
  kill -KILL "$pid" 2>/dev/null || true
}

tidy_up() {
  local status=$?
  trap - EXIT
  trap '' INT TERM
  # Nothing of its own to end in order; a background program of this shell does not hear Ctrl-C.
  [ -z "$invite_pid" ] || kill "$invite_pid" 2>/dev/null || true
  end_process "$agent_pid"
  end_process "$relay_pid"
  if [ -n "$demo" ]; then
    [ "$status" -eq 0 ] || [ "$status" -eq 130 ] || tail -n 15 "$demo"/*.log >&3 2>/dev/null || true
    rm -rf "$demo"
  fi
  exit "$status"
}
trap tidy_up EXIT
trap 'exit 130' INT TERM

# until_true SECONDS WHAT COMMAND…: waits for a condition, with a deadline.
until_true() {
  local deadline=$((SECONDS + $1)) what=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    kill -0 "$relay_pid" 2>/dev/null || die "the relay stopped; its last words are below"
    [ -z "$agent_pid" ] || kill -0 "$agent_pid" 2>/dev/null || die "the agent stopped; its last words are below"
    [ "$SECONDS" -lt "$deadline" ] || die "not within time: $what; what the programs said is below"
    sleep 0.1
  done
}

port_is_free() {
  local hex
  hex=$(printf ':%04X' "$1")
  # Local addresses of listening TCP sockets (state 0A) and of all UDP sockets.
  ! awk -v port="$hex" 'FNR > 1 && $2 ~ port "$" && (FILENAME ~ /udp/ || $4 == "0A") { found = 1 } END { exit !found }' \
    /proc/net/tcp /proc/net/tcp6 /proc/net/udp /proc/net/udp6 2>/dev/null
}

# json_text KEY FILE: the first text under that key; the programs print one object.
json_text() {
  sed -n "s/.*\"$1\": *\"\([^\"]*\)\".*/\1/p" "$2" | head -n 1
}

build() {
  local started=$SECONDS
  step "building; the first time takes some minutes"
  # All programs, as `make test` builds them: another choice would build half of it again.
  cargo build --locked --workspace --bins
  step "built in $((SECONDS - started)) s"
}

start_relay() {
  mkdir -m 0700 "$demo/relay"
  cat >"$demo/relay/relay.toml" <<TOML
[agents]
listen = "127.0.0.1:$port"

# Without TLS: a browser takes this machine's own loopback for safe, and a certificate that nobody signed for unsafe.
[clients]
listen = "127.0.0.1:$port"
certificate = "none"

[admin]
listen = "127.0.0.1:$((port + 1))"
TOML
  # Its words are read below: always the same language.
  LC_ALL=C.UTF-8 "$programs/cloud-doctor-relay" serve --data-dir "$demo/relay" \
    </dev/null >"$demo/relay.out" 2>"$demo/relay.log" &
  relay_pid=$!
  until_true 20 "the relay is ready" grep -q '^ready' "$demo/relay.out"
  agents=$(relay_said quic:// 'quic://')
  agents_pin=$(relay_said quic:// 'sha256:')
  clients=$(relay_said '^clients' 'http://')
  step "relay: $clients"
}

# relay_said LINE WORD: the first word that begins so, on the first line that holds that.
relay_said() {
  grep -m 1 "$1" "$demo/relay.out" | grep -o "$2[^ ]*" | head -n 1
}

# The client with the demo's own folder, keys and account.
client() {
  "$demo/cloud-doctor" "$@"
}

make_customer() {
  ssh-keygen -q -t ed25519 -N '' -C demo -f "$demo/key"
  printf '#!/bin/sh\nCLOUD_DOCTOR_HOME=%s exec %s --key %s "$@"\n' \
    "$demo/home" "$programs/cloud-doctor" "$demo/key" >"$demo/cloud-doctor"
  chmod 0700 "$demo/cloud-doctor"
  head -c 18 /dev/urandom | base64 >"$demo/password"
  grep -m 1 '^set-up' "$demo/relay.out" | grep -oE '[A-Z2-7]{6}(-[A-Z2-7]{6})+' >"$demo/code"
  chmod 0600 "$demo/password" "$demo/code"
  {
    client setup "$clients" --account demo --tenant Demo \
      --code-file "$demo/code" --password-file "$demo/password"
    client tenant init Demo --root "$demo/key" --recovery-out "$demo/recovery" --json >"$demo/tenant.json"
    client tenant engineer add "$demo/key.pub" --name demo
    client tenant token --out "$demo/token" --relay-address "$agents" --relay-pin "$agents_pin"
  } >"$demo/client.log" 2>&1
  step "customer: Demo"
}

start_agent() {
  "$programs/cloud-doctor-agent" --state-dir "$demo/a" enrol --yes --name "$server" --preset own --relay "$agents" \
    --relay-pin "$agents_pin" --trust "$(json_text id "$demo/tenant.json")" --token-file "$demo/token" \
    </dev/null >"$demo/enrol.log" 2>&1
  # The presets name no browser's key; this machine is here to try one out.
  sed -i 's/^signers = .*/signers = ["sshsig", "webauthn", "device"]/' "$demo/a/etc/ceiling.toml"
  "$programs/cloud-doctor-agent" --state-dir "$demo/a" run --standalone </dev/null >"$demo/agent.log" 2>&1 &
  agent_pid=$!
  until_true 20 "the agent reaches the relay" agent_is_online
  step "agent: this machine, as $user, preset own, browser's keys allowed"
}

# invite NAME: a link that makes whoever opens it an engineer, once; this waits here for that browser's key and lets it in.
# The link also says as whom to open the first shell here.
invite() {
  # What an earlier one said must not be taken for this one's.
  rm -f "$demo/invite.out"
  "$demo/cloud-doctor" tenant engineer invite --name "$1" --device --wait --console "$console" \
    </dev/null >"$demo/invite.out" 2>"$demo/invite.log" &
  invite_pid=$!
  until_true 10 "the link is there" grep -qs '/#/join/' "$demo/invite.out"
  link=$(grep -m 1 -o 'http[^ ]*/#/join/[^ ]*' "$demo/invite.out")"?user=$user"
}

# walk_in_browser KIND: goes from the link to a shell as a newcomer does, by `passkey` or by the browser's own key, `device`.
walk_in_browser() {
  local said
  said=$(cd relay/web && timeout 120 node e2e-browser/demo.mjs "$link" "$user" "$1" </dev/null) ||
    die "a browser did not reach a shell by the link ($1); what it said is above"
  step "chromium said: $(head -n 1 <<<"$said")"
}

agent_is_online() {
  client servers --json | tr -d ' \n' | grep -q '"connected":true'
}

# console_answers: the console's page, or the one that says that this build has none.
console_answers() {
  local answer
  exec 4<>"/dev/tcp/127.0.0.1/$port"
  printf 'GET / HTTP/1.1\r\nhost: localhost:%s\r\nconnection: close\r\n\r\n' "$port" >&4
  answer=$(cat <&4)
  exec 4<&-
  [[ $answer == "HTTP/1.1 200 OK"* && $answer == *"<!doctype html>"* ]]
}

has_console() {
  [ -f relay/web/dist/index.html ]
}

check() {
  local said
  said=$(client exec "$server" --user "$user" -- sh -c 'echo "a command ran as $(id -un) with $((6 * 7))"')
  step "exec said: $said"
  [ "$said" = "a command ran as $user with 42" ] || die "exec should have said: a command ran as $user with 42"
  console_answers || die "the relay serves no page at $console/"
  if has_console; then
    walk_in_browser passkey
    # A link counts once.
    wait "$invite_pid" || die "the first browser's key was not let in"
    invite "$user-2"
    walk_in_browser device
  else
    step "chromium: not tried, this build has no console (CONSOLE=no)"
  fi
  # A terminal for the client, typed into like a person would: `script` makes one.
  said=$(printf 'stty -echo; echo "a shell ran on $(tty | cut -c1-9) with $((7 * 7))"; exit 7\n' |
    script --quiet --return --log-out /dev/null --command "$demo/cloud-doctor shell $server --user $user" 2>&1) &&
    die "the shell's exit status 7 did not come back" || [ $? -eq 7 ] || die "the shell ended otherwise: $said"
  said=$(grep -o 'a shell ran on /dev/pts/* with 49' <<<"$said" | tail -n 1) || die "the shell said something else"
  step "shell said: $said; exit status 7 came back"
  step "everything worked"
}

tell() {
  cat <<TEXT

  Open this link, once, in a browser on this machine; from there it is two clicks and three touches of a passkey to a
  shell, or, with the browser's own key, three clicks and a touch:

      $link

  Later the console is at $console/ (six words: $(json_text words "$demo/tenant.json")).

  A shell on this machine without a browser, through the whole road:

      $demo/cloud-doctor shell $server --user $user

  One command:          $demo/cloud-doctor exec $server --user $user -- uname -a
  What is connected:    $demo/cloud-doctor servers
  What was done:        $programs/cloud-doctor-agent --state-dir $demo/a audit
  Who could do what:    $programs/cloud-doctor-agent --state-dir $demo/a explain

  Ctrl-C ends relay, agent and all shells, and removes $demo.

TEXT
}

for number in "$port" "$((port + 1))"; do
  port_is_free "$number" || die "port $number is in use here; choose another one: make demo PORT=$((port + 100))"
done
build
# A short path: a socket's has at most 107 bytes.
demo=$(mktemp -d /tmp/cloud-doctor-demo.XXXXXX)
start_relay
make_customer
start_agent
invite "$user"
if [ "${CHECK:-}" = 1 ]; then
  check
else
  tell
  wait "$relay_pid" "$agent_pid"
fi
