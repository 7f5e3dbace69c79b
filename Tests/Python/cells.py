"""Recurrent cells in numpy, from the equations of ONNX alone, and how their weights influence their state: real-time
recurrent learning in full and as SnAp-1 keeps it. Jacobians are complex steps, exact to rounding, so nothing here
repeats a derivative of the library's."""
import numpy as np
from onnx import TensorProto, helper, numpy_helper

GATES = {"LSTM": 4, "GRU": 3}
STEP = 1e-30


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


class Cell:
    """One step of ONNX's LSTM or GRU. The state is [h] or [h, c]; weights are one vector: W, R, B in the order of the
    file."""

    def __init__(self, kind, inputs, units, linear_before_reset=0):
        self.kind, self.inputs, self.units, self.linear = kind, inputs, units, linear_before_reset
        self.gates, self.states = GATES[kind], 2 if kind == "LSTM" else 1
        rows = self.gates * units
        self.shapes = {"w": (1, rows, inputs), "r": (1, rows, units), "b": (1, 2 * rows)}
        self.sizes = [int(np.prod(s)) for s in self.shapes.values()]

    def split(self, theta):
        w, r, b = np.split(theta, np.cumsum(self.sizes)[:-1])
        n = self.gates * self.units
        return w.reshape(n, -1), r.reshape(n, -1), b[:n], b[n:]

    def owners(self):
        """The unit that each weight writes to."""
        rows = np.tile(np.arange(self.units), self.gates)
        return np.concatenate([np.repeat(rows, self.inputs), np.repeat(rows, self.units), rows, rows])

    def step(self, theta, x, state):
        w, r, wb, rb = self.split(theta)
        n, h = self.units, state[: self.units]
        if self.kind == "LSTM":
            i, o, f, g = np.split(w @ x + wb + r @ h + rb, 4)
            c = sigmoid(f) * state[n:] + sigmoid(i) * np.tanh(g)
            return np.concatenate([sigmoid(o) * np.tanh(c), c])
        z, reset = np.split(sigmoid(w[: 2 * n] @ x + wb[: 2 * n] + r[: 2 * n] @ h + rb[: 2 * n]), 2)
        if self.linear:
            g = np.tanh(w[2 * n :] @ x + wb[2 * n :] + reset * (r[2 * n :] @ h + rb[2 * n :]))
        else:
            g = np.tanh(w[2 * n :] @ x + wb[2 * n :] + r[2 * n :] @ (reset * h) + rb[2 * n :])
        return (1 - z) * g + z * h

    def jacobian(self, f, at):
        at = at.astype(complex)
        columns = []
        for k in range(at.size):
            at[k] += 1j * STEP
            columns.append(f(at).imag / STEP)
            at[k] -= 1j * STEP
        return np.array(columns).T


class Diagonal(Cell):
    """Linear recurrent trace units (arXiv 2409.01449); the state is [real, imaginary], weights are W and poles."""

    def __init__(self, inputs, units):
        self.inputs, self.units, self.states = inputs, units, 2
        self.shapes = {"weight": (2 * units, inputs), "poles": (2, units)}
        self.sizes = [int(np.prod(s)) for s in self.shapes.values()]

    def owners(self):
        units = np.arange(self.units)
        return np.concatenate([np.repeat(np.tile(units, 2), self.inputs), units, units])

    def step(self, theta, x, state):
        n = self.units
        w, (nu, angle) = theta[: self.sizes[0]].reshape(2 * n, -1), theta[self.sizes[0] :].reshape(2, n)
        radius = np.exp(-np.exp(nu))
        h = (radius * np.cos(np.exp(angle)), radius * np.sin(np.exp(angle)))
        driven = w @ x * np.tile(np.sqrt(1 - radius * radius), 2)
        return driven + np.concatenate([h[0] * state[:n] - h[1] * state[n:], h[1] * state[:n] + h[0] * state[n:]])


class Influence:
    """What the weights have done to the state, exactly or by SnAp-1."""

    def __init__(self, cell, exact):
        self.cell, self.exact = cell, exact
        self.state = np.zeros(cell.states * cell.units)
        self.j = np.zeros((self.state.size, sum(cell.sizes)))
        units = np.tile(np.arange(cell.units), cell.states)
        self.own = units[:, None] == cell.owners()[None]
        self.block = units[:, None] == units[None]

    def step(self, theta, x):
        """Advances the state, and returns d(state) / d(weights) as the gradient uses it."""
        d = self.cell.jacobian(lambda s: self.cell.step(theta, x, s), self.state)
        i = self.cell.jacobian(lambda t: self.cell.step(t, x, self.state), theta)
        self.state = self.cell.step(theta, x, self.state)
        if self.exact:
            self.j = d @ self.j + i
            return self.j
        past = (d * self.block) @ self.j
        self.j = (past + i) * self.own
        return past + i

    def reset(self):
        self.state[:], self.j[:] = 0, 0


