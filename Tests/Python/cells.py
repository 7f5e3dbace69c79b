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


def network(cell, outputs=1, name="value", arrays=None, encoder=0, opset=18):
    """observation [1, inputs] (-> tanh layer) -> cell -> linear layer, with the state as ports, as rsl_rl and
    sb3_contrib export it. Bytes."""
    n, arrays = cell.units, dict(arrays or weights(cell))
    observations = encoder or cell.inputs
    arrays |= {"head.w": numbers("head.w", outputs, n), "head.b": numbers("head.b", outputs)}
    nodes, x = [], "obs"
    if encoder:
        arrays |= {"front.w": numbers("front.w", cell.inputs, encoder), "front.b": numbers("front.b", cell.inputs)}
        nodes += [helper.make_node("Gemm", ["obs", "front.w", "front.b"], ["front"], transB=1),
                  helper.make_node("Tanh", ["front"], ["encoded"])]
        x = "encoded"
    names = ["h", "c"][: cell.states]
    attributes = {"hidden_size": n}
    if cell.kind == "GRU":
        attributes["linear_before_reset"] = cell.linear
    nodes += [helper.make_node("Unsqueeze", [x, "zero"], ["x"]),
              helper.make_node(cell.kind, ["x", "cell.w", "cell.r", "cell.b", "", *(f"{s}_in" for s in names)],
                               ["", *(f"{s}_out" for s in names)], name="memory", **attributes),
              helper.make_node("Squeeze", ["h_out", "zero"], ["hidden"]),
              helper.make_node("Gemm", ["hidden", "head.w", "head.b"], [name], transB=1)]
    port = helper.make_tensor_value_info
    inputs = [port("obs", TensorProto.FLOAT, [1, observations])]
    results = [port(name, TensorProto.FLOAT, [1, outputs])]
    for s in names:
        inputs.append(port(f"{s}_in", TensorProto.FLOAT, [1, 1, n]))
        results.append(port(f"{s}_out", TensorProto.FLOAT, [1, 1, n]))
    tensors = [numpy_helper.from_array(v, k) for k, v in arrays.items()]
    tensors.append(numpy_helper.from_array(np.array([0]), "zero"))
    graph = helper.make_graph(nodes, "recurrent", inputs, results, tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8).SerializeToString()


def theta(cell, arrays=None):
    arrays = arrays or weights(cell)
    return np.concatenate([arrays[f"cell.{k}"].ravel() for k in cell.shapes]).astype(np.float64)
