"""The three policies of this folder, and what onnxruntime gives for them.

    python Tests/Models/make_models.py [FOLDER]
"""
import json
import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def model(name, nodes, inputs, outputs, weights):
    """A checked model in f32; inputs and outputs are (name, shape)."""
    port = lambda p: helper.make_tensor_value_info(p[0], TensorProto.FLOAT, p[1])  # noqa: E731
    graph = helper.make_graph(
        nodes, name, [port(i) for i in inputs], [port(o) for o in outputs],
        [numpy_helper.from_array(value, key) for key, value in weights.items()])
    made = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="efferent tests")
    onnx.checker.check_model(made)
    return made


def dense(rng, inputs, outputs):
    """A matrix [outputs, inputs] and a bias, of the size that keeps activations near 1."""
    scale = 1 / np.sqrt(inputs)
    matrix = rng.normal(size=(outputs, inputs)) * scale
    return matrix.astype(np.float32), (rng.normal(size=outputs) * 0.1).astype(np.float32)


def mlp():
    """An actor of 12 observations and 4 actions: normalizer, 2 x 24 ELU, tanh."""
    rng = np.random.default_rng(1)
    weights = {
        "mean": rng.normal(size=12).astype(np.float32),
        "deviation": rng.uniform(0.5, 2, size=12).astype(np.float32),
    }
    nodes = [
        helper.make_node("Sub", ["obs", "mean"], ["centered"]),
        helper.make_node("Div", ["centered", "deviation"], ["x0"]),
    ]
    sizes = [12, 24, 24, 4]
    for i, (n, m) in enumerate(zip(sizes, sizes[1:])):
        weights[f"w{i}"], weights[f"b{i}"] = dense(rng, n, m)
        is_last = i + 2 == len(sizes)
        nodes.append(helper.make_node("Gemm", [f"x{i}", f"w{i}", f"b{i}"], [f"z{i}"], transB=1, name=f"actor.{i}"))
        nodes.append(helper.make_node("Tanh" if is_last else "Elu", [f"z{i}"], ["action" if is_last else f"x{i + 1}"]))
    return model("mlp", nodes, [("obs", [1, 12])], [("action", [1, 4])], weights)


def gru():
    """8 observations, a GRU of 12 units as PyTorch exports it, 3 actions."""
    rng = np.random.default_rng(2)
    seen, hidden, actions = 8, 12, 3
    weights = {
        "w": (rng.normal(size=(1, 3 * hidden, seen)) / np.sqrt(seen)).astype(np.float32),
        "r": (rng.normal(size=(1, 3 * hidden, hidden)) / np.sqrt(hidden)).astype(np.float32),
        "b": (rng.normal(size=(1, 6 * hidden)) * 0.1).astype(np.float32),
        "zero": np.array([0], np.int64),
        "one": np.array([1], np.int64),
    }
    weights["head.w"], weights["head.b"] = dense(rng, hidden, actions)
    nodes = [
        helper.make_node("Unsqueeze", ["obs", "zero"], ["x"]),
        helper.make_node(
            "GRU", ["x", "w", "r", "b", "", "h_in"], ["y", "h_out"], hidden_size=hidden, linear_before_reset=1),
        helper.make_node("Squeeze", ["y", "one"], ["y1"]),
        helper.make_node("Squeeze", ["y1", "zero"], ["y0"]),
        helper.make_node("Gemm", ["y0", "head.w", "head.b"], ["action"], transB=1, name="head"),
    ]
    state = [1, 1, hidden]
    return model(
        "gru", nodes, [("obs", [1, seen]), ("h_in", state)], [("action", [1, actions]), ("h_out", state)], weights)


def convolution():
    """Depth rows [1, 2, 16, 16]: two strided convolutions with ReLU, a dense layer, 2 actions."""
    rng = np.random.default_rng(3)
    weights = {
        "c0.w": (rng.normal(size=(6, 2, 3, 3)) / np.sqrt(18)).astype(np.float32),
        "c0.b": (rng.normal(size=6) * 0.1).astype(np.float32),
        "c1.w": (rng.normal(size=(8, 6, 3, 3)) / np.sqrt(54)).astype(np.float32),
        "c1.b": (rng.normal(size=8) * 0.1).astype(np.float32),
    }
    weights["head.w"], weights["head.b"] = dense(rng, 8 * 4 * 4, 2)
    conv = dict(kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    nodes = [
        helper.make_node("Conv", ["obs", "c0.w", "c0.b"], ["z0"], **conv),
        helper.make_node("Relu", ["z0"], ["x1"]),
        helper.make_node("Conv", ["x1", "c1.w", "c1.b"], ["z1"], **conv),
        helper.make_node("Relu", ["z1"], ["x2"]),
        helper.make_node("Flatten", ["x2"], ["x3"], axis=1),
        helper.make_node("Gemm", ["x3", "head.w", "head.b"], ["action"], transB=1),
    ]
    return model("convolution", nodes, [("obs", [1, 2, 16, 16])], [("action", [1, 2])], weights)


MODELS = {"mlp": mlp, "gru": gru, "convolution": convolution}
#: Sequences and steps of each.
RUNS = {"mlp": (1, 4), "gru": (2, 6), "convolution": (1, 2)}


def observations(name, size):
    """[sequences, steps, size], with three decimals, so that their text is short and exact enough."""
    sequences, steps = RUNS[name]
    x = np.random.default_rng(len(name)).uniform(-2, 2, size=(sequences, steps, size))
    return np.round(x, 3).astype(np.float32)


def run(made, x):
    """What onnxruntime gives for sequences of observations: actions [sequences, steps, count]."""
    import onnxruntime

    session = onnxruntime.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    ports = session.get_inputs()
    actions = []
    for sequence in x:
        state = {p.name: np.zeros(p.shape, np.float32) for p in ports[1:]}
        actions.append([])
        for observation in sequence:
            feed = {ports[0].name: observation.reshape(ports[0].shape)} | state
            action, *after = session.run(None, feed)
            state = dict(zip(state, after))
            actions[-1].append(action.ravel())
    return np.array(actions)


def record(made, name):
    """The text of NAME.json."""
    first = made.graph.input[0].type.tensor_type.shape
    x = observations(name, int(np.prod([d.dim_value for d in first.dim])))
    # the shortest digits that give the same f32
    numbers = lambda a: [[[float(str(v)) for v in step] for step in s] for s in a]  # noqa: E731
    states = {i.name: o.name for i, o in zip(made.graph.input[1:], made.graph.output[1:])}
    values = {"observations": numbers(x), "actions": numbers(run(made, x))}
    return json.dumps({"model": f"{name}.onnx", "states": states} | values) + "\n"


def main(folder):
    for name, make in MODELS.items():
        made = make()
        (folder / f"{name}.onnx").write_bytes(made.SerializeToString(deterministic=True))
        (folder / f"{name}.json").write_text(record(made, name))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
