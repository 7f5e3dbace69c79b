#!/usr/bin/env bash
# Builds the library's objects under the address and undefined-behaviour sanitizers with coverage, and links every harness with them.
#   bash Tests/Fuzz/build.sh   ->  .build/fuzz/bin/{hostile,fuzz_onnx,fuzz_reader,...}
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
scratch=.build/fuzz bin=.build/fuzz/bin
mkdir -p "$bin"
command -v swift >/dev/null || PATH=$PATH:/opt/swift/usr/bin:$HOME/.local/share/swiftly/bin
swift build -q -c release --scratch-path "$scratch" --target CABI -Xswiftc -sanitize=address,fuzzer \
  -Xcxx -fsanitize=fuzzer-no-link,address,undefined -Xcxx -fno-sanitize-recover=undefined -Xcxx -fno-omit-frame-pointer
runtime=$(swiftc -print-target-info | grep -A1 '"runtimeLibraryPaths"' | grep -o '/[^"]*' | head -1)
clang=$(dirname "$(command -v swiftc)")/clang++
mapfile -t objects < <(find "$scratch"/release/*.build -name '*.o')
for source in Tests/Fuzz/*.cpp; do
  name=$(basename "$source" .cpp)
  kind=$([[ $name == fuzz_* ]] && echo fuzzer || echo fuzzer-no-link)
  "$clang" -std=c++17 -O1 -g -fno-omit-frame-pointer -fsanitize="$kind",address,undefined -fno-sanitize-recover=undefined -Wall -Wextra -Iinclude \
    "$source" "${objects[@]}" "$runtime/$(uname -m)/swiftrt.o" -L"$runtime" -lswiftCore -lswiftSwiftOnoneSupport -lswift_Concurrency -lswift_StringProcessing \
    -lm -ldl -lpthread -Wl,-rpath,"$runtime" -o "$bin/$name"
done
