"""Writes nets of other shapes as ONNX with seeded weights, the way torch exports them: ResNet-18 encoders, a 1-D U-Net
of a diffusion policy, an ACT decoder, a Mamba step.

    python make_shapes.py FOLDER      -> FOLDER/resnet18_96.onnx ... and FOLDER/batch/ with a symbolic batch
"""
import sys
from pathlib import Path

import numpy as np
from make_nets import Net


class Layers(Net):
    """Layers of these nets. Weights keep the size of what passes through, so that differences show."""

    def __init__(self, name):
        super().__init__(name)
        self.shared = {}

    def weight(self, *shape, fan, gain=1.0):
        """Of variance gain^2 / fan."""
        values = self.random.uniform(-1, 1, shape) * gain * np.sqrt(3 / fan)
        return self.constant(values.astype(np.float32))

    def near(self, value, *shape):
        """Numbers within a fifth of `value`, as scales and shifts that were trained."""
        return self.constant((value + self.random.uniform(-0.2, 0.2, shape)).astype(np.float32))

    def ints(self, *values):
        return self.once(np.array(values, np.int64))

    def once(self, array):
        """A constant that is stored once however often it is used."""
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self.shared:
            self.shared[key] = self.constant(array)
        return self.shared[key]

    def linear(self, x, inputs, outputs, gain=1.0, bias=True):
        y = self.op("MatMul", x, self.weight(inputs, outputs, fan=inputs, gain=gain))
        return self.op("Add", self.weight(outputs, fan=100), y) if bias else y

    def gemm(self, x, inputs, outputs, gain=1.0):
        weight, bias = self.weight(outputs, inputs, fan=inputs, gain=gain), self.weight(outputs, fan=100)
        return self.op("Gemm", x, weight, bias, transB=1)

    def conv(self, x, inputs, outputs, *kernel, stride=1, pad=0, bias=True, gain=1.0):
        fan, rank = inputs * int(np.prod(kernel)), len(kernel)
        weights = [self.weight(outputs, inputs, *kernel, fan=fan, gain=gain)]
        weights += [self.weight(outputs, fan=100)] if bias else []
        return self.op(
            "Conv",
            x,
            *weights,
            kernel_shape=kernel,
            strides=[stride] * rank,
            pads=[pad] * 2 * rank,
            dilations=[1] * rank,
            group=1,
        )

    def mish(self, x):
        return self.op("Mul", x, self.op("Tanh", self.op("Softplus", x)))

    def silu(self, x):
        return self.op("Mul", x, self.op("Sigmoid", x))


