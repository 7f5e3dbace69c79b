"""Policies in safetensors (Sources/Safetensors/FORMAT.md): every layer against numpy or onnxruntime, types, state,
sidecar files."""
import json
import re
from pathlib import Path

import efferent
import numpy as np
import onnxruntime
import pytest
from efferent._convert.safetensors import KEY, Bfloat16, dumps, loads
from onnx import TensorProto, helper, numpy_helper
from test_convert import gates, gru, lstm, sigmoid

RNG = np.random.default_rng(3)
FORMAT = Path(__file__).resolve().parents[2] / "Sources/Safetensors/FORMAT.md"


def normal(*shape):
    return RNG.normal(size=shape).astype(np.float32)


def policy(layers, tensors=None, shape=(6,), **more):
    return efferent.Policy(dumps(tensors or {}, {},
                                 {"efferent": 1, "inputs": [{"name": "obs", "shape": list(shape)}], "layers": layers,
                                  **more}))


def step(layers, tensors, x, **more):
    return policy(layers, tensors, x.shape, **more).session().step(x)


def onnx_op(op, x, *weights, opset=23, **attributes):
    """One ONNX operator by onnxruntime."""
    names = [f"w{i}" for i in range(len(weights))]
    node = helper.make_node(op, ["x", *names], ["y"], **attributes)
    graph = helper.make_graph([node], "one", [helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape)],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
                              [numpy_helper.from_array(w, n) for w, n in zip(weights, names)])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    return onnxruntime.InferenceSession(model.SerializeToString(),
                                        providers=["CPUExecutionProvider"]).run(None, {"x": x})[0]


def close(found, wanted):
    assert found.shape == np.shape(wanted)
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)


# ---- functions ----

BY_ONNX = {
    "relu": ("Relu", {}), "elu": ("Elu", {}), "selu": ("Selu", {}), "celu": ("Celu", {}),
    "leaky_relu": ("LeakyRelu", {}), "tanh": ("Tanh", {}), "sigmoid": ("Sigmoid", {}),
    "gelu": ("Gelu", {}), "gelu_tanh": ("Gelu", {"approximate": "tanh"}), "mish": ("Mish", {}),
    "softplus": ("Softplus", {}), "softsign": ("Softsign", {}), "exp": ("Exp", {}),
    "hard_swish": ("HardSwish", {}), "abs": ("Abs", {}), "sin": ("Sin", {}), "cos": ("Cos", {}), "negate": ("Neg", {}),
    "softmax": ("Softmax", {"axis": -1}),
    "log_softmax": ("LogSoftmax", {"axis": -1}), "identity": ("Identity", {}), "log": ("Log", {}), "sqrt": ("Sqrt", {}),
}
BY_NUMPY = {
    "silu": lambda x: x * sigmoid(x), "swish": lambda x: x * sigmoid(x), "relu6": lambda x: np.clip(x, 0, 6),
    "hard_tanh": lambda x: np.clip(x, -1, 1),
    "hard_sigmoid": lambda x: np.clip(x / 6 + 0.5, 0, 1), "step": lambda x: (x > 0).astype(np.float32),
    "linear": lambda x: x,
}


def test_every_function_alone_and_after_a_dense_layer():
    listed = set(re.findall(r"[a-z_]+[0-9]?", FORMAT.read_text().split("Functions, also for")[1].split("\n\n")[0])) & {
        *BY_ONNX,
        *BY_NUMPY,
    }
    assert listed == {*BY_ONNX, *BY_NUMPY} - {"linear"}
    w, b = normal(6, 6), normal(6)
    for name in (*BY_ONNX, *BY_NUMPY):
        f = BY_NUMPY.get(name) or (lambda x, name=name: onnx_op(BY_ONNX[name][0], x, **BY_ONNX[name][1]))
        x = np.abs(normal(1, 6)) + 0.1 if name in ("log", "sqrt") else normal(1, 6) * 3
        close(step([{"type": name}], {}, x[0]), f(x)[0])
        if name not in ("log", "sqrt"):
            close(step([{"type": "dense", "name": "d", "activation": name}], {"d.weight": w, "d.bias": b}, x[0]),
                  f(x @ w.T + b)[0])
    x = normal(2, 3)
    close(step([{"type": "elu", "alpha": 0.5}], {}, x), np.where(x > 0, x, 0.5 * np.expm1(x)))
    close(step([{"type": "softmax", "axis": 0}], {}, x), np.exp(x) / np.exp(x).sum(0))


