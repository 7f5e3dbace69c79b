"""One random model, and the random pieces that it is made of."""
import numpy as np
from onnx import helper, numpy_helper

F32, F16, F64 = np.float32, np.float16, np.float64


class Case:
    """One node between inputs and constants. `quantum`: integer outputs may differ by one."""

    def __init__(self, op, opset, inputs, outputs=1, quantum=False, atol=1e-5, rtol=1e-5, domain="", version=1,
                 **attributes):
        self.op, self.opset, self.quantum, self.atol, self.rtol = op, opset, quantum, atol, rtol
        names = [f"x{i}" if x is not None else "" for i, x in enumerate(inputs)]
        # a number of outputs, or which ones: a 0 leaves one out
        outs = [f"y{i}" if wanted else ""
                for i, wanted in enumerate([1] * outputs if isinstance(outputs, int) else outputs)]
        attributes = {k: v for k, v in attributes.items() if v is not None}
        nodes = [helper.make_node(op, names, outs, name="tested", domain=domain, **attributes)]
        self.feeds, given, initializers = {}, [], []
        for name, x in zip(names, inputs):
            if isinstance(x, Const):
                tensor = numpy_helper.from_array(x.array, name)
                if x.as_node:
                    nodes.insert(0, helper.make_node("Constant", [], [name], value=tensor))
                else:
                    initializers.append(tensor)
            elif x is not None:
                self.feeds[name] = x
                given.append(helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(x.dtype), x.shape))
        self.feeds = {k: np.asarray(v) for k, v in self.feeds.items()}
        graph = helper.make_graph(nodes, "g", given, [helper.make_empty_tensor_value_info(o) for o in outs if o],
                                  initializers)
        self.model = helper.make_model(graph,
                                       opset_imports=[helper.make_opsetid("", opset),
                                                      *([helper.make_opsetid(domain, version)] if domain else [])],
                                       ir_version=10)

    def describe(self):
        node = self.model.graph.node[-1]
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        constants = {t.name: numpy_helper.to_array(t) for t in self.model.graph.initializer}
        constants |= {n.output[0]: numpy_helper.to_array(n.attribute[0].t) for n in self.model.graph.node[:-1]}
        shapes = {k: f"{v.dtype}{list(v.shape)}" for k, v in self.feeds.items()}
        small = {k: v.tolist() if v.size < 10 else f"{v.dtype}{list(v.shape)}" for k, v in constants.items()}
        return f"{self.op} opset {self.opset} {attributes} inputs {shapes} constants {small}"


class Const:
    def __init__(self, array, as_node=False):
        self.array, self.as_node = np.asarray(array), as_node


class Draw:
    """Random pieces of a case."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)

    def one(self, *choices):
        return choices[self.rng.integers(len(choices))]

    def chance(self, p=0.5):
        return self.rng.random() < p

    def int(self, low, high):
        return int(self.rng.integers(low, high + 1))

    def shape(self, low=1, high=4, most=6):
        return [self.int(1, most) for _ in range(self.int(low, high))]

    def array(self, shape, dtype=F32, low=-3.0, high=3.0):
        dtype = np.dtype(dtype)
        if dtype.kind == "b":
            return self.rng.random(shape) < 0.5
        if dtype.kind in "iu":
            info = np.iinfo(dtype)
            return self.rng.integers(max(info.min, int(low)), min(info.max, int(high)) + 1, shape).astype(dtype)
        return self.rng.uniform(low, high, shape).astype(dtype)

    def const(self, array):
        return Const(array, self.chance(0.3))

    def longs(self, values):
        return self.const(np.array(values, np.int64))
