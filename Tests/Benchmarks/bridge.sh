#!/usr/bin/env bash
# Round trips of the bridge: bash Tests/Benchmarks/bridge.sh [BLOCKS [CALLS]]
# 1. ZeroMQ's ways beside raw ZeroMQ in one process, by turns: the net of 48 inputs (256 B a frame) and one of 1,024 (4 kB).
# 2. The ways of one machine, unix and shm, beside a bare futex, a bare socket and raw ZeroMQ, by turns.
# 3. The client in Python: a policy of 200k weights, and an image of 640x480x3 bytes.
# 4. The tail at 200 Hz beside three processes that burn the processors, with and without FIFO; needs the right to FIFO.
# 5. The tail of a plant with keys while strangers knock.
# Each prints the bars of issue 12 and whether they are met; a bar that is missed ends this with 1.
# EFFERENT_LIBRARY: another library than the shipped one, which is built here. PARTS: some of 1 2 3 4 5.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
source Tests/Benchmarks/common.sh
find_library
find_python onnx onnx
out=.build/benchmarks parts=${PARTS:-1 2 3 4 5}
mkdir -p "$out"
"$python" - "$out" <<'PY'
import sys
import numpy as np
import onnx
from onnx import helper, numpy_helper

FLOAT, BYTE = onnx.TensorProto.FLOAT, onnx.TensorProto.UINT8


def save(name, nodes, seen, weights, kind=FLOAT):
    graph = helper.make_graph(nodes, "g", [helper.make_tensor_value_info("obs", kind, [1, *seen])], [helper.make_tensor_value_info("action", FLOAT, [1, 12])],
                              [numpy_helper.from_array(v, k) for k, v in weights.items()])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), f"{sys.argv[1]}/bridge_{name}.onnx")


def small(n):
    return np.full((n, 12), 1e-3, np.float32)


for n in (48, 1008):
    save(n, [helper.make_node("MatMul", ["obs", "w"], ["action"])], [n], {"w": small(n)})
part = {"start": np.array([0]), "end": np.array([48]), "axis": np.array([1]), "w": small(48)}
slice_ = helper.make_node("Slice", ["flat", "start", "end", "axis"], ["part"])
save("wide", [helper.make_node("Identity", ["obs"], ["flat"]), slice_, helper.make_node("MatMul", ["part", "w"], ["action"])], [16368], part)
save("image", [helper.make_node("Flatten", ["obs"], ["flat"]), slice_, helper.make_node("Cast", ["part"], ["f"], to=FLOAT), helper.make_node("MatMul", ["f", "w"], ["action"])],
     [480, 640, 3], part, BYTE)
sizes = (48, 512, 256, 128, 12)
weights, nodes, before = {}, [], "obs"
for i, (a, b) in enumerate(zip(sizes, sizes[1:])):
    weights |= {f"w{i}": np.random.default_rng(i).normal(0, a**-0.5, (a, b)).astype(np.float32), f"b{i}": np.zeros(b, np.float32)}
    last = i == len(sizes) - 2
    nodes.append(helper.make_node("Gemm", [before, f"w{i}", f"b{i}"], ["action" if last else f"h{i}"]))
    if not last:
        nodes.append(helper.make_node("Elu", [f"h{i}"], [f"a{i}"]))
    before = f"a{i}"
save("c", nodes, [48], weights)
PY
missed=0
build() { cc -std=gnu11 -O2 -Wall -Wextra -Iinclude "Tests/Benchmarks/$1.c" -o "$out/$1" "$library" -lzmq -lpthread -Wl,-rpath,"$(realpath "$(dirname "$library")")"; }
if [[ $parts == *1* ]]; then
  build bridge_bench
  for n in 48 1008; do "$out/bridge_bench" "$out/bridge_$n.onnx" "$@" || missed=1; done
fi
if [[ $parts == *2* ]]; then
  build bridge_local
  "$out/bridge_local" "$out/bridge_48.onnx" "$out/bridge_wide.onnx" "$@" || missed=1
fi
if [[ $parts == *3* ]]; then
  EFFERENT_LIBRARY=$(realpath "$library") PYTHONPATH=bindings/python "$python" Tests/Benchmarks/bridge_python.py "$out" "$@" || missed=1
fi
if [[ $parts == *4* ]]; then
  build bridge_tail
  "$out/bridge_tail" "$out/bridge_48.onnx" || missed=1
fi
if [[ $parts == *5* ]]; then
  build bridge_flood
  "$out/bridge_flood" "$out/bridge_48.onnx" || missed=1
fi
exit $missed
