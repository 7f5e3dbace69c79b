#!/usr/bin/env bash
# Compiles the kernels under the address and undefined-behaviour sanitizers, which end a program at the first fault.
#   bash Tests/Kernels/sanitized.sh   ->  .build/tests/kernels-sanitized/*.o
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
out=.build/tests/kernels-sanitized
mkdir -p "$out"
# the longest first
ls -S Sources/Kernels/simd/*.cpp Sources/Kernels/learning/*.cpp Sources/Kernels/*.cpp Sources/Kernels/generic/*.cpp | xargs -P 2 -I{} bash -c '
  o='"$out"'/$(echo {} | tr / _).o
  [[ -f $o && -z $(find Sources/Kernels -newer $o \( -name "*.h" -o -name "*.inl" -o -path {} \) -print -quit) ]] ||
    clang++ -std=c++17 -O1 -g1 -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-exceptions -fno-rtti -fPIC -I Sources/Kernels/include -c {} -o $o'
