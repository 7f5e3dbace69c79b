"""A policy in the making: layers of the architecture and the tensors that they name."""
import re

import numpy as np

from ..errors import FormatError, ShapeError, UnsupportedError
from .safetensors import Bfloat16, dumps

FUNCTIONS = ("relu", "relu6", "elu", "selu", "celu", "leaky_relu", "tanh", "sigmoid", "silu", "swish", "gelu",
             "gelu_tanh", "mish", "softplus", "softsign",
             "hard_sigmoid", "hard_swish", "hard_tanh", "identity")
# as torch and the trainers' configurations call them, in lower case and without underscores
ALIASES = {name.replace("_", ""): name for name in FUNCTIONS} | {"lrelu": "leaky_relu", "leaky": "leaky_relu",
                                                                 "crelu": "celu", "linear": "identity",
                                                                 "none": "identity", "hardtanh": "hard_tanh"}


def function(name):
    """The name of an activation function in the format, from the names that trainers use."""
    found = ALIASES.get(name.lower().replace("_", "").replace("-", ""))
    if found is None:
        raise UnsupportedError(f"activation '{name}' is not known, expected one of {', '.join(FUNCTIONS)}")
    return found


class Network:
    def __init__(self, trainer):
        self.metadata = {"trainer": trainer}
        self.producer = f"efferent convert ({trainer})"
        self.inputs, self.layers, self.outputs, self.tensors = [], [], [], {}
        self.notes = []  # for people: what was found and what was assumed
        self.last, self.shape = None, ()  # the layer so far, and the shape of one row of it
        self.latent = None  # where the mean of the action begins: last and shape
        self.critic = None  # a Network

    # ---- pieces ----

    def input(self, name, shape, dtype="f32"):
        self.inputs.append({"name": name, "shape": [int(n) for n in shape], "dtype": dtype})
        self.last, self.shape = name, tuple(int(n) for n in shape)
        return name

    def layer(self, kind, name=None, shape=None, **keys):
        """Adds a layer after the last one and makes it the last one; `shape` is that of what comes out, where it
        changes."""
        name = name or f"{kind}.{len(self.layers)}"
        self.layers.append({"type": kind, "name": name, **({} if "from" in keys else {"from": self.last}),
                            **{k: v for k, v in keys.items() if v is not None}})
        self.last, self.shape = name, self.shape if shape is None else tuple(shape)
        return name

    def reshape(self, name, shape):
        self.layer("reshape", name, shape)
        self.layers[-1]["shape"] = [int(n) for n in shape]

    def tensor(self, name, array):
        array = np.asanyarray(array)
        if array.dtype.kind == "f" and array.dtype.itemsize > 8:
            raise UnsupportedError(f"tensor '{name}' is {array.dtype}")
        if array.dtype.kind == "f" and not np.all(np.isfinite(array)) and not name.startswith("action."):
            raise FormatError(f"tensor '{name}' holds values that are not finite")
        self.tensors[name] = (
            array if isinstance(array, Bfloat16) else np.ascontiguousarray(array, array.dtype.newbyteorder("="))
        )
        return name

    def output(self, name, source=None):
        self.outputs.append({"name": name, "from": source or self.last})

    def note(self, text):
        self.notes.append(text)

    def can_feed(self, observed):
        """Whether a critic that observes so many numbers can be given them; says why where it cannot."""
        here = self.inputs[0]["shape"][0]
        if observed != here:
            self.note(f"critic: not taken over, it observes {observed} numbers and the policy {here}: what the robot "
                      f"does not measure cannot be given to it")
        return observed == here

    def goto(self, name, shape):
        """Continues after an earlier layer."""
        self.last, self.shape = name, tuple(shape)

    # ---- composites ----

    def normalize(self, label, mean=None, var=None, std=None, eps=0.0, outside=False, clip=None, wide=False):
        """The trainer's observation normalizer; `wide` computes in f64."""
        keys = {}
        for key, value in (("mean", mean), ("var", var), ("std", std)):
            if value is None:
                continue
            array = np.asanyarray(value)
            array = array.widened() if isinstance(array, Bfloat16) else array
            while array.ndim > len(self.shape) and array.shape[0] == 1:
                array = array[0]
            if array.shape != self.shape and array.size != 1:
                raise ShapeError(f"the normalizer's {key} is {list(array.shape)}, expected {list(self.shape)} as the "
                                 f"observation")
            keys[key] = self.tensor(f"{label}.{key}", array.astype(np.float64 if wide else np.float32))
        spread = "std" if std is not None else "var"
        bottom = (
            f"({spread} + {eps:g})"
            if spread == "std"
            else f"(sqrt(var) + {eps:g})"
            if outside
            else f"sqrt(var + {eps:g})"
        )
        self.note(f"normalizer: {'clip(' if clip else ''}(x - mean) / {bottom}{f', +-{clip:g})' if clip else ''}")
        return self.layer("normalizer", label, **keys, eps=float(eps), eps_outside=outside or None,
                          clip=float(clip) if clip else None, dtype="f64" if wide else None)

    def dense(self, state, prefix, activation=None):
        """A layer of prefix.weight and prefix.bias."""
        weight = state.take(prefix + ".weight")
        if weight.ndim != 2 or len(self.shape) != 1 or weight.shape[1] != self.shape[0]:
            raise ShapeError(f"tensor '{prefix}.weight' is {list(weight.shape)}, expected [outputs, "
                             f"{self.shape[0] if len(self.shape) == 1 else '...'}] after an input of "
                             f"{list(self.shape)}")
        self.tensor(prefix + ".weight", weight)
        if prefix + ".bias" in state:
            self.tensor(prefix + ".bias", state.take(prefix + ".bias"))
        return self.layer("dense", prefix, (weight.shape[0],),
                          activation=None if activation in (None, "identity") else activation)

    def norm(self, state, prefix):
        """Layer or batch normalization, told apart by its tensors; `ra_mean` is the batch renormalization of
        sb3_contrib."""
        if prefix + ".ra_mean" in state:
            state.ignore(prefix + ".steps")
            keys = {k: self.tensor(f"{prefix}.{k}", state.take(f"{prefix}.{n}")) for k, n in
                    (("running_mean", "ra_mean"), ("running_var", "ra_var"), ("weight", "scale"), ("bias", "bias"))}
            return self.layer("batch_norm", prefix, eps=1e-3, **keys)
        parts = [k for k in ("weight", "bias", "running_mean", "running_var") if f"{prefix}.{k}" in state]
        for k in parts:
            self.tensor(f"{prefix}.{k}", state.take(f"{prefix}.{k}"))
        state.ignore(prefix + ".num_batches_tracked")
        return self.layer("batch_norm" if "running_mean" in parts else "layer_norm", prefix)

    def sequence(self, state, prefix, activation, final=None, convolution=None):
        """The modules `prefix`0, `prefix`2, ... of a torch Sequential: an activation stands wherever a number is left
        out; `final` follows the last one. `convolution(position)` gives the keys of a convolution."""
        numbers = state.numbers(prefix)
        for i, n in enumerate(numbers):
            name = f"{prefix}{n}"
            is_last = i + 1 == len(numbers)
            after = final if is_last else activation if numbers[i + 1] > n + 1 else None
            rank = len(state.shape(name + ".weight")) if name + ".weight" in state else 1
            if is_last and rank == 1 and i > 0 and n > numbers[i - 1] + 1:
                after = None  # the activation stands before this normalization
            if rank == 1:
                self.norm(state, name)
                if after not in (None, "identity"):
                    self.layer(after)
            elif rank == 2:
                if len(self.shape) > 1:
                    self.layer("flatten", shape=(int(np.prod(self.shape)),))
                self.dense(state, name, after)
            elif convolution is not None:
                self.convolve(state, name, after, **convolution(i))
            else:
                raise UnsupportedError(f"tensor '{name}.weight' has {rank} axes, and the checkpoint does not say how "
                                       f"it is slid over its input; export this policy to ONNX")
        return numbers

    def convolve(self, state, prefix, activation, stride):
        weight = self.tensors[self.tensor(prefix + ".weight", state.take(prefix + ".weight"))]
        if weight.ndim != 4 or len(self.shape) != 3 or weight.shape[1] != self.shape[0]:
            raise ShapeError(f"tensor '{prefix}.weight' is {list(weight.shape)}, expected [outputs, channels, height, "
                             f"width] after an input of {list(self.shape)}")
        if prefix + ".bias" in state:
            self.tensor(prefix + ".bias", state.take(prefix + ".bias"))
        sides = [(n - k) // stride + 1 for n, k in zip(self.shape[1:], weight.shape[2:])]
        return self.layer("conv", prefix, (weight.shape[0], *sides), stride=stride, activation=activation)

    def recurrent(self, state, prefix, name=None):
        """`prefix`weight_ih_l0 and on: what it is follows from how many gates there are."""
        name = name or prefix.rstrip(".")
        count = 0
        while f"{prefix}weight_ih_l{count}" in state:
            count += 1
        rows, hidden = state.shape(f"{prefix}weight_hh_l0")
        kind = {4: "lstm", 3: "gru", 1: "rnn"}.get(rows // hidden if rows % hidden == 0 else 0)
        if kind is None:
            raise ShapeError(f"tensor '{prefix}weight_hh_l0' is {[rows, hidden]}, expected 4, 3 or 1 times as many "
                             f"rows as columns")
        if len(self.shape) != 1 or state.shape(f"{prefix}weight_ih_l0")[1:] != self.shape:
            raise ShapeError(f"tensor '{prefix}weight_ih_l0' is {list(state.shape(f'{prefix}weight_ih_l0'))}, which "
                             f"does not follow an input of {list(self.shape)}")
        for i in range(count):
            for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
                if f"{prefix}{part}_l{i}" in state:
                    self.tensor(f"{name}.{part}_l{i}", state.take(f"{prefix}{part}_l{i}"))
        self.note(f"{kind} of {hidden} x {count}: the session carries its state")
        return self.layer(kind, name, (hidden,))

    def constant(self, name, array):
        """A tensor of the file as an output, the same for every observation."""
        self.tensor(f"{name}.value", np.asarray(array, np.float32).reshape(-1))
        self.layers.append({"type": "constant", "name": f"{name}.constant", "value": f"{name}.value"})
        self.output(name, f"{name}.constant")

    def smallest(self, name, ends):
        """The smallest of single numbers."""
        if len(ends) == 1:
            return ends[0]
        self.layer("concat", f"{name}.all", (len(ends),), **{"from": ends})
        self.layer("negate", f"{name}.negative")
        self.layer("max", f"{name}.most", (1,), keep=True)
        return self.layer("negate", name)

    def rescale(self, name, factor, offset=0.0):
        """What dense layer `name` gives is `factor` times as much, plus `offset`."""
        weight, bias = f"{name}.weight", f"{name}.bias"
        self.tensors.setdefault(bias, np.zeros(len(self.tensors[weight]), np.float32))
        for part, more in ((weight, 0.0), (bias, offset)):
            array = self.tensors[part]
            array = array.widened() if isinstance(array, Bfloat16) else array
            self.tensors[part] = (array.astype(np.float64) * factor + more).astype(np.float32)

    def bounds(self, low, high):
        """Action limits as keys of a squash or clip layer, in the action's flat shape."""
        return {"low": self.tensor("action.low", np.asarray(low, np.float32).reshape(-1)),
                "high": self.tensor("action.high", np.asarray(high, np.float32).reshape(-1))}

    def dumps(self):
        architecture = {"efferent": 1, "producer": self.producer, "inputs": self.inputs, "layers": self.layers,
                        "outputs": self.outputs}
        return dumps(self.tensors, self.metadata, architecture)


class State:
    """A flat {name: tensor}; remembers what was used."""

    def __init__(self, tensors, what):
        self.tensors = {k: v for k, v in tensors.items() if isinstance(k, str) and hasattr(v, "shape")}
        self.what, self.used = what, set()

    def __contains__(self, name):
        return name in self.tensors

    def __iter__(self):
        return iter(self.tensors)

    def shape(self, name):
        if name not in self.tensors:
            raise FormatError(f"{self.what} has no tensor '{name}'")
        return tuple(self.tensors[name].shape)

    def take(self, name):
        self.shape(name)
        self.used.add(name)
        found = self.tensors[name]
        return found.array() if hasattr(found, "array") else found

    def ignore(self, *found):
        self.used.update(found)

    def has(self, prefix):
        return any(name.startswith(prefix) for name in self.tensors)

    def numbers(self, prefix):
        """The numbers n of the modules `prefix`n.weight, and of those without a weight but with statistics, in
        order."""
        pattern = re.compile(re.escape(prefix) + r"(\d{1,6})\.(weight|ra_mean|running_mean)$")
        return sorted({int(m[1]) for name in self.tensors if (m := pattern.match(name))})

    def expect_used(self, *prefixes):
        """Refuses to leave out tensors of the actor that were not understood."""
        for name in self.tensors:
            if name.startswith(prefixes) and name not in self.used:
                raise UnsupportedError(f"tensor '{name}' {list(self.shape(name))} belongs to the policy, but how it is "
                                       f"used is not known here; export this policy to ONNX")
