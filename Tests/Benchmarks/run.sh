#!/bin/bash
# Builds the kernels with the library's flags and the benchmark with -march=native, runs it; arguments choose parts of it.
set -e
cd "$(dirname "$0")/../.."
out=${OUT:-/tmp/eff_bench}; mkdir -p "$out"
flags="-std=c++17 -O3 -fno-exceptions -fno-rtti -I Sources/Kernels/include"
objects=
for f in Sources/Kernels/*.cpp Sources/Kernels/generic/*.cpp Sources/Kernels/simd/*.cpp; do
  [ -e "$f" ] || continue
  o=$out/$(echo "$f" | tr / _).o
  if [ ! -e "$o" ] || [ -n "$(find Sources/Kernels -newer "$o" -print -quit)" ]; then clang++ $flags -c "$f" -o "$o"; fi
  objects="$objects $o"
done
clang++ -std=c++17 -O3 -march=native -Wall -Wextra -I Sources/Kernels/include -isystem /usr/include/eigen3 Tests/Benchmarks/kernels_bench.cpp $objects -o "$out/bench"
"$out/bench" "$@"
