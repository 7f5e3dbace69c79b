"""Writes the benchmark nets a to j as ONNX with seeded weights, and raw weights (.weights) beside the MLPs.

    python make_nets.py FOLDER      -> FOLDER/a_tanh_64.onnx ... and FOLDER/batch/ with a symbolic batch
"""
import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


class Net:
    """A graph in the making: every call adds a node and returns the name of its output."""

    def __init__(self, name):
        self.name, self.nodes, self.weights, self.inputs, self.outputs = name, [], {}, [], []
        self.random = np.random.default_rng(sum(name.encode()))

    def input(self, name, *shape):
        self.inputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
        return name

    def output(self, value, name, *shape):
        for node in self.nodes:
            for names in (node.input, node.output):
                for i, n in enumerate(names):
                    if n == value:
                        names[i] = name
        self.outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))

    def constant(self, array, name=None):
        name = name or f"k{len(self.weights)}"
        self.weights[name] = np.asarray(array)
        return name

    def weight(self, *shape, fan):
        return self.constant((self.random.uniform(-1, 1, shape) / np.sqrt(fan)).astype(np.float32))

    def op(self, kind, *inputs, outputs=1, **attributes):
        names = [f"v{len(self.nodes)}_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(kind, list(inputs), names, **attributes))
        return names[0] if outputs == 1 else names

    def gemm(self, x, inputs, outputs):
        return self.op("Gemm", x, self.weight(outputs, inputs, fan=inputs), self.weight(outputs, fan=inputs), transB=1)

    def linear(self, x, inputs, outputs):
        return self.op(
            "Add", self.op("MatMul", x, self.weight(inputs, outputs, fan=inputs)), self.weight(outputs, fan=inputs)
        )

    def conv(self, x, inputs, outputs, *kernel, **attributes):
        fan = inputs * int(np.prod(kernel))
        return self.op(
            "Conv",
            x,
            self.weight(outputs, inputs, *kernel, fan=fan),
            self.weight(outputs, fan=fan),
            kernel_shape=kernel,
            **attributes,
        )

    def save(self, folder):
        folder.mkdir(parents=True, exist_ok=True)
        initializers = [numpy_helper.from_array(v, k) for k, v in self.weights.items()]
        graph = helper.make_graph(self.nodes, self.name, self.inputs, self.outputs, initializers)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
        onnx.checker.check_model(model, full_check=True)
        onnx.save(model, folder / f"{self.name}.onnx")


def mlp(folder, name, sizes, activation, last=None):
    for batch, where in ((1, folder), ("batch", folder / "batch")):
        net = Net(name)
        x = net.input("obs", batch, sizes[0])
        for i, (inputs, outputs) in enumerate(zip(sizes, sizes[1:])):
            x = net.gemm(x, inputs, outputs)
            kind = activation if i < len(sizes) - 2 else last
            x = net.op(kind, x) if kind else x
        net.output(x, "act", batch, sizes[-1])
        net.save(where)
    with open(folder / f"{name}.weights", "wb") as f:
        for w in net.weights.values():
            f.write(w.tobytes())


def recurrent(folder, name, kind, gates, inputs, hidden, actions):
    net = Net(name)
    first = net.constant(np.array([0]))
    x = net.op("Unsqueeze", net.input("obs", 1, inputs), first)
    state = [net.input("h_in", 1, 1, hidden)] + ([net.input("c_in", 1, 1, hidden)] if kind == "LSTM" else [])
    weights = [net.weight(1, gates * hidden, n, fan=hidden) for n in (inputs, hidden)] + [
        net.weight(1, 2 * gates * hidden, fan=hidden)
    ]
    extra = {} if kind == "LSTM" else {"linear_before_reset": 1}
    y = net.op(kind, x, *weights, "", *state, outputs=1 + len(state), hidden_size=hidden, **extra)
    net.output(net.gemm(net.op("Squeeze", y[1], first), hidden, actions), "act", 1, actions)
    net.output(y[1], "h_out", 1, 1, hidden)
    if kind == "LSTM":
        net.output(y[2], "c_out", 1, 1, hidden)
    net.save(folder)


def dqn(folder):
    net = Net("g_nature_dqn")
    x = net.input("obs", 1, 4, 84, 84)
    for inputs, outputs, kernel, stride in ((4, 32, 8, 4), (32, 64, 4, 2), (64, 64, 3, 1)):
        x = net.op("Relu", net.conv(x, inputs, outputs, kernel, kernel, strides=[stride, stride]))
    x = net.op("Relu", net.gemm(net.op("Flatten", x), 3136, 512))
    net.output(net.gemm(x, 512, 6), "q", 1, 6)
    net.save(folder)


def eeg(folder):
    net = Net("h_eeg_lstm")
    x = net.input("obs", 1, 22, 128)
    for inputs, outputs, kernel in ((22, 32, 7), (32, 64, 5)):
        x = net.op("Relu", net.conv(x, inputs, outputs, kernel, strides=[2], pads=[kernel // 2] * 2))
    weights = [net.weight(1, 256, 64, fan=64), net.weight(1, 256, 64, fan=64), net.weight(1, 512, fan=64)]
    y = net.op("LSTM", net.op("Transpose", x, perm=[2, 0, 1]), *weights, outputs=2, hidden_size=64)
    net.output(net.gemm(net.op("Squeeze", y[1], net.constant(np.array([0]))), 64, 4), "act", 1, 4)
    net.save(folder)


def transformer(folder, layers=4, width=256, heads=8, tokens=100, inner=1024, actions=14):
    net = Net("i_transformer")
    x = net.input("tok", tokens, width)
    split, joined = net.constant(np.array([tokens, heads, width // heads])), net.constant(np.array([tokens, width]))
    scale = net.constant(np.float32((width // heads) ** -0.5))

    def norm(v):
        return net.op(
            "LayerNormalization",
            v,
            net.constant(np.ones(width, np.float32)),
            net.constant(np.zeros(width, np.float32)),
            axis=-1,
        )

    for _ in range(layers):
        q, k, v = (net.op("Reshape", net.linear(x, width, width), split) for _ in range(3))
        q, k, v = (
            net.op("Transpose", q, perm=[1, 0, 2]),
            net.op("Transpose", k, perm=[1, 2, 0]),
            net.op("Transpose", v, perm=[1, 0, 2]),
        )
        scores = net.op("Softmax", net.op("Mul", net.op("MatMul", q, k), scale), axis=-1)
        mixed = net.op("Reshape", net.op("Transpose", net.op("MatMul", scores, v), perm=[1, 0, 2]), joined)
        x = norm(net.op("Add", x, net.linear(mixed, width, width)))
        x = norm(net.op("Add", x, net.linear(net.op("Relu", net.linear(x, width, inner)), inner, width)))
    net.output(net.linear(x, width, actions), "chunk", tokens, actions)
    net.save(folder)


def denoiser(folder, channels=128, time=16, actions=7, condition=64, blocks=4, kernel=5, groups=8):
    net = Net("j_denoiser")
    x, cond = net.input("x", 1, actions, time), net.input("cond", 1, condition)
    grouped, full = net.constant(np.array([1, groups, -1])), net.constant(np.array([1, channels, time]))
    ones, zeros, last = (
        net.constant(np.ones(groups, np.float32)),
        net.constant(np.zeros(groups, np.float32)),
        net.constant(np.array([2])),
    )

    def norm_mish(v):
        v = net.op(
            "Reshape", net.op("InstanceNormalization", net.op("Reshape", v, grouped), ones, zeros, epsilon=1e-5), full
        )
        v = net.op("Mul", v, net.constant(np.ones((1, channels, 1), np.float32)))
        v = net.op("Add", v, net.constant(np.zeros((1, channels, 1), np.float32)))
        return net.op("Mul", v, net.op("Tanh", net.op("Softplus", v)))

    def wide(v):
        return norm_mish(net.conv(v, channels, channels, kernel, pads=[kernel // 2] * 2))

    x = net.conv(x, actions, channels, 1)
    for _ in range(blocks):
        h = net.op("Add", wide(x), net.op("Unsqueeze", net.gemm(cond, condition, channels), last))
        x = net.op("Add", wide(h), x)
    net.output(net.conv(x, channels, actions, 1), "eps", 1, actions, time)
    net.save(folder)


def main():
    folder = Path(sys.argv[1])
    mlp(folder, "a_tanh_64", (8, 64, 64, 2), "Tanh")
    mlp(folder, "b_relu_256", (17, 256, 256, 6), "Relu", "Tanh")
    mlp(folder, "c_elu_512", (48, 512, 256, 128, 12), "Elu")
    mlp(folder, "d_relu_400", (376, 400, 300, 17), "Relu", "Tanh")
    recurrent(folder, "e_lstm_256", "LSTM", 4, 64, 256, 12)
    recurrent(folder, "f_gru_128", "GRU", 3, 64, 128, 12)
    dqn(folder)
    eeg(folder)
    transformer(folder)
    denoiser(folder)


if __name__ == "__main__":
    main()
