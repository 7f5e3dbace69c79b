#!/usr/bin/env bash
# A zero in every dimension of every operator and every fusion, at every instruction set, against onnxruntime (Tests/Python/zero_extents).
# The library of `swift build`, with its checks, over kernels under the address and undefined-behaviour sanitizers. Ends with "N passed, N failed".
#   bash Tests/Extents/run.sh [--level LEVEL...] [--only WORD]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
command -v swift >/dev/null || PATH=$PATH:/opt/swift/usr/bin:$HOME/.local/share/swiftly/bin
bash Tests/Kernels/sanitized.sh
swift build -q --product efferent
runtime=$(swiftc -print-target-info | grep -A1 '"runtimeLibraryPaths"' | grep -o '/[^"]*' | head -1)
clang=$(dirname "$(command -v swiftc)")/clang++
# what the library is linked from, but for the kernels
mapfile -t objects < <(grep -v '/Kernels\.build/' .build/debug/efferent.product/Objects.LinkFileList)
"$clang" -std=c++17 -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined -Wall -Wextra -Iinclude Tests/Extents/serve.cpp "${objects[@]}" \
  .build/tests/kernels-sanitized/*.o "$runtime/$(uname -m)/swiftrt.o" -L"$runtime" -lswiftCore -lswiftSwiftOnoneSupport -lswift_Concurrency \
  -lswift_StringProcessing -lm -ldl -lpthread -Wl,-rpath,"$runtime" -o .build/tests/extents \
  2> >(grep -v 'Cannot export local symbol' >&2)
program=$PWD/.build/tests/extents python=$PWD/.venv/bin/python
export EFFERENT_LIBRARY=${EFFERENT_LIBRARY:-$PWD/.build/debug/libefferent.so} PYTHONPATH=$PWD/Tests/Python:$PWD/bindings/python PYTHONDONTWRITEBYTECODE=1
"$python" -m zero_extents "$program" "$@"
