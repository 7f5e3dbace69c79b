"""Small policies as exporters write them, and the files that onnxruntime's own tools make of them."""
import copy

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

OPSET = 21


class Net:
    """A graph under construction; every method adds nodes and returns the name of the result."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)
        self.nodes, self.tensors, self.count = [], [], 0

    def weight(self, *shape, scale=None):
        scale = scale or 1 / np.sqrt(np.prod(shape[:-1]) or 1)
        return self.constant(self.rng.normal(0, scale, shape).astype(np.float32))

    def constant(self, array):
        self.count += 1
        self.tensors.append(numpy_helper.from_array(np.asarray(array), f"w{self.count}"))
        return f"w{self.count}"

    def add(self, op, *inputs, outputs=1, **attributes):
        self.count += 1
        names = [f"v{self.count}_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(op, inputs, names, f"{op}_{self.count}", **attributes))
        return names[0] if outputs == 1 else names

    def dense(self, x, size, to, activation=None):
        y = self.add("Add", self.add("MatMul", x, self.weight(size, to)), self.weight(to, scale=0.1))
        return self.add(activation, y) if activation else y

    def model(self, inputs, outputs, opset=OPSET):
        """inputs: name -> shape, or (type, shape); outputs: name -> (value, shape)."""
        ports = []
        for name, shape in inputs.items():
            kind, shape = shape if isinstance(shape, tuple) else (TensorProto.FLOAT, shape)
            ports.append(helper.make_tensor_value_info(name, kind, shape))
        for name, (value, _) in outputs.items():
            self.nodes.append(helper.make_node("Identity", [value], [name], f"out_{name}"))
        results = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
                   for name, (_, shape) in outputs.items()]
        graph = helper.make_graph(self.nodes, "policy", ports, results, self.tensors)
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
        onnx.checker.check_model(made)
        return made


def mlp(opset=OPSET):
    n = Net(1)
    h = n.add("Gemm", "obs", n.weight(12, 32), n.weight(32, scale=0.1))
    h = n.add("LeakyRelu", h, alpha=0.05)
    h = n.add("Gemm", h, n.weight(24, 32), n.weight(24, scale=0.1), transB=1)
    h = n.add("Sigmoid", h)
    h = n.dense(h, 24, 64, "Relu")
    gate = n.add("Softmax", n.dense(h, 64, 8), axis=-1)
    h = n.add("Concat", n.add("Mul", n.dense(h, 64, 8), gate), n.add("Add", n.dense(h, 64, 8), gate), axis=1)
    return n.model({"obs": [1, 12]}, {"action": (n.add("Tanh", n.dense(h, 16, 4)), [1, 4])}, opset)


def conv(opset=OPSET):
    n = Net(2)
    h = n.add("Relu",
              n.add("Conv", "image", n.weight(8, 3, 3, 3, scale=0.2), n.weight(8, scale=0.1), strides=[2, 2],
                    pads=[1, 1, 1, 1]))
    h = n.add("MaxPool", h, kernel_shape=[2, 2], strides=[2, 2])
    skip = h
    h = n.add("Conv", h, n.weight(8, 8, 3, 3, scale=0.12), n.weight(8, scale=0.1), pads=[1, 1, 1, 1])
    h = n.add("Relu", n.add("Add", h, skip))
    h = n.add("LeakyRelu", n.add("Conv", h, n.weight(16, 4, 3, 3, scale=0.17), n.weight(16, scale=0.1), group=2),
              alpha=0.1)
    # means of nine steps are seldom halfway between two
    h = n.add("AveragePool", h, kernel_shape=[3, 3], strides=[1, 1])
    h = n.add("Flatten", n.add("GlobalAveragePool", h))
    return n.model({"image": [1, 3, 28, 28]},
                   {"action": (n.add("Gemm", h, n.weight(5, 16), n.weight(5, scale=0.1), transB=1), [1, 5])}, opset)


def lstm(opset=OPSET):
    n = Net(3)
    h = n.dense("obs", 10, 16, "Relu")
    y, y_h, y_c = n.add("LSTM", h, n.weight(1, 64, 16, scale=0.25), n.weight(1, 64, 16, scale=0.25),
                        n.weight(1, 128, scale=0.1), "", "h_in", "c_in",
                        outputs=3, hidden_size=16)
    a = n.dense(n.add("Squeeze", y, n.constant(np.array([1]))), 16, 3)
    return n.model({"obs": [1, 1, 10], "h_in": [1, 1, 16], "c_in": [1, 1, 16]},
                   {"action": (a, [1, 1, 3]), "h_out": (y_h, [1, 1, 16]), "c_out": (y_c, [1, 1, 16])}, opset)


def _layer_norm(n, x, size):
    """As exporters before opset 17 spell it out."""
    d = n.add("Sub", x, n.add("ReduceMean", x, n.constant(np.array([-1])), keepdims=1))
    square = n.add("Pow", d, n.constant(np.float32(2)))
    variance = n.add("ReduceMean", square, n.constant(np.array([-1])), keepdims=1)
    spread = n.add("Sqrt", n.add("Add", variance, n.constant(np.float32(1e-12))))
    return n.add("Add", n.add("Mul", n.add("Div", d, spread), n.weight(size, scale=0.5)), n.weight(size, scale=0.1))


def _gelu(n, x):
    e = n.add("Erf", n.add("Div", x, n.constant(np.float32(np.sqrt(2)))))
    return n.add("Mul", n.add("Mul", x, n.add("Add", e, n.constant(np.float32(1)))), n.constant(np.float32(0.5)))


def _tanh_gelu(n, x):
    cube = n.add("Mul", n.constant(np.float32(0.044715)), n.add("Pow", x, n.constant(np.float32(3))))
    inner = n.add("Mul", n.constant(np.float32(np.sqrt(2 / np.pi))), n.add("Add", x, cube))
    return n.add("Mul", n.add("Mul", n.constant(np.float32(0.5)), x),
                 n.add("Add", n.constant(np.float32(1)), n.add("Tanh", inner)))


def _quick_gelu(n, x):
    return n.add("Mul", x, n.add("Sigmoid", n.add("Mul", x, n.constant(np.float32(1.702)))))


def transformer(opset=OPSET, embedded=True, gelu=_gelu, layers=2):
    """BERT's encoder as PyTorch exports it: tokens with embeddings and a mask, or a window of observations."""
    n, length, size, heads = Net(4), 6, 32, 4
    if embedded:
        ports = {"ids": (TensorProto.INT64, [1, length]), "kinds": (TensorProto.INT64, [1, length]),
                 "mask": (TensorProto.INT64, [1, length])}
        words = n.add("Gather", n.weight(20, size, scale=1), "ids", axis=0)
        kinds = n.add("Gather", n.weight(2, size, scale=1), "kinds", axis=0)
        # positions up to the length of ids, cut as PyTorch cuts them
        end = n.add("Unsqueeze", n.add("Gather", n.add("Shape", "ids"), n.constant(np.array(1)), axis=0),
                    n.constant(np.array([0])))
        one = [n.constant(np.array([v])) for v in (0, 1, 1)]
        at = n.add("Slice", n.constant(np.arange(16)[None]), one[0], end, one[1], one[2])
        places = n.add("Gather", n.weight(16, size, scale=1), at, axis=0)
        x = _layer_norm(n, n.add("Add", n.add("Add", words, kinds), places), size)
        shown = n.add("Cast",
                      n.add("Unsqueeze", n.add("Unsqueeze", "mask", n.constant(np.array([1]))),
                            n.constant(np.array([2]))), to=1)
        added = n.add("Mul", n.add("Sub", n.constant(np.float32(1)), shown), n.constant(np.float32(-10000)))
    else:
        ports, added = {"window": [1, length, size]}, None
        x = _layer_norm(n, "window", size)
    for _ in range(layers):
        def head(perm):
            y = n.dense(x, size, size)
            return n.add("Transpose", n.add("Reshape", y, n.constant(np.array([0, 0, heads, size // heads]))),
                         perm=perm)
        q, k, v = head([0, 2, 1, 3]), head([0, 2, 3, 1]), head([0, 2, 1, 3])
        s = n.add("Div", n.add("MatMul", q, k), n.constant(np.float32(np.sqrt(size // heads))))
        if added:
            s = n.add("Add", s, added)
        y = n.add("Transpose", n.add("MatMul", n.add("Softmax", s, axis=-1), v), perm=[0, 2, 1, 3])
        y = n.dense(n.add("Reshape", y, n.constant(np.array([0, 0, size]))), size, size)
        x = _layer_norm(n, n.add("Add", y, x), size)
        y = n.dense(gelu(n, n.dense(x, size, 64)), 64, size)
        x = _layer_norm(n, n.add("Add", y, x), size)
    return n.model(ports, {"action": (n.add("Tanh", n.dense(x, size, 3)), [1, length, 3])}, opset)


POLICIES = {
    "mlp": mlp, "conv": conv, "lstm": lstm, "transformer": transformer,
    "window": lambda opset=OPSET: transformer(opset, embedded=False),
    "window_tanh_gelu": lambda opset=OPSET: transformer(opset, embedded=False, gelu=_tanh_gelu),
    "window_quick_gelu": lambda opset=OPSET: transformer(opset, embedded=False, gelu=_quick_gelu),
}


def feeds(model, seed):
    """One random observation: ids within their tables."""
    rng, out = np.random.default_rng(seed), {}
    for port in model.graph.input:
        shape = [d.dim_value for d in port.type.tensor_type.shape.dim]
        kind = helper.tensor_dtype_to_np_dtype(port.type.tensor_type.elem_type)
        if kind == np.float32:
            out[port.name] = rng.normal(0, 1, shape).astype(kind)
        elif port.name == "mask":
            out[port.name] = (np.arange(shape[1]) < rng.integers(2, shape[1] + 1))[None].astype(kind)
        else:
            out[port.name] = rng.integers(0, 2 if port.name == "kinds" else 20, shape).astype(kind)
    return out


# ---- the tools ----


def optimized(model, folder, level):
    """The file that onnxruntime saves at an optimization level."""
    options = ort.SessionOptions()
    options.graph_optimization_level = level
    options.optimized_model_filepath = str(folder / "optimized.onnx")
    options.log_severity_level, options.intra_op_num_threads = 4, 1
    ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return onnx.load(folder / "optimized.onnx")


class Samples:
    def __init__(self, model, count=8):
        self.left = [feeds(model, s) for s in range(count)]

    def get_next(self):
        return self.left.pop() if self.left else None


def quantized_static(model, folder, **options):
    from onnxruntime.quantization import quantize_static
    onnx.save(model, folder / "float.onnx")
    quantize_static(str(folder / "float.onnx"), str(folder / "static.onnx"), Samples(model), **options)
    return onnx.load(folder / "static.onnx")


def quantized_dynamic(model, folder, **options):
    from onnxruntime.quantization import quantize_dynamic
    onnx.save(model, folder / "float.onnx")
    quantize_dynamic(str(folder / "float.onnx"), str(folder / "dynamic.onnx"), **options)
    return onnx.load(folder / "dynamic.onnx")


def few_bits(model, **options):
    from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer
    quantizer = MatMulNBitsQuantizer(copy.deepcopy(model), **options)  # it changes the model that it is given
    quantizer.process()
    return quantizer.model.model


def fused(model, folder, kind="bert"):
    from onnxruntime.transformers import optimizer
    onnx.save(model, folder / "float.onnx")
    made = optimizer.optimize_model(str(folder / "float.onnx"), model_type=kind, num_heads=4, hidden_size=32,
                                    opt_level=0)
    made.save_model_to_file(str(folder / "fused.onnx"))
    return onnx.load(folder / "fused.onnx")


def operators(model):
    return sorted({(n.domain + "." if n.domain else "") + n.op_type for n in model.graph.node})