# ---- layers with weights ----


@pytest.mark.parametrize("kind", ["F64", "F32", "F16", "BF16", "I8", "U8", "I64"])
def test_dense_reads_every_type_of_weight(kind):
    w, scale = normal(4, 6), np.float32(0.25) * np.arange(1, 5, dtype=np.float32)
    stored = {"F64": w.astype(np.float64), "F32": w, "F16": w.astype(np.float16),
              "BF16": (w.view(np.uint32) >> 16).astype(np.uint16).view(Bfloat16),
              "I8": (w * 50).astype(np.int8), "U8": np.abs(w * 50).astype(np.uint8),
              "I64": (w * 50).astype(np.int64)}[kind]
    real = stored.widened() if kind == "BF16" else stored.astype(np.float32)
    whole = kind[0] in "IU"
    tensors = {"d.weight": stored, "scale": scale}
    assert json.loads(dumps(tensors)[8:].split(b"}}")[0] + b"}}")["d.weight"]["dtype"] == kind
    x = normal(6)
    close(step([{"type": "dense", "name": "d", **({"weight_scale": "scale"} if whole else {})}], tensors, x),
          (real * (scale[:, None] if whole else 1)) @ x)
    x = normal(3, 6)
    transposed = {"d.weight": np.ascontiguousarray(w.T), "b": normal(4)}
    close(step([{"type": "dense", "name": "d", "transposed": True, "bias": "b"}], transposed, x),
          x @ w.T + transposed["b"])


def test_convolutions_and_pools():
    x, w, b = normal(4, 9, 8), normal(6, 2, 3, 2), normal(6)
    layer = {"type": "conv", "name": "c", "stride": [2, 1], "padding": [1, 0], "dilation": [1, 2], "groups": 2,
             "activation": "relu"}
    y = np.maximum(onnx_op("Conv", x[None], w, b, strides=[2, 1], pads=[1, 0, 1, 0], dilations=[1, 2], group=2), 0)
    close(step([layer], {"c.weight": w, "c.bias": b}, x), y[0])
    close(step([{"type": "max_pool", "size": 3, "stride": 2, "padding": 1}], {}, x),
          onnx_op("MaxPool", x[None], kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)[0])
    close(step([{"type": "average_pool", "size": [2, 3], "padding": [1, 1]}], {}, x),
          onnx_op("AveragePool", x[None], kernel_shape=[2, 3], strides=[2, 3], pads=[1] * 4, count_include_pad=1)[0])
    x, w = normal(3, 12), normal(5, 3, 4)
    close(step([{"type": "conv", "name": "c"}, {"type": "flatten"}], {"c.weight": w}, x),
          onnx_op("Conv", x[None], w)[0].ravel())


