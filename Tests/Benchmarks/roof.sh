#!/usr/bin/env bash
# What share of the processor's peak of multiply-adds the kernels reach, beside Eigen, OpenBLAS and BLIS:
#   bash Tests/Benchmarks/roof.sh [quick] [M K N]      M K N: this product alone
# Kernels have the library's flags, Eigen those of the level that runs (EFFERENT_ISA: another level than the best).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
out=.build/benchmarks/roof
mkdir -p "$out"
compiler=${CXX:-clang++}
if [[ ! -d /usr/include/eigen3 ]]; then
  echo "no Eigen in /usr/include/eigen3: sudo apt-get install -y libeigen3-dev" >&2
  exit 1
fi
flags=(-std=c++17 -O2 -fno-exceptions -fno-rtti -I Sources/Kernels/include)
[[ $compiler != *clang* ]] || flags+=(-fno-unroll-loops)
objects=()
for source in Sources/Kernels/*.cpp Sources/Kernels/{generic,simd}/*.cpp; do
  object=$out/$(tr / _ <<<"$source").o
  if [[ ! -e $object || -n $(find Sources/Kernels -newer "$object" -print -quit) ]]; then
    "$compiler" "${flags[@]}" -c "$source" -o "$object"
  fi
  objects+=("$object")
done
best=base
! grep -qs avx2 /proc/cpuinfo || best=avx2
! grep -qs avx512bw /proc/cpuinfo || best=avx512
case ${EFFERENT_ISA:-$best} in
  avx512*) level=(-mavx2 -mfma -mavx512f -mavx512bw -mavx512dq -mavx512vl) ;;
  avx2) level=(-mavx2 -mfma) ;;
  *) level=() ;;
esac
"$compiler" -std=c++17 -O3 -ffp-contract=fast ${level[@]+"${level[@]}"} -isystem /usr/include/eigen3 \
  -c Tests/Benchmarks/roof_eigen.cpp -o "$out/roof_eigen.o"
"$compiler" -std=c++17 -O2 -Wall -Wextra -I Sources/Kernels/include Tests/Benchmarks/roof.cpp "$out/roof_eigen.o" \
  "${objects[@]}" -ldl -lm -o "$out/roof"
printf '%s, %s\n' "$(git describe --always --dirty 2>/dev/null || echo 'no git')" "$(date -u +%FT%TZ)"
printf '%s, load %s\n' "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1)" "$(cut -d' ' -f1-3 /proc/loadavg)"
"$out/roof" "$@"
