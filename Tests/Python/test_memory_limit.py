"""What loading allocates is bounded by memory_limit: folding and fusion too."""
import re
from pathlib import Path

import efferent
import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from oracles import close, expected

MIB = 1 << 20
SOURCES = Path(__file__).resolve().parents[2] / "Sources"


def model(nodes, inputs, outputs, constants, opset=17):
    value = lambda n, s: helper.make_tensor_value_info(n, TensorProto.FLOAT, s)
    graph = helper.make_graph(nodes, "g", [value(*i) for i in inputs], [value(*o) for o in outputs],
                              [numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items()])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)


def random(*shape):
    return np.random.default_rng(1).normal(size=shape).astype(np.float32) / 30


def scaled_convolution():
    """8 MiB of weights, made at load, and a scale that fusion multiplies into a copy of them."""
    nodes = [helper.make_node("Cast", ["h"], ["w"], to=TensorProto.FLOAT),
             helper.make_node("Conv", ["x", "w"], ["a"], pads=[1, 1, 1, 1]), helper.make_node("Mul", ["a", "s"], ["y"])]
    return model(nodes, [("x", [1, 233, 3, 3])], [("y", [1, 1000, 3, 3])],
                 {"h": random(1000, 233, 3, 3).astype(np.float16), "s": 1 + random(1000, 1, 1)})


def scaled_dense():
    nodes = [helper.make_node("Cast", ["h"], ["w"], to=TensorProto.FLOAT),
             helper.make_node("MatMul", ["x", "w"], ["a"]), helper.make_node("Mul", ["a", "s"], ["y"])]
    return model(nodes, [("x", [1, 1024])], [("y", [1, 2048])],
                 {"h": random(1024, 2048).astype(np.float16), "s": 1 + random(2048)})


@pytest.mark.parametrize("made", [scaled_convolution, scaled_dense])
def test_a_fold_that_does_not_fit_is_left_out(made):
    made = made()
    x = random(*[d.dim_value for d in made.graph.input[0].type.tensor_type.shape.dim])
    want = expected(made, {"x": x})["y"]
    ops = {}
    for limit in (14, 100):
        policy = efferent.Policy(made.SerializeToString(), memory_limit=limit * MIB)
        close(policy.session().run({"x": x})["y"], want)
        ops[limit] = len(policy.ops)
    # the weights are packed once in any case; a scaled copy of them fits only where there is room for two
    assert ops[14] == ops[100] + 1


def test_scaled_packing_is_bounded():
    """alpha of a Gemm multiplies the weights while they are packed, in a copy."""
    nodes = [helper.make_node("Gemm", ["x", "w"], ["y"], alpha=0.5)]
    made = model(nodes, [("x", [1, 1024])], [("y", [1, 2048])], {"w": random(1024, 2048)})
    with pytest.raises(efferent.MemoryError_, match="memory limit"):
        efferent.Policy(made.SerializeToString(), memory_limit=12 * MIB)
    efferent.Policy(made.SerializeToString(), memory_limit=20 * MIB)


def test_building_a_graph_allocates_through_its_budget_alone():
    found = [f"{path.name}:{i + 1}" for folder in ("Graph", "Onnx", "Safetensors")
             for path in sorted((SOURCES / folder).rglob("*.swift"))
             for i, line in enumerate(path.read_text().splitlines()) if re.search(r"\bBytes\.zeroed\(", line)]
    assert not found, found