def test_normalizations():
    x, w, b = normal(4, 6), normal(6), normal(6)
    close(step([{"type": "layer_norm", "name": "n"}], {"n.weight": w, "n.bias": b}, x),
          onnx_op("LayerNormalization", x, w, b, axis=-1, epsilon=1e-5))
    close(step([{"type": "layer_norm", "eps": 0.1}], {}, x),
          (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + 0.1))
    close(step([{"type": "rms_norm", "name": "n"}], {"n.weight": w}, x),
          x / np.sqrt((x**2).mean(1, keepdims=True) + 1e-6) * w)
    w, b, m, v = normal(4), normal(4), normal(4), np.abs(normal(4)) + 0.1
    tensors = {"n.weight": w, "n.bias": b, "n.running_mean": m, "n.running_var": v}
    close(step([{"type": "batch_norm", "name": "n", "eps": 0.01}], tensors, x),
          onnx_op("BatchNormalization", x[None], w, b, m, v, epsilon=0.01)[0])
    groups = x.reshape(2, -1)
    groups = ((groups - groups.mean(1, keepdims=True)) / np.sqrt(groups.var(1, keepdims=True) + 1e-5)).reshape(4, 6)
    close(step([{"type": "group_norm", "name": "n", "groups": 2}], tensors, x), groups * w[:, None] + b[:, None])


def test_recurrent_layers_carry_their_state_and_reset_it():
    tensors = gates("m.", 4, 6, 5) | gates("g.", 3, 5, 3)
    tensors |= {k.replace("m.", "n.").replace("l0", "l1"): v for k, v in gates("m.", 4, 5, 5).items()} | {
        k.replace("m.", "n."): v for k, v in tensors.items() if k.startswith("m.")
    }
    session = policy([{"type": "lstm", "name": "m"}, {"type": "gru", "name": "g"}], tensors).session()
    assert session.policy.state == {"m.h_in": "m.h_out", "m.c_in": "m.c_out", "g.h_in": "g.h_out"}
    for _ in range(2):
        h, c, g = np.zeros(5), np.zeros(5), np.zeros(3)
        for _ in range(8):
            x = normal(6)
            h, c = lstm(tensors, "m.", x, h, c)
            g = gru(tensors, "g.", h, g)
            close(session.step(x), g)
        session.reset()
    two = policy([{"type": "lstm", "name": "n"}], tensors).session()
    assert list(two.policy.state) == ["n.0.h_in", "n.0.c_in", "n.1.h_in", "n.1.c_in"]
    second = {k.replace("l1", "l0"): v for k, v in tensors.items() if k.endswith("l1")}
    h, c, h1, c1 = (np.zeros(5) for _ in range(4))
    for _ in range(8):
        x = normal(6)
        h, c = lstm(tensors, "n.", x, h, c)
        h1, c1 = lstm(second, "n.", h, h1, c1)
        close(two.step(x), h1)


def test_a_sequence_in_one_step_equals_its_steps():
    tensors, x = gates("m.", 3, 6, 5), normal(4, 6)
    one = policy([{"type": "gru", "name": "m"}], tensors).session()
    close(step([{"type": "gru", "name": "m"}], tensors, x), np.array([one.step(v) for v in x]))
    fresh = policy([{"type": "gru", "name": "m", "state": False}], tensors, (4, 6))
    session = fresh.session()
    assert fresh.state == {} and np.array_equal(session.step(x), session.step(x))


# ---- values and shapes ----


def test_normalizers_of_all_trainers():
    x, m, v = normal(6) * 5, normal(6), np.abs(normal(6)) + 0.1
    s = np.sqrt(v)
    for layer, wanted in (
        ({"mean": "m", "var": "v", "eps": 1e-2, "clip": 1.5}, np.clip((x - m) / np.sqrt(v + 1e-2), -1.5, 1.5)),
        ({"mean": "m", "var": "v", "eps": 1e-2, "eps_outside": True, "clip": 5}, np.clip((x - m) / (s + 1e-2), -5, 5)),
        ({"mean": "m", "std": "s", "eps": 1e-2}, (x - m) / (s + 1e-2)),
        ({"mean": "m", "std": "s", "std_min": 0.5, "std_max": 1}, (x - m) / np.clip(s, 0.5, 1)),
        ({"mean": [1, 2, 3, 4, 5, 6], "std": 2, "dtype": "f64"}, (x - np.arange(1, 7)) / 2), ({"std": "s"}, x / s),
        ({"mean": "m"}, x - m),
    ):
        close(step([{"type": "normalizer", **layer}], {"m": m, "v": v, "s": s[None]}, x), wanted)


