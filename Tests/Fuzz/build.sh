#!/usr/bin/env bash
# Builds the library's objects under the address and undefined-behaviour sanitizers with coverage, and links every harness with them.
#   bash Tests/Fuzz/build.sh [bridge]   ->  .build/fuzz/bin/{hostile,frames,fuzz_onnx,fuzz_reader,fuzz_bridge,fuzz_local,...}; `bridge`: those of the bridge alone
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
scratch=.build/fuzz bin=.build/fuzz/bin
mkdir -p "$bin"
command -v swift >/dev/null || PATH=$PATH:/opt/swift/usr/bin:$HOME/.local/share/swiftly/bin
runtime=$(swiftc -print-target-info | grep -A1 '"runtimeLibraryPaths"' | grep -o '/[^"]*' | head -1)
clang=$(dirname "$(command -v swiftc)")/clang++
link() { # NAME KIND SOURCE OBJECT...
  "$clang" -std=c++17 -O1 -g -fno-omit-frame-pointer -fsanitize="$2",address,undefined -fno-sanitize-recover=undefined -Wall -Wextra -Iinclude \
    "${@:3}" "$runtime/$(uname -m)/swiftrt.o" -L"$runtime" -lswiftCore -lswiftSwiftOnoneSupport -lswift_Concurrency -lswift_StringProcessing \
    -lm -ldl -lpthread -Wl,-rpath,"$runtime" -o "$bin/$1"
}

# the bridge's frames, streams and shared memory: Swift targets that see what is internal to the module, so that this is built once more, for tests
swift build -q -c release --scratch-path "$scratch-bridge" --target Bridge -Xswiftc -sanitize=address,fuzzer -Xswiftc -enable-testing -Xcc -fsanitize=fuzzer-no-link,address
mapfile -t objects < <(find "$scratch-bridge"/release/{Base,Bridge,CZeroMQ,Pages}.build -name '*.o')
for name in fuzz_bridge fuzz_local; do
  others=()
  [[ $name != fuzz_bridge ]] || others=(Tests/BridgeTests/FakeTarget.swift)
  swiftc -O -g -parse-as-library -sanitize=address,fuzzer -enable-testing -wmo -module-name "$name" -D Bridge -I "$scratch-bridge/release/Modules" \
    -Xcc -fmodule-map-file=Sources/Platform/module.modulemap -Xcc -fmodule-map-file=Sources/CZeroMQ/include/module.modulemap \
    -Xcc -fmodule-map-file=Sources/Pages/include/module.modulemap \
    -c "Tests/Fuzz/$name.swift" "${others[@]}" -o "$scratch-bridge/$name.o"
  link "$name" fuzzer "$scratch-bridge/$name.o" "${objects[@]}"
done
[[ ${1:-} != bridge ]] || exit 0

swift build -q -c release --scratch-path "$scratch" --target CABI -Xswiftc -sanitize=address,fuzzer \
  -Xcxx -fsanitize=fuzzer-no-link,address,undefined -Xcxx -fno-sanitize-recover=undefined -Xcxx -fno-omit-frame-pointer
mapfile -t objects < <(find "$scratch"/release/*.build -name '*.o')
for source in Tests/Fuzz/*.cpp; do
  name=$(basename "$source" .cpp)
  kind=$([[ $name == fuzz_* ]] && echo fuzzer || echo fuzzer-no-link)
  libraries=()
  [[ $name != frames ]] || libraries=(-lzmq)
  link "$name" "$kind" "$source" "${objects[@]}" "${libraries[@]}"
done
