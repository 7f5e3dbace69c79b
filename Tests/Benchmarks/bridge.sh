#!/usr/bin/env bash
# Round trips of the bridge beside raw ZeroMQ in one process, by turns: bash Tests/Benchmarks/bridge.sh [BLOCKS [CALLS]]
# The net of 48 inputs (256 B a frame) and one of 1,024 (4 kB). EFFERENT_LIBRARY: another library than the shipped one, which is built here.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
source Tests/Benchmarks/common.sh
find_library
find_python onnx onnx
out=.build/benchmarks
mkdir -p "$out"
"$python" - "$out" <<'PY'
import sys
import numpy as np
import onnx
from onnx import helper, numpy_helper

for n in (48, 1008):
    w = numpy_helper.from_array(np.full((n, 12), 1e-3, np.float32), "w")
    graph = helper.make_graph([helper.make_node("MatMul", ["obs", "w"], ["action"])], "g",
                              [helper.make_tensor_value_info("obs", 1, [1, n])], [helper.make_tensor_value_info("action", 1, [1, 12])], [w])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), f"{sys.argv[1]}/bridge_{n}.onnx")
PY
cc -std=gnu11 -O2 -Wall -Wextra -Iinclude Tests/Benchmarks/bridge_bench.c -o "$out/bridge_bench" "$library" -lzmq -lpthread -Wl,-rpath,"$(realpath "$(dirname "$library")")"
for n in 48 1008; do "$out/bridge_bench" "$out/bridge_$n.onnx" "$@"; done
