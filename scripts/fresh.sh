#!/usr/bin/env bash
# Tries the README's commands in root file systems made for it, as an ordinary user without sudo and as root.
#
#   sudo scripts/fresh.sh                                      Debian 12 and 13, `make demo` and `make test`
#   sudo scripts/fresh.sh --command "make setup" debian13      one system, another command
#   sudo scripts/fresh.sh --python ~/.pyenv/versions/3.12.1    lend an interpreter where none can be downloaded
#
# The archive is the one of this machine's own package sources. Needs root, mmdebstrap or debootstrap, and 15 GB of disk.
# What happened goes to runs/fresh/SYSTEM.json, for `emma bench setup`, and the output to runs/fresh/SYSTEM-USER.log.
set -euo pipefail
ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"

declare -A SUITES=([debian12]=bookworm [debian13]=trixie [ubuntu24.04]=noble)
declare -A ORIGINS=([debian12]=Debian [debian13]=Debian [ubuntu24.04]=Ubuntu)
# What the README asks for, in the names of apt.
PACKAGES=ca-certificates,git,make,python3,python3-venv
OUT=$ROOT/runs/fresh
WORK=${TMPDIR:-/var/tmp}/emma-fresh
COMMANDS=()
USERS=(person root)
PYTHON_HOME=
SYSTEMS=()

say() { printf 'fresh: %s\n' "$*"; }
fail() {
  printf 'fresh: %s\n' "$1" >&2
  shift
  printf '  %s\n' "$@" >&2
  exit 2
}
usage() { sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}"; }