def resnet18(folder, name, batch, size, folded, width=64, blocks=(2, 2, 2, 2)):
    """torchvision's resnet18 with fc = Identity; `folded`: BatchNormalization is in the convolutions already."""
    net = Layers(name)

    def conv(x, inputs, outputs, kernel, stride=1, gain=2**0.5):
        x = net.conv(x, inputs, outputs, kernel, kernel, stride=stride, pad=kernel // 2, bias=folded, gain=gain)
        if folded:
            return x
        scale, shift, mean, variance = (net.near(v, outputs) for v in (1, 0, 0, 1))
        return net.op("BatchNormalization", x, scale, shift, mean, variance, epsilon=1e-5)

    x = net.input("image", batch, 3, size, size)
    x = net.op("Relu", conv(x, 3, width, 7, 2))
    x = net.op("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    inputs = width
    for level, count in enumerate(blocks):
        outputs = width << level
        for block in range(count):
            stride = 2 if level and not block else 1
            y = net.op("Relu", conv(x, inputs, outputs, 3, stride))
            y = conv(y, outputs, outputs, 3, gain=0.7)
            if stride > 1 or inputs != outputs:
                x = conv(x, inputs, outputs, 1, stride, gain=1)
            x, inputs = net.op("Relu", net.op("Add", y, x)), outputs
    x = net.op("Flatten", net.op("GlobalAveragePool", x), axis=1)
    net.output(x, "features", batch, inputs)
    net.save(folder)


def unet1d(
    folder, name, batch, dims=(256, 256, 256), horizon=16, actions=7, condition=66, step=256, kernel=5, groups=8
):
    """ConditionalUnet1D of Diffusion Policy with cond_predict_scale."""
    net = Layers(name)
    sample = net.input("sample", batch, horizon, actions)
    step_in, cond_in = net.input("timestep", batch, 1), net.input("global_cond", batch, condition)
    full = condition + step

    def conv_block(x, inputs, outputs):
        x = net.conv(x, inputs, outputs, kernel, pad=kernel // 2, gain=1.4)
        ones, zeros = net.once(np.ones(groups, np.float32)), net.once(np.zeros(groups, np.float32))
        y = net.op("Reshape", x, net.ints(0, groups, -1))
        y = net.op("InstanceNormalization", y, ones, zeros, epsilon=1e-5)
        y = net.op("Reshape", y, net.op("Shape", x))
        y = net.op("Mul", y, net.near(1, outputs, 1))
        return net.mish(net.op("Add", y, net.near(0, outputs, 1)))

    def block(x, inputs, outputs):
        y = conv_block(x, inputs, outputs)
        film = net.op("Reshape", net.gemm(net.mish(cond), full, 2 * outputs, gain=0.5), net.ints(-1, 2, outputs, 1))
        scale, shift = (net.op("Gather", film, net.once(np.array(i, np.int64)), axis=1) for i in (0, 1))
        y = conv_block(net.op("Add", net.op("Mul", scale, y), shift), outputs, outputs)
        return net.op("Add", y, net.conv(x, inputs, outputs, 1) if inputs != outputs else x)

    frequencies = np.exp(np.arange(step // 2) * -(np.log(10000) / (step // 2 - 1))).astype(np.float32)
    angles = net.op("Mul", step_in, net.constant(frequencies[None]))
    t = net.op("Concat", net.op("Sin", angles), net.op("Cos", angles), axis=-1)
    t = net.gemm(net.mish(net.gemm(t, step, 4 * step)), 4 * step, step)
    cond = net.op("Concat", t, cond_in, axis=-1)

    x = net.op("Transpose", sample, perm=[0, 2, 1])
    levels = list(zip((actions, *dims[:-1]), dims))
    skips = []
    for i, (inputs, outputs) in enumerate(levels):
        x = block(block(x, inputs, outputs), outputs, outputs)
        skips.append(x)
        if i < len(levels) - 1:
            x = net.conv(x, outputs, outputs, 3, stride=2, pad=1)
    for _ in range(2):
        x = block(x, dims[-1], dims[-1])
    for inputs, outputs in reversed(levels[1:]):
        x = net.op("Concat", x, skips.pop(), axis=1)
        x = block(block(x, 2 * outputs, inputs), inputs, inputs)
        weights = net.weight(inputs, inputs, 4, fan=2 * inputs), net.weight(inputs, fan=100)
        x = net.op(
            "ConvTranspose", x, *weights, kernel_shape=[4], strides=[2], pads=[1, 1], dilations=[1], group=1
        )
    x = net.conv(conv_block(x, dims[0], dims[0]), dims[0], actions, 1)
    net.output(net.op("Transpose", x, perm=[0, 2, 1]), "noise", batch, horizon, actions)
    net.save(folder)


def act(folder, name, batch, layers=6, width=512, heads=8, inner=3200, queries=100, tokens=302, actions=14):
    """The decoder of ACT (DETR's, norms behind): learned queries attend to each other and to the encoder's tokens."""
    net = Layers(name)
    memory = net.input("memory", batch, tokens, width)
    keys = net.op("Add", memory, net.weight(1, tokens, width, fan=3))
    query = net.weight(1, queries, width, fan=3)
    head = width // heads

    def norm(x):
        return net.op("LayerNormalization", x, net.near(1, width), net.near(0, width), axis=-1, epsilon=1e-5)

    def attention(q, k, v):
        q, k, v = (
            net.op("Reshape", net.linear(x, width, width), net.ints(0, -1, heads, head)) for x in (q, k, v)
        )
        q, v = (net.op("Transpose", x, perm=[0, 2, 1, 3]) for x in (q, v))
        k = net.op("Transpose", k, perm=[0, 2, 3, 1])
        scores = net.op("MatMul", net.op("Mul", q, net.once(np.float32(head**-0.5))), k)
        mixed = net.op("Transpose", net.op("MatMul", net.op("Softmax", scores, axis=-1), v), perm=[0, 2, 1, 3])
        return net.linear(net.op("Reshape", mixed, net.ints(0, -1, width)), width, width)

    # zeros, as many as there are rows
    rows = net.op("Shape", memory, start=0, end=1)
    shape = net.op("Concat", rows, net.ints(queries, width), axis=0)
    x = net.op("Expand", net.once(np.zeros((1, 1, 1), np.float32)), shape)
    for _ in range(layers):
        q = net.op("Add", x, query)
        x = norm(net.op("Add", x, attention(q, q, x)))
        x = norm(net.op("Add", x, attention(net.op("Add", x, query), keys, memory)))
        y = net.op("Relu", net.linear(x, width, inner, gain=2**0.5))
        x = norm(net.op("Add", x, net.linear(y, inner, width)))
    net.output(net.linear(norm(x), width, actions), "actions", batch, queries, actions)
    net.save(folder)


def mamba(folder, name, batch, layers=4, width=256, expand=2, state=16, taps=4, inputs=48, actions=12):
    """One step of a stack of Mamba blocks: the last inputs of the convolution and the states are carried along."""
    net = Layers(name)
    inner, rank = expand * width, max(1, width // 16)
    x = net.linear(net.input("obs", batch, inputs), inputs, width)
    carried = []
    for i in range(layers):
        conv_in = net.input(f"conv_state_{i}_in", batch, inner, taps)
        ssm_in = net.input(f"ssm_state_{i}_in", batch, inner, state)
        mean = net.op("ReduceMean", net.op("Pow", x, net.once(np.float32(2))), axes=[-1], keepdims=1)
        root = net.op("Sqrt", net.op("Add", mean, net.once(np.float32(1e-5))))
        y = net.op("Mul", net.near(1, width), net.op("Div", x, root))
        y, gate = net.op("Split", net.linear(y, width, 2 * inner, bias=False), outputs=2, axis=-1)
        # the oldest input leaves, the new one enters
        kept = net.op("Slice", conv_in, net.ints(1), net.ints(taps), net.ints(2))
        conv = net.op("Concat", kept, net.op("Unsqueeze", y, net.ints(2)), axis=2)
        y = net.op("ReduceSum", net.op("Mul", conv, net.weight(inner, taps, fan=taps)), net.ints(-1), keepdims=0)
        y = net.silu(net.op("Add", y, net.weight(inner, fan=taps)))
        split = net.constant(np.array([rank, state, state]))
        dt, b, c = net.op("Split", net.linear(y, inner, rank + 2 * state, bias=False), split, outputs=3, axis=-1)
        dt = net.op("Softplus", net.linear(dt, rank, inner))
        a = net.constant(np.tile(-np.arange(1, state + 1, dtype=np.float32), (inner, 1)))
        dt_column = net.op("Unsqueeze", dt, net.ints(-1))
        decay = net.op("Exp", net.op("Mul", dt_column, a))
        inflow = net.op("Mul", dt_column, net.op("Unsqueeze", b, net.ints(1)))
        ssm = net.op(
            "Add", net.op("Mul", ssm_in, decay), net.op("Mul", net.op("Unsqueeze", y, net.ints(-1)), inflow)
        )
        out = net.op("Squeeze", net.op("MatMul", ssm, net.op("Unsqueeze", c, net.ints(-1))), net.ints(2))
        out = net.op("Add", out, net.op("Mul", net.near(1, inner), y))
        x = net.op("Add", x, net.linear(net.op("Mul", out, net.silu(gate)), inner, width, bias=False))
        carried += [(conv, f"conv_state_{i}_out", inner, taps), (ssm, f"ssm_state_{i}_out", inner, state)]
    net.output(net.linear(x, width, actions), "act", batch, actions)
    for value, out, *shape in carried:
        net.output(value, out, batch, *shape)
    net.save(folder)


def main():
    folder = Path(sys.argv[1])
    for batch, where in ((1, folder), ("batch", folder / "batch")):
        resnet18(where, "resnet18_96", batch, 96, folded=False)
        resnet18(where, "resnet18_224", batch, 224, folded=True)
        unet1d(where, "unet1d_256", batch)
        unet1d(where, "unet1d_1024", batch, dims=(256, 512, 1024))
        act(where, "act_decoder", batch)
        mamba(where, "mamba_step", batch)


if __name__ == "__main__":
    main()
