#!/usr/bin/env bash
# A trained policy drives a simulator: bash examples/quickstart.sh [--episodes N] [--endpoint ipc:///tmp/efferent.sock|shm:/tmp/efferent.sock] [--policy FILE]
# Installs what is missing, builds the library, runs policy and MuJoCo plant as two processes joined by ZeroMQ or shared memory, and writes what it saw to
# .build/quickstart (report.json, run.npz, quickstart.png). Asks nothing; safe to run again.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export DEBIAN_FRONTEND=noninteractive PIP_DISABLE_PIP_VERSION_CHECK=1
say() { printf '[quickstart] %s\n' "$*"; }

missing=()
for package in g++ binutils pkg-config libzmq5 python3-venv; do
  command -v dpkg >/dev/null && ! dpkg -s "$package" >/dev/null 2>&1 && missing+=("$package")
done
if ((${#missing[@]})); then
  if ((EUID != 0)); then
    say "missing: ${missing[*]}. Run: sudo apt-get install -y ${missing[*]}"
    exit 1
  fi
  say "installing ${missing[*]} with apt-get"
  apt-get update -qq </dev/null >/dev/null || say "apt-get update failed; trying with the package lists that are here"
  apt-get install -y -qq --no-install-recommends "${missing[@]}" </dev/null >/dev/null
fi

stamp=.venv/quickstart.sum
wanted=$(sha256sum examples/requirements.txt)
if [[ ! -x .venv/bin/python || $(cat "$stamp" 2>/dev/null) != "$wanted" ]]; then
  say "making the Python environment .venv: MuJoCo, Gymnasium, onnxruntime for comparison, ... (about a minute)"
  [[ -x .venv/bin/python ]] || python3 -m venv .venv
  .venv/bin/python -m pip install --progress-bar on -q -r examples/requirements.txt </dev/null
  echo "$wanted" >"$stamp"
fi

bash bindings/c/install.sh --prefix .build/prefix

export EFFERENT_LIBRARY=$PWD/.build/prefix/lib/libefferent.so PYTHONPATH=$PWD/bindings/python
exec .venv/bin/python examples/quickstart.py "$@"
