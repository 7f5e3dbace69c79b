"""The node tests of onnx, with zeros put into the dimensions of their inputs and into the sizes that they name."""
import warnings

import numpy as np
from onnx import ModelProto, numpy_helper

MOST_PER_OPERATOR = 4
# no oracle says what they give: they draw, or their outputs are not tensors
LEFT_OUT = {"Bernoulli", "RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Multinomial",
            "Dropout"}


class Base:
    """A model with inputs that onnx's own test gives it."""

    def __init__(self, name, model, feeds):
        self.name, self.model, self.feeds = name, model, feeds


def bases():
    """Up to a few node tests of each operator, such that their attributes and numbers of inputs differ."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from onnx.backend.test.case.node import collect_testcases

        cases = collect_testcases(None)
    seen = {}
    for case in sorted(cases, key=lambda c: c.name):
        if case.model is None or "_expanded" in case.name or not case.data_sets:
            continue
        graph = case.model.graph
        if len(graph.node) != 1 or graph.node[0].op_type in LEFT_OUT:
            continue
        inputs = case.data_sets[0][0]
        if not all(isinstance(x, np.ndarray) and x.dtype.kind in "fiub" and x.size < 20_000 for x in inputs):
            continue
        form = (tuple(sorted(a.name for a in graph.node[0].attribute)), len(inputs),
                max([x.ndim for x in inputs], default=0))
        found = seen.setdefault(graph.node[0].op_type, {})
        if form in found or len(found) >= MOST_PER_OPERATOR:
            continue
        found[form] = Base(case.name, case.model, dict(zip([i.name for i in graph.input], inputs)))
    return [b for found in seen.values() for b in found.values()]


def cut(array, dims):
    """`array` with no elements along `dims`."""
    return array[tuple(slice(0, 0) if d in dims else slice(None) for d in range(array.ndim))]


def variants(base, constants):
    """(what, feeds) with zeros. `constants`: the inputs that are shapes, sizes or axes, whose values become 0 too."""
    data = {k: v for k, v in base.feeds.items() if k not in constants}
    sizes = sorted({n for v in data.values() for n in v.shape if n > 0})
    for size in sizes:
        yield f"every dimension of {size}", {
            k: cut(v, {d for d, n in enumerate(v.shape) if n == size}) if k in data else v
            for k, v in base.feeds.items()}
    for k, v in base.feeds.items():
        for d in range(v.ndim):
            yield f"dimension {d} of {k}", base.feeds | {k: cut(v, {d})}
    for k in constants:
        v = base.feeds[k]
        if v.dtype.kind in "iu" and v.size <= 8:
            for i in range(v.size):
                changed = v.copy()
                changed.reshape(-1)[i] = 0
                yield f"{k}[{i}] = 0", base.feeds | {k: changed}


def made(model, feeds, constants):
    """The bytes of `model` for the shapes of `feeds`, with `constants` as initializers, and the feeds that remain."""
    m = ModelProto()
    m.CopyFrom(model)
    kept = []
    for value in m.graph.input:
        array = feeds.get(value.name)
        if value.name in constants:
            m.graph.initializer.append(numpy_helper.from_array(array, value.name))
            continue
        shape = value.type.tensor_type.shape
        del shape.dim[:]
        shape.SetInParent()
        for n in array.shape:
            shape.dim.add().dim_value = n
        kept.append(value)
    kept = [v for v in kept]
    del m.graph.input[:]
    m.graph.input.extend(kept)
    for value in m.graph.output:
        value.type.tensor_type.ClearField("shape")
    return m.SerializeToString(), {v.name: feeds[v.name] for v in kept}