def numbers(name, *shape, scale=0.5):
    """f32 numbers that follow from name and shape."""
    rng = np.random.default_rng([*name.encode(), *shape])
    return (rng.standard_normal(shape) * scale).astype(np.float32)


def weights(cell, name="cell", scale=0.5):
    return {f"{name}.{k}": numbers(f"{name}.{k}", *shape, scale=scale) for k, shape in cell.shapes.items()}


def network(cell, outputs=1, name="value", arrays=None, encoder=0, layers=1, masked=False, opset=18):
    """observation [1, inputs] (-> tanh layer) -> cells -> linear layer, with the state [layers, 1, units] as ports, as
    rsl_rl and sb3_contrib export it (masked: multiplied by 1 - episode_starts). Bytes."""
    n, chosen, arrays = cell.units, arrays or {}, weights(cell)
    for layer in range(1, layers):
        arrays |= weights(Cell(cell.kind, n, n, cell.linear), f"cell{layer}")
    arrays |= {"head.w": numbers("head.w", outputs, n), "head.b": numbers("head.b", outputs)}
    node, nodes, x = helper.make_node, [], "obs"
    if encoder:
        arrays |= {"front.w": numbers("front.w", cell.inputs, encoder), "front.b": numbers("front.b", cell.inputs)}
        nodes += [node("Gemm", ["obs", "front.w", "front.b"], ["front"], transB=1), node("Tanh", ["front"], ["encoded"])]
        x = "encoded"
    states = ["h", "c"][: cell.states]
    integers = {"zero": [0], "one": [1], "two": [2]}
    nodes.append(node("Unsqueeze", [x, "zero"], ["x0"]))
    given = {s: f"{s}_in" for s in states}
    if masked:
        nodes.append(node("Sub", ["unit", "episode_starts"], ["mask"]))
        for s in states:
            nodes.append(node("Mul", ["mask", f"{s}_in"], [f"{s}_masked"]))
            given[s] = f"{s}_masked"
    for k in range(layers):
        prefix = f"cell{k}" if k else "cell"
        attributes = {"hidden_size": n} | ({"linear_before_reset": cell.linear} if cell.kind == "GRU" else {})
        one = {s: given[s] if layers == 1 else f"{s}_in{k}" for s in states}
        if layers > 1:
            nodes += [node("Slice", [given[s], ["zero", "one"][k], ["one", "two"][k], "zero"], [one[s]]) for s in states]
        out = {s: f"{s}_out" if layers == 1 else f"{s}_out{k}" for s in states}
        nodes.append(node(cell.kind, [f"x{k}", *(f"{prefix}.{a}" for a in "wrb"), "", *one.values()],
                          [f"y{k}", *out.values()], name=f"memory{k}", **attributes))
        nodes.append(node("Squeeze", [f"y{k}", "one"], [f"x{k + 1}"]))
    if layers > 1:
        nodes += [node("Concat", [f"{s}_out{k}" for k in range(layers)], [f"{s}_out"], axis=0) for s in states]
    nodes += [node("Squeeze", [f"x{layers}", "zero"], ["hidden"]),
              node("Gemm", ["hidden", "head.w", "head.b"], [name], transB=1)]
    port = helper.make_tensor_value_info
    inputs = [port("obs", TensorProto.FLOAT, [1, encoder or cell.inputs])]
    if masked:
        inputs.append(port("episode_starts", TensorProto.FLOAT, [1]))
    results = [port(name, TensorProto.FLOAT, [1, outputs])]
    for s in states:
        inputs.append(port(f"{s}_in", TensorProto.FLOAT, [layers, 1, n]))
        results.append(port(f"{s}_out", TensorProto.FLOAT, [layers, 1, n]))
    tensors = [numpy_helper.from_array(v, k) for k, v in (arrays | chosen).items()]
    tensors += [numpy_helper.from_array(np.array(v), k) for k, v in integers.items()]
    tensors.append(numpy_helper.from_array(np.float32(1), "unit"))
    graph = helper.make_graph(nodes, "recurrent", inputs, results, tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8).SerializeToString()


def theta(cell, arrays=None, name="cell"):
    arrays = arrays or weights(cell, name)
    return np.concatenate([arrays[f"{name}.{k}"].ravel() for k in cell.shapes]).astype(np.float64)
