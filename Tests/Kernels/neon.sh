#!/usr/bin/env bash
# The NEON kernels: cross-compiled for aarch64 with Debian's compiler, their tests run under qemu-user. Prints "N passed, N failed" last.
set -euo pipefail
cd "$(dirname "$0")/../.."
out=${1:-.build/tests/neon}
mkdir -p "$out"
flags=(-std=c++17 -O2 -Wall -Wextra -Wno-psabi -Wno-attributes -ISources/Kernels/include)
find Sources/Kernels/*.cpp Sources/Kernels/generic Sources/Kernels/simd -name '*.cpp' -print0 | xargs -0 -P 2 -I{} bash -c '
  o='"$out"'/$(echo {} | tr / _).o
  [[ -f $o && -z $(find Sources/Kernels -newer $o \( -name "*.h" -o -name "*.inl" -o -path {} \) -print -quit) ]] ||
    aarch64-linux-gnu-g++ '"${flags[*]}"' -fno-exceptions -fno-rtti -c {} -o $o'
passed=0 failed=0
for group in simd kernels; do
  aarch64-linux-gnu-g++ "${flags[@]}" -O1 -static Tests/Kernels/$group*.cpp "$out"/*.o -lm -o "$out/$group"
done
# run PROGRAM CPU TEXT [ARGUMENT]: its output must have TEXT as a line
run() {
  echo "aarch64 under qemu: $1 on ${2#-cpu }"
  local lines last
  # shellcheck disable=SC2086
  lines=$(timeout 900 qemu-aarch64 $2 "$out/$1" ${4-}) || true # a failure shows in the last line
  last=${lines##*$'\n'}
  if [[ $last =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed ]]; then
    passed=$((passed + BASH_REMATCH[1])) failed=$((failed + BASH_REMATCH[2]))
  else
    echo "FAILED: ended with '$last'"
    failed=$((failed + 1))
  fi
  grep -qx "$3" <<<"$lines" || { echo "FAILED: no line '$3'"; failed=$((failed + 1)); }
}
# what a processor has decides which kernels run: none of them may use more
run simd "-cpu max" "neon with byte dots: ok"
run simd "-cpu neoverse-n1" "neon with byte dots: ok" dense
run simd "-cpu cortex-a72" "neon: ok" dense
run kernels "-cpu max" ".* 0 failed"
echo "$passed passed, $failed failed"
((failed == 0))