def test_scales_clips_and_squashes():
    x, low, high = normal(3) * 2, np.array([-1, -2, -3], np.float32), np.array([1, 3, np.inf], np.float32)
    close(step([{"type": "scale", "scale": 2, "offset": [1, 2, 3]}], {}, x), 2 * x + [1, 2, 3])
    close(step([{"type": "clip", "low": -0.5, "high": "high"}], {"high": high}, x), np.clip(x, -0.5, high))
    close(step([{"type": "squash"}], {}, x), np.tanh(x))
    close(step([{"type": "squash", "low": "low", "high": [1, 3, 4]}], {"low": low}, x),
          low + (np.tanh(x) + 1) * (np.array([1, 3, 4]) - low) / 2)


def test_branches_shapes_and_choices():
    a, b, mean, value = normal(4, 6), normal(4, 3), normal(2, 8), normal(1, 8)
    layers = [
        {"type": "dense", "name": "a", "activation": "relu"}, {"type": "dense", "name": "b", "from": "second"},
        {"type": "concat", "name": "both", "from": ["a", "b"]},
        {"type": "dense", "name": "mean"}, {"type": "dense", "name": "value", "from": "both"},
        {"type": "mean", "name": "middle", "from": "mean", "keep": True},
        {"type": "subtract", "name": "advantage", "from": ["mean", "middle"]},
        {"type": "add", "name": "q", "from": ["value", "advantage"]},
        {"type": "divide", "name": "ratio", "from": ["mean", "value"]},
        {"type": "multiply", "name": "product", "from": ["mean", "q"]}, {"type": "max", "name": "top", "from": "q"},
        {"type": "argmax", "name": "best", "from": "q"},
    ]
    outputs = [{"name": n, "from": n} for n in ("mean", "q", "ratio", "product", "top", "best")]
    made = policy(layers, {"a.weight": a, "b.weight": b, "mean.weight": mean, "value.weight": value},
                  inputs=[{"name": "first", "shape": [6]}, {"name": "second", "shape": [3]}], outputs=outputs)
    x, y = normal(1, 6), normal(1, 3)
    found = made.session().run({"first": x, "second": y})
    h = np.concatenate([np.maximum(x @ a.T, 0), y @ b.T], 1)
    m, v = h @ mean.T, h @ value.T
    q = v + m - m.mean(1, keepdims=True)
    for name, wanted in {"mean": m, "q": q, "ratio": m / v, "product": m * q, "top": q.max(1),
                         "best": q.argmax(1)}.items():
        close(found[name], wanted)
    x = normal(2, 3, 4)
    close(step([{"type": "transpose", "axes": [2, 0, 1]}, {"type": "reshape", "shape": [4, 6]},
                {"type": "slice", "axis": 1, "begin": 1, "end": 4}], {}, x),
          x.transpose(2, 0, 1).reshape(4, 6)[:, 1:4])


def test_whole_numbers_as_inputs():
    table = normal(5, 3)
    inputs = [{"name": "obs", "shape": [2], "dtype": "i64"}]
    x = np.array([[4, 1]])
    close(policy([{"type": "embedding", "name": "e"}], {"e.weight": table},
                 inputs=inputs).session().run({"obs": x})["action"], table[x])
    close(policy([{"type": "one_hot", "classes": 5}], inputs=inputs).session().run({"obs": x})["action"], np.eye(5)[x])
    image = [{"name": "obs", "shape": [3], "dtype": "u8"}]
    close(policy([{"type": "scale", "scale": 1 / 255}],
                 inputs=image).session().run({"obs": np.array([[0, 51, 255]], np.uint8)})["action"], [[0, 0.2, 1]])


# ---- files ----