parse() {
  while [ $# -gt 0 ]; do
    case "$1" in
      --command) COMMANDS+=("${2:?--command needs one}") && shift 2 ;;
      --user) USERS=("${2:?--user needs person or root}") && shift 2 ;;
      --python) PYTHON_HOME=$(realpath "${2:?--python needs a folder}") && shift 2 ;;
      --work) WORK=$(realpath -m "${2:?--work needs a folder}") && shift 2 ;;
      --out) OUT=$(realpath -m "${2:?--out needs a folder}") && shift 2 ;;
      -h | --help) usage && exit 0 ;;
      *)
        [ -n "${SUITES[$1]:-}" ] || fail "unknown system or option" "found:    $1" "expected: ${!SUITES[*]}"
        SYSTEMS+=("$1") && shift
        ;;
    esac
  done
  [ ${#COMMANDS[@]} -gt 0 ] || COMMANDS=("make demo" "make test")
  [ ${#SYSTEMS[@]} -gt 0 ] || SYSTEMS=(debian12 debian13)
  [ "$(id -u)" = 0 ] || fail "root is needed" "found:    $(id -un)" "expected: root, to make and enter a file system" "to do:    sudo scripts/fresh.sh"
  [ -z "$PYTHON_HOME" ] || [ -x "$PYTHON_HOME/bin/python3.12" ] ||
    fail "no Python 3.12 to lend" "found:    $PYTHON_HOME" "expected: a folder with bin/python3.12"
}

# The archive of a distribution as this machine's package sources have it; nothing when they do not.
mirror_of() {
  apt-get indextargets --format '$(ORIGIN) $(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
    awk -v origin="$1" '$1 == origin && !found { print $2; found = 1 }'
}

make_system() { # SYSTEM MIRROR FOLDER
  local suite=${SUITES[$1]} kept=$WORK/$1.tar
  if [ ! -s "$kept" ]; then
    say "$1: making the root file system"
    if command -v mmdebstrap >/dev/null; then
      mmdebstrap --quiet --format=tar --variant=minbase --include=$PACKAGES "$suite" "$kept.part" "$2"
    elif command -v debootstrap >/dev/null; then
      rm -rf "$WORK/$1.new"
      debootstrap --variant=minbase --include=$PACKAGES "$suite" "$WORK/$1.new" "$2" >/dev/null
      tar -C "$WORK/$1.new" -cf "$kept.part" .
      rm -rf "$WORK/$1.new"
    else
      fail "nothing makes a root file system" "expected: mmdebstrap or debootstrap" "to do:    apt-get install -y mmdebstrap"
    fi
    mv "$kept.part" "$kept"
  fi
  mkdir -p "$3"
  tar -C "$3" -xf "$kept" --exclude=./dev/*
}

furnish() { # FOLDER USER
  local home=/root
  # The machine's certificates: a proxy between it and the package index may have one of its own.
  cp -L /etc/ssl/certs/ca-certificates.crt "$1/etc/ssl/certs/ca-certificates.crt"
  cp -L /etc/resolv.conf "$1/etc/resolv.conf"
  if [ "$2" = person ]; then
    home=/home/person
    chroot "$1" useradd --create-home --shell /bin/bash person
  fi
  git clone --quiet "file://$ROOT" "$1$home/emma"
  chroot "$1" chown -R "$2:$2" "$home/emma"
  mkdir -p "$1/var/cache/emma-fresh"
  if [ -d "$WORK/cache" ]; then mv "$WORK/cache" "$1/var/cache/emma-fresh/uv"; else mkdir "$1/var/cache/emma-fresh/uv"; fi
  chroot "$1" chown -R "$2:$2" /var/cache/emma-fresh
}

# Runs a command there, with its own processes, mounts and shared memory.
inside() { # FOLDER USER COMMAND
  local home=/root
  [ "$2" = person ] && home=/home/person
  FOLDER=$1 AS=$2 HOME_THERE=$home LENT=$PYTHON_HOME COMMAND=$3 unshare --mount --pid --fork --kill-child bash -euc '
    mount --make-rprivate /
    mount -t proc proc "$FOLDER/proc"
    mount --rbind /sys "$FOLDER/sys"
    mount -t tmpfs -o mode=755 dev "$FOLDER/dev"
    mkdir "$FOLDER/dev/shm" "$FOLDER/dev/pts"
    mount -t tmpfs -o mode=1777,size=1g shm "$FOLDER/dev/shm"
    mount -t devpts -o newinstance,ptmxmode=0666 devpts "$FOLDER/dev/pts"
    ln -s pts/ptmx "$FOLDER/dev/ptmx"
    ln -s /proc/self/fd "$FOLDER/dev/fd"
    for device in null zero full random urandom tty; do
      touch "$FOLDER/dev/$device"
      mount --bind "/dev/$device" "$FOLDER/dev/$device"
    done
    lent=()
    if [ -n "$LENT" ]; then
      mkdir -p "$FOLDER$LENT"
      mount --bind -o ro "$LENT" "$FOLDER$LENT"
      # Every folder on the way must let the ordinary user through.
      way=$FOLDER$LENT
      while way=$(dirname "$way") && [ "$way" != "$FOLDER" ]; do chmod a+x "$way"; done
      lent=("PYTHON=$LENT/bin/python3.12")
    fi
    certificates=/etc/ssl/certs/ca-certificates.crt
    exec chroot --userspec="$AS:$AS" "$FOLDER" /usr/bin/env -i \
      HOME="$HOME_THERE" USER="$AS" PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin LANG=C.UTF-8 \
      ROS_DOMAIN_ID=83 ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST UV_CACHE_DIR=/var/cache/emma-fresh/uv \
      PIP_CERT=$certificates SSL_CERT_FILE=$certificates "${lent[@]}" \
      /bin/bash -c "cd ~/emma 2>/dev/null; $COMMAND" </dev/null
  '
}

# The packages that the set-up asks an administrator for.
asked_for() { sed -n 's/^  sudo apt-get update && sudo apt-get install -y //p' "$1" | tail -1; }

try() { # SYSTEM MIRROR USER; prints nothing, returns 0 when all commands passed
  local folder=$WORK/root log=$OUT/$1-$3.log command packages
  rm -rf "$folder"
  # Within a condition the shell does not stop at errors by itself.
  make_system "$1" "$2" "$folder" && furnish "$folder" "$3" || { say "$1, $3: no root file system" && return 1; }
  : >"$log"
  local passed=0
  for command in "make setup" "${COMMANDS[@]}"; do
    say "$1, $3: $command"
    if ! inside "$folder" "$3" "$command" >>"$log" 2>&1; then
      say "$1, $3: '$command' failed, see $log"
      passed=1
      break
    fi
    packages=$(asked_for "$log")
    if [ "$command" = "make setup" ] && [ "$3" = person ] && [ -n "$packages" ]; then
      say "$1: an administrator installs what the set-up asked for: $packages"
      inside "$folder" root "apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends $packages" >>"$log" 2>&1 ||
        { passed=1 && break; }
    fi
  done
  rm -rf "$WORK/cache"
  mv "$folder/var/cache/emma-fresh/uv" "$WORK/cache"
  rm -rf "$folder"
  return $passed
}

json() { python3 -c 'import json, sys; print(json.dumps(sys.argv[1:]))' "$@"; }

main() {
  parse "$@"
  mkdir -p "$WORK" "$OUT"
  local system user mirror passed status=0
  for system in "${SYSTEMS[@]}"; do
    mirror=$(mirror_of "${ORIGINS[$system]}")
    if [ -z "$mirror" ]; then
      say "$system: not tried: this machine's package sources have no archive of ${ORIGINS[$system]}"
      continue
    fi
    passed=1
    for user in "${USERS[@]}"; do
      if try "$system" "$mirror" "$user"; then say "$system, $user: passed"; else passed=0 status=1; fi
    done
    printf '{"system": "%s", "passed": %s, "commands": %s, "users": %s, "commit": "%s", "python_lent": %s}\n' \
      "$system" "$passed" "$(json "${COMMANDS[@]}")" "$(json "${USERS[@]}")" \
      "$(git -C "$ROOT" rev-parse HEAD)" "$([ -n "$PYTHON_HOME" ] && echo true || echo false)" >"$OUT/$system.json"
  done
  return $status
}

main "$@"
