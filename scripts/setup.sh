#!/usr/bin/env bash
# Makes .venv: Python 3.12, the packages in constraints.txt, this package editable, and OpenGL for rendering without a
# screen. With an NVIDIA driver, or GPU=1, also ONNX Runtime for CUDA and TensorRT; GPU=0 leaves them out.
# Run again at any time; it returns at once when nothing changed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
unset PYTHONPATH PYTHONHOME VIRTUAL_ENV

EXTRAS="ros,colcon,console,human,docs,dev"
PLUGIN=src/lerobot_policy_spatial_flow
STAMP=.venv/.emma-setup

say() { printf 'setup: %s\n' "$*"; }
fail() {
  printf 'setup: %s\n' "$1" >&2
  shift
  printf '  %s\n' "$@" >&2
  exit 2
}
runs() { "$@" >/dev/null 2>&1; }
is_312() { [ -n "$1" ] && runs "$1" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 12))'; }
# The folder counts too: an editable installation in a checkout that was moved or copied points to the old place.
fingerprint() {
  { pwd && echo "$RUNTIME" && cat pyproject.toml "$PLUGIN/pyproject.toml" setup.py constraints.txt scripts/setup.sh; } | sha256sum | cut -d' ' -f1
}

# Sets RUNTIME to the extra with ONNX Runtime for this machine: gpu or export.
choose_runtime() {
  case "${GPU:-}" in
    1) RUNTIME=gpu ;;
    0) RUNTIME=export ;;
    "") if [ -e /proc/driver/nvidia/version ] || runs nvidia-smi -L; then RUNTIME=gpu; else RUNTIME=export; fi ;;
    *) fail "bad GPU" "found:    GPU=$GPU" "expected: 1 (install for a GPU), 0 (for the CPU), or nothing: decide by the driver" ;;
  esac
}

# A name on PATH is not enough: version managers put shims there that only print an error.
find_uv() {
  local candidate
  for candidate in "${UV:-}" uv "$HOME/.local/bin/uv" .uv/bin/uv; do
    if [ -n "$candidate" ] && runs "$candidate" --version; then
      UV=$candidate
      return
    fi
  done
  say "uv is not here: installing it into .uv"
  if runs python3 -m venv .uv && .uv/bin/python -m pip install --quiet uv; then
    UV=.uv/bin/uv
  elif rm -rf .uv && python3 -m pip install --quiet --user uv && runs python3 -m uv --version; then
    UV="$(python3 -c 'import uv; print(uv.find_uv_bin())')"
  else
    fail "no uv, and it could not be installed" \
      "expected: uv on PATH, or a python3 with venv or pip" \
      "to do:    sudo apt-get install -y python3-venv && make setup"
  fi
}

find_python() {
  local candidate
  for candidate in "${PYTHON:-}" python3.12 "$HOME"/.pyenv/versions/3.12.*/bin/python3.12 /usr/bin/python3.12 \
    "$("$UV" python find --no-project 3.12 2>/dev/null || true)"; do
    if is_312 "$candidate"; then
      # The interpreter itself, not a shim that changes its mind with the folder.
      PYTHON="$("$candidate" -c 'import sys; print(sys.executable)')"
      return
    fi
  done
  say "Python 3.12 is not here: installing it through uv"
  if "$UV" python install 3.12 && PYTHON="$("$UV" python find --no-project 3.12)" && is_312 "$PYTHON"; then
    return
  fi
  fail "no Python 3.12" \
    "found:    $(python3 --version 2>&1 || echo 'no python3')" \
    "expected: 3.12, what ROS 2 Jazzy and Kilted and LeRobot all run on" \
    "to do:    sudo apt-get install -y python3.12 python3.12-venv (Ubuntu 24.04), or PYTHON=/path/to/python3.12 make setup"
}

pip_install() {
  "$UV" pip install "${QUIET[@]}" --python .venv/bin/python --constraint constraints.txt "$@"
}

# Both builds of ONNX Runtime write the same files: the other one goes first, and takes this one's files with it.
remove_other_runtime() {
  local other=onnxruntime-gpu
  [ "$RUNTIME" = gpu ] && other=onnxruntime
  if runs "$UV" pip show --python .venv/bin/python "$other"; then
    runs "$UV" pip uninstall --python .venv/bin/python onnxruntime onnxruntime-gpu
  fi
}

# TensorRT's libraries come from NVIDIA's server, not from the package index, so they may be out of reach.
install_tensorrt() {
  local log=.venv/tensorrt-install.log
  say "installing TensorRT (about 4 GB)"
  if pip_install --editable ".[tensorrt]" >"$log" 2>&1; then
    rm -f "$log"
    return
  fi
  say "TensorRT's libraries cannot be had from here (the reason is in $log). Going on without: policies run in" \
    "ONNX Runtime on the GPU. To try again:"
  printf '\n  %s pip install --python .venv/bin/python --constraint constraints.txt -e ".[tensorrt]"\n\n' "$UV"
}

# Prints the packages that rendering lacks; nothing when it works. What the shell chose as MUJOCO_GL is not asked here.
missing_gl() {
  env -u MUJOCO_GL .venv/bin/python - <<'PY'
from emma.errors import EmmaError

try:
    import emma.gl  # noqa: F401
except EmmaError as error:
    print((error.fix or "").removeprefix("sudo apt-get install -y "))
PY
}

install_gl() {
  local packages sudo=()
  packages=$(missing_gl)
  [ -z "$packages" ] && return
  if [ "$(id -u)" != 0 ]; then sudo=(sudo -n); fi
  # shellcheck disable=SC2086  # a list of packages
  if runs command -v apt-get && runs "${sudo[@]}" true && say "installing OpenGL libraries: $packages" && {
    DEBIAN_FRONTEND=noninteractive runs "${sudo[@]}" apt-get install -y --no-install-recommends $packages ||
      { runs "${sudo[@]}" apt-get update &&
        DEBIAN_FRONTEND=noninteractive runs "${sudo[@]}" apt-get install -y --no-install-recommends $packages; }
  } && [ -z "$(missing_gl)" ]; then
    return
  fi
  say "the simulated cameras need OpenGL libraries that could not be installed from here. Please run:"
  printf '\n  sudo apt-get update && sudo apt-get install -y %s\n\n' "$packages"
}

main() {
  local want
  choose_runtime
  want=$(fingerprint)
  if [ -x .venv/bin/python ] && [ "$(cat "$STAMP" 2>/dev/null)" = "$want" ]; then
    return
  fi
  find_uv
  if ! is_312 .venv/bin/python; then
    find_python
    say "making .venv with $PYTHON"
    rm -rf .venv
    "$UV" venv --quiet --python "$PYTHON" .venv
  fi
  say "installing for a $([ "$RUNTIME" = gpu ] && echo GPU || echo CPU) (about 6 GB the first time)"
  rm -f "$STAMP"
  # Progress bars for a person, two hundred lines of package names for nobody.
  QUIET=()
  [ -t 2 ] || QUIET=(--quiet)
  remove_other_runtime
  pip_install --editable ".[$EXTRAS,$RUNTIME]" --editable "$PLUGIN"
  [ "$RUNTIME" = export ] || install_tensorrt
  install_gl
  printf '%s\n' "$want" >"$STAMP"
  say "done; '. .venv/bin/activate' puts emma on PATH, 'emma doctor' checks the machine"
}

main
