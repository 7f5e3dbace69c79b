#!/usr/bin/env bash
# What a controller costs beside its network, and its loop of 1 kHz: bash Tests/Benchmarks/controller.sh [cost|loop|both] [--rounds N | --seconds S]
# A humanoid of 29 joints with 5 frames of history, made here. EFFERENT_LIBRARY: another library than the shipped one, which is built here.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
source Tests/Benchmarks/common.sh
find_library
find_python onnx onnx
out=.build/benchmarks/controller
mkdir -p "$out"
"$python" Tests/Benchmarks/make_controller.py "$out"
cc -std=gnu11 -O2 -Wall -Wextra -Iinclude Tests/Benchmarks/controller_bench.c -o "$out/controller_bench" "$library" -lpthread -Wl,-rpath,"$(realpath "$(dirname "$library")")"
what=${1:-both}
[[ $what != both ]] || { "$out/controller_bench" cost "$out" && "$out/controller_bench" loop "$out"; exit; }
"$out/controller_bench" "$what" "$out" "${@:2}"
