"""Small ONNX models for the tests of the interfaces, written with the onnx package.

    python Tests/Python/models.py FOLDER
"""
import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto as T
from onnx import helper, numpy_helper

FLOATS = {"f16": T.FLOAT16, "f32": T.FLOAT, "f64": T.DOUBLE, "bf16": T.BFLOAT16}
TYPES = FLOATS | {
    "u8": T.UINT8, "i8": T.INT8, "u16": T.UINT16, "i16": T.INT16, "i32": T.INT32, "i64": T.INT64, "bool": T.BOOL,
    "u32": T.UINT32, "u64": T.UINT64,
}


def model(nodes, inputs, outputs, weights=None, opset=17, **metadata):
    """A checked model; inputs and outputs are (name, type, shape)."""
    graph = helper.make_graph(
        nodes, "test", [helper.make_tensor_value_info(*i) for i in inputs],
        [helper.make_tensor_value_info(*o) for o in outputs],
        [numpy_helper.from_array(np.asarray(v), k) for k, v in (weights or {}).items()])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8,
                             producer_name="efferent tests")
    helper.set_model_props(made, metadata)
    onnx.checker.check_model(made)
    return made


def normal(seed, *shape, scale=0.3):
    return (np.random.default_rng(seed).normal(size=shape) * scale).astype(np.float32)


def mlp(batch=1, sizes=(7, 33, 16, 3)):
    """obs -> dense tanh, dense tanh, dense -> action."""
    nodes, weights, x = [], {}, "obs"
    for i, (a, b) in enumerate(zip(sizes, sizes[1:])):
        last = i == len(sizes) - 2
        weights |= {f"w{i}": normal(i, b, a), f"b{i}": normal(10 + i, b)}
        nodes.append(helper.make_node("Gemm", [x, f"w{i}", f"b{i}"], ["action" if last else f"g{i}"], transB=1,
                                      name=f"actor.{i}"))
        if not last:
            nodes.append(helper.make_node("Tanh", [f"g{i}"], [f"t{i}"]))
        x = f"t{i}"
    return model(nodes, [("obs", T.FLOAT, [batch, sizes[0]])], [("action", T.FLOAT, [batch, sizes[-1]])], weights,
                 joint_names="hip,knee,ankle", note="größe ∞")


def lstm(seen=5, hidden=8, done=2):
    """obs, h_in, c_in -> action, h_out, c_out, as Isaac Lab exports it."""
    weights = {
        "w": normal(1, 1, 4 * hidden, seen), "r": normal(2, 1, 4 * hidden, hidden), "b": normal(3, 1, 8 * hidden),
        "w1": normal(4, done, hidden),
        "b1": normal(5, done), "zero": np.array([0], np.int64), "one": np.array([1], np.int64),
    }
    nodes = [
        helper.make_node("Unsqueeze", ["obs", "zero"], ["x"]),
        helper.make_node("LSTM", ["x", "w", "r", "b", "", "h_in", "c_in"], ["y", "h_out", "c_out"], hidden_size=hidden),
        helper.make_node("Squeeze", ["y", "one"], ["y1"]),
        helper.make_node("Squeeze", ["y1", "zero"], ["y0"]),
        helper.make_node("Gemm", ["y0", "w1", "b1"], ["action"], transB=1),
    ]
    state = lambda n: (n, T.FLOAT, [1, 1, hidden])  # noqa: E731
    return model(nodes, [("obs", T.FLOAT, [1, seen]), state("h_in"), state("c_in")],
                 [("action", T.FLOAT, [1, done]), state("h_out"), state("c_out")], weights)


def counter():
    """memory -> memory + x under names that nobody recognizes: recurrent state only where the caller says so."""
    nodes = [helper.make_node("Add", ["x", "before"], ["after"]), helper.make_node("Mul", ["after", "two"], ["action"])]
    return model(nodes, [("x", T.FLOAT, [1, 3]), ("before", T.FLOAT, [1, 3])],
                 [("action", T.FLOAT, [1, 3]), ("after", T.FLOAT, [1, 3])],
                 {"two": np.float32(2)})


def several():
    """An image (u8), a mask (bool) and a vector (f32) in; logits and their arg max (i64) out. Rows are a named
    dimension."""
    nodes = [
        helper.make_node("Cast", ["image"], ["pixels"], to=T.FLOAT),
        helper.make_node("Conv", ["pixels", "k", "kb"], ["conv"], kernel_shape=[3, 3], strides=[2, 2]),
        helper.make_node("Relu", ["conv"], ["relu"]),
        helper.make_node("Flatten", ["relu"], ["flat"]),
        helper.make_node("Concat", ["flat", "vector"], ["all"], axis=1),
        helper.make_node("Gemm", ["all", "w", "b"], ["raw"], transB=1),
        helper.make_node("Where", ["mask", "raw", "low"], ["logits"]),
        helper.make_node("ArgMax", ["logits"], ["action"], axis=1, keepdims=1),
    ]
    weights = {"k": normal(1, 4, 2, 3, 3, scale=0.01), "kb": normal(2, 4), "w": normal(3, 5, 22), "b": normal(4, 5),
               "low": np.float32(-1e9)}
    return model(nodes,
                 [("image", T.UINT8, ["batch", 2, 6, 6]), ("mask", T.BOOL, ["batch", 5]),
                  ("vector", T.FLOAT, ["batch", 6])],
                 [("action", T.INT64, ["batch", 1]), ("logits", T.FLOAT, ["batch", 5])], weights)


def every_type():
    """One input and one equal output of every element type."""
    return model([helper.make_node("Reshape", [f"in_{t}", "shape"], [f"out_{t}"]) for t in TYPES],
                 [(f"in_{t}", c, [2, 3]) for t, c in TYPES.items()],
                 [(f"out_{t}", c, [3, 2]) for t, c in TYPES.items()], {"shape": np.array([3, 2], np.int64)})


def double():
    """A policy in f64."""
    return model([helper.make_node("Gemm", ["obs", "w", "b"], ["action"], transB=1)], [("obs", T.DOUBLE, [1, 4])],
                 [("action", T.DOUBLE, [1, 2])],
                 {"w": normal(1, 2, 4).astype(np.float64), "b": normal(2, 2).astype(np.float64)})


def sum_over():
    """`axes` is an input: static only where it is bound to a constant."""
    return model([helper.make_node("ReduceSum", ["obs", "axes"], ["action"], keepdims=1)],
                 [("obs", T.FLOAT, [1, 4, 3]), ("axes", T.INT64, [1])],
                 [("action", T.FLOAT, [1, "rows", "columns"])])


def constant_output():
    """A second output that depends on no input, as ML-Agents writes its version number."""
    return model([helper.make_node("Tanh", ["obs"], ["action"]),
                  helper.make_node("Constant", [], ["version_number"],
                                   value=numpy_helper.from_array(np.array([3.0], np.float32)))],
                 [("obs", T.FLOAT, [1, 4])], [("action", T.FLOAT, [1, 4]), ("version_number", T.FLOAT, [1])])


MODELS = {f.__name__: f for f in (mlp, lstm, counter, several, every_type, double, constant_output)}


def write(folder):
    """Writes every model that loads without options; `external` keeps its weights in a file beside it."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name, make in MODELS.items():
        onnx.save(make(), folder / f"{name}.onnx")
    (folder / "external.bin").unlink(missing_ok=True)
    onnx.save(mlp(), folder / "external.onnx", save_as_external_data=True, all_tensors_to_one_file=True,
              location="external.bin", size_threshold=0)


if __name__ == "__main__":
    write(sys.argv[1])
