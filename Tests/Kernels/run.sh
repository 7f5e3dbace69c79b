#!/bin/bash
# Builds the kernels and runs their tests. Extra flags go to the compiler: run.sh -fsanitize=address,undefined
set -e
cd "$(dirname "$0")/../.."
out=$(mktemp -d); trap 'rm -rf "$out"' EXIT
cxx="${CXX:-clang++} -std=c++17 -O2 -g -Wall -Wextra -ISources/Kernels/include $*"
objects=()
for f in Sources/Kernels/*.cpp Sources/Kernels/{generic,simd}/*.cpp; do
  o=$out/$(echo "$f" | tr / _).o
  $cxx -fno-exceptions -fno-rtti -c "$f" -o "$o"
  objects+=("$o")
done
$cxx Tests/Kernels/kernels_test.cpp "${objects[@]}" -lm -o "$out/kernels_test"
$cxx Tests/Kernels/simd_*.cpp "${objects[@]}" -lm -o "$out/simd_test"
status=0
"$out/simd_test" || status=1
"$out/kernels_test" || status=1
exit $status
