#!/usr/bin/env bash
# Cost of act + update beside PyTorch and the bandwidth floor, one command from a fresh clone:
#   bash Tests/Benchmarks/learner/run.sh [--rounds N] [--out FILE.json]      results.json beside this file was written so
# EFFERENT_LIBRARY: measure this library instead of building one. BENCH_PYTHON: a Python with torch (2.13.0+cpu) and numpy.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../../.."
out=.build/benchmarks/learner
mkdir -p "$out"
source Tests/Benchmarks/common.sh
find_library
find_python "numpy, torch" torch==2.13.0 --extra-index-url https://download.pytorch.org/whl/cpu
soname=$(readelf -d "$library" | sed -n 's/.*(SONAME).*\[\(.*\)\]/\1/p')
cp -L "$library" "$out/$soname"
flags=(-std=c++17 -O2 -Wall -Wextra -I include "$out/$soname" "-Wl,-rpath,$PWD/$out")
${CXX:-clang++} "${flags[@]}" -shared -fPIC Tests/Benchmarks/learner/loops.cpp -o "$out/loops.so"
${CXX:-clang++} "${flags[@]}" Tests/Benchmarks/learner/learner_bench.cpp -o "$out/learner_bench"
"$out/learner_bench"
"$python" Tests/Benchmarks/learner/torch_bench.py "$out/loops.so" "$@"