def test_the_example_of_the_document_loads_and_its_table_is_complete():
    text = FORMAT.read_text()
    architecture = json.loads(text.split("```json\n")[1].split("```")[0])
    tensors = {name: np.abs(normal(*map(int, shape.split(","))))
               for name, shape in re.findall(r"`([\w.]+) \[([\d, ]+)\]`",
                                             text.split("with the tensors")[1].split("\n\n")[0])}
    made = efferent.Policy(dumps(tensors, {}, architecture))
    assert made.outputs.names == ["action", "value", "memory.h_out",
                                  "memory.c_out"] and made.metadata == {"joint_names": "hip, knee, ankle"}
    assert made.info.producer == "my trainer 2.0" and made.session().step(normal(48)).shape == (3,)
    source = "".join(p.read_text() for p in FORMAT.parent.glob("*.swift"))
    for name in re.findall(r"^\| `(.*?)` \|", text.split("## Layers")[1], re.M):
        for kind in name.split("`, `"):
            assert f'case "{kind}"' in source or f'"{kind}"' in source, kind


def test_the_architecture_may_lie_beside_the_file(tmp_path):
    tensors = {"d.weight": normal(2, 6)}
    (tmp_path / "a.b.safetensors").write_bytes(dumps(tensors, {"format": "pt"}))
    with pytest.raises(efferent.FormatError, match="holds tensors alone"):
        efferent.Policy(tmp_path / "a.b.safetensors")
    architecture = {"efferent": 1, "inputs": [{"name": "obs", "shape": [6]}],
                    "layers": [{"type": "dense", "name": "d"}]}
    (tmp_path / "a.b.json").write_text(json.dumps(architecture, indent=2))
    made = efferent.Policy(tmp_path / "a.b.safetensors")
    x = normal(6)
    close(made.session().step(x), tensors["d.weight"] @ x)
    assert made.metadata == {"format": "pt"}
    (tmp_path / "a.b.json").write_text("{")
    with pytest.raises(efferent.FormatError, match="the architecture is not JSON at byte 1"):
        efferent.Policy(tmp_path / "a.b.safetensors")


def test_files_are_written_as_they_are_read_and_the_safetensors_package_agrees():
    tensors = {"a": normal(3, 4), "b": np.arange(3, dtype=np.int64), "c": np.array(True),
               "d": normal(2).astype(np.float16)}
    data = dumps(tensors, {"k": "v"}, {"efferent": 1})
    found, metadata = loads(data)
    assert metadata == {"k": "v", KEY: '{"efferent": 1}'} and {k: v.tolist() for k, v in found.items()} == {
        k: v.tolist() for k, v in tensors.items()
    }
    safetensors = pytest.importorskip("safetensors.numpy")
    assert {k: v.tolist() for k, v in safetensors.load(data).items()} == {k: v.tolist() for k, v in tensors.items()}


def test_rows_precisions_and_swaps_work_as_with_onnx():
    """What follows the reader is the same as for ONNX: batches, reduced weights, swaps."""
    layers = [{"type": "dense", "name": "a", "activation": "elu"}, {"type": "dense", "name": "b"}]
    make = lambda: {"a.weight": normal(16, 6), "a.bias": normal(16), "b.weight": normal(3, 16)}
    one, two = make(), make()
    p, q = policy(layers, one), policy(layers, two)
    x = normal(5, 6)
    session = p.session(5)
    single = p.session()
    assert np.array_equal(session.step(x), np.array([single.step(v) for v in x]))
    session.swap(q)
    close(session.step(x), q.session(5).step(x))
    data = dumps(one, {}, {"efferent": 1, "inputs": [{"name": "obs", "shape": [6]}], "layers": layers})
    for weights in ("f16", "bf16", "i8"):
        assert (
            np.abs(efferent.Policy(data, weights=weights).session(5).step(x) - single.policy.session(5).step(x)).max()
            < 0.2
        )
