"""The interface of onnx.backend.base over Efferent, for tools such as onnx.backend.test.

    import efferent.onnx_backend as backend
    outputs = backend.run_model(onnx.load("policy.onnx"), [observation])
"""
import numpy as np
import onnx
from onnx.backend.base import Backend, BackendRep, namedtupledict

from .errors import UnsupportedError
from .policy import Policy

BFLOAT = onnx.helper.tensor_dtype_to_np_dtype(onnx.TensorProto.BFLOAT16)


class EfferentRep(BackendRep):
    """A model, loaded at each run for the shapes of the inputs that it is given.

    Shapes, axes, sizes and conditions must be known at load. A model that takes them as inputs is loaded again with
    these inputs as constants.
    """

    def __init__(self, model):
        self.model = model
        given = {t.name for t in model.graph.initializer}
        self.inputs = [v.name for v in model.graph.input if v.name not in given]
        self.outputs = [v.name for v in model.graph.output]

    def run(self, inputs, **kwargs):
        if not isinstance(inputs, dict):
            inputs = dict(zip(self.inputs, [inputs] if isinstance(inputs, np.ndarray) else inputs))
        for name, value in inputs.items():
            if not isinstance(value, (np.ndarray, np.generic, int, float)):
                raise UnsupportedError(f"input '{name}' is not a tensor but a {type(value).__name__}; expected tensors "
                                       f"only")
        arrays = {name: np.asarray(value) for name, value in inputs.items()}
        arrays = {name: a.view(np.uint16) if a.dtype == BFLOAT else a for name, a in arrays.items()}
        policy, bound = self._load(arrays)
        found = policy.session().run({name: a for name, a in arrays.items() if name not in bound})
        outputs = [found[name].view(BFLOAT) if t.type == "bf16" else found[name]
                   for name, t in zip(self.outputs, policy.outputs)]
        return namedtupledict("Outputs", self.outputs)(*outputs)

    def _load(self, arrays):
        """The policy for these inputs, and the names of those that became constants."""
        data = self._sized(arrays)
        bound = set()
        while True:
            try:
                return Policy(data, state={}, constants={k: arrays[k] for k in bound}), bound
            except UnsupportedError as e:
                more = self._asked(str(e), arrays) - bound
                if not more:
                    raise
                bound |= more

    def _asked(self, message, arrays):
        """The inputs that a message asks to bind: the one that it names, or all integers and booleans where it names a
        result of them."""
        if "computed while running" not in message:
            return set()
        named = {k for k in arrays if f"('{k}')" in message}
        return named or {k for k, a in arrays.items()
                         if a.dtype.kind in "iub"} or {k for k, a in arrays.items() if a.ndim == 0}

    def _sized(self, arrays):
        """The model with the shapes of these inputs in place of symbolic or absent ones."""
        model = onnx.ModelProto()
        model.CopyFrom(self.model)
        for value in model.graph.input:
            if value.name in arrays and value.type.HasField("tensor_type"):
                shape = value.type.tensor_type.shape
                del shape.dim[:]
                shape.SetInParent()
                for size in arrays[value.name].shape:
                    shape.dim.add().dim_value = size
        return model.SerializeToString()


class EfferentBackend(Backend):
    @classmethod
    def prepare(cls, model, device="CPU", **kwargs):
        return EfferentRep(model)

    @classmethod
    def run_node(cls, node, inputs, device="CPU", outputs_info=None, **kwargs):
        """Runs one node on the given arrays."""
        arrays = [np.asarray(a) for a in inputs]
        types = [onnx.helper.np_dtype_to_tensor_dtype(a.dtype) for a in arrays]
        names = [n for n in node.input if n]
        values = [onnx.helper.make_tensor_value_info(n, t, a.shape) for n, t, a in zip(names, types, arrays)]
        results = [onnx.helper.make_empty_tensor_value_info(n) for n in node.output if n]
        opset = onnx.helper.make_opsetid(node.domain, kwargs.get("opset_version", onnx.defs.onnx_opset_version()))
        graph = onnx.helper.make_graph([node], "node", values, results)
        return cls.prepare(onnx.helper.make_model(graph, opset_imports=[opset])).run(arrays)

    @classmethod
    def supports_device(cls, device):
        return device == "CPU"


is_compatible = EfferentBackend.is_compatible
prepare = EfferentBackend.prepare
run_model = EfferentBackend.run_model
run_node = EfferentBackend.run_node
supports_device = EfferentBackend.supports_device
