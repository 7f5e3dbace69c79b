#!/usr/bin/env bash
# Cost of act + update beside PyTorch and the bandwidth floor, one command from a fresh clone:
#   bash Tests/Benchmarks/learner/run.sh [--rounds N] [--out FILE.json]      results.json beside this file was written so
# EFFERENT_LIBRARY: measure this library instead of building one. BENCH_PYTHON: a Python with torch (2.13.0+cpu) and numpy.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../../.."
out=.build/benchmarks/learner
mkdir -p "$out"
library=${EFFERENT_LIBRARY:-}
if [[ ! $library ]]; then
  bash bindings/c/install.sh --prefix .build/prefix
  library=.build/prefix/lib/libefferent.so
fi
python=${BENCH_PYTHON:-.venv/bin/python}
if ! "$python" -c 'import numpy, torch' 2>/dev/null; then
  python3 -m venv .venv
  python=.venv/bin/python
  "$python" -m pip install -q --disable-pip-version-check -r Tests/requirements.txt torch==2.13.0 --extra-index-url https://download.pytorch.org/whl/cpu
fi
cp -L "$library" "$out/libefferent.so.0"
flags=(-std=c++17 -O2 -Wall -Wextra -I include "$out/libefferent.so.0" "-Wl,-rpath,$PWD/$out")
${CXX:-clang++} "${flags[@]}" -shared -fPIC Tests/Benchmarks/learner/loops.cpp -o "$out/loops.so"
${CXX:-clang++} "${flags[@]}" Tests/Benchmarks/learner/learner_bench.cpp -o "$out/learner_bench"
"$out/learner_bench"
"$python" Tests/Benchmarks/learner/torch_bench.py "$out/loops.so" "$@"
