"""What the integer inputs of a model may hold: found from what they feed."""
import numpy as np

# operators whose result holds the same numbers as their first input
SAME = {"Cast", "CastLike", "Identity", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Transpose", "Expand", "Tile",
        "Slice", "Gather", "GatherND",
        "GatherElements", "Concat", "Split"}
# operators that read an input as positions along an axis of another: {operator: (place of the positions, place of the
# table)}
TABLES = {"Gather": (1, 0), "GatherElements": (1, 0), "ScatterElements": (1, 0), "Scatter": (1, 0),
          "TensorScatter": (2, 0), "EmbedLayerNormalization": (0, 2)}
TUPLES = {"GatherND", "ScatterND"}
LENGTHS = {"LSTM": 4, "GRU": 4, "RNN": 4, "ReverseSequence": 1}


def id_ranges(file):
    """{input: least size of the tables whose rows it names}, for inputs that are read as indices; None where the
    package onnx is not installed."""
    try:
        import onnx
    except ImportError:
        return None
    try:
        model = onnx.shape_inference.infer_shapes(onnx.load(file, load_external_data=False))
    except Exception:  # it has no class of its own, and a model that it cannot infer may still run
        model = onnx.load(file, load_external_data=False)
    found = {}
    for value in model.graph.input:
        sizes = _sizes(onnx, model.graph, {value.name}, _shapes(onnx, model.graph))
        if sizes:
            found[value.name] = min(sizes)
    return found


def draw(rng, dtype, shape, size=None):
    """Integers that an input may hold: rows of its tables, otherwise what its type holds, large ones left out where the
    type holds more than 16 bits."""
    if size is not None:
        return rng.integers(0, max(size, 1), shape)
    info = np.iinfo(dtype)
    if info.bits > 16:
        return rng.integers(0 if info.min == 0 else -128, 128, shape)
    return rng.integers(info.min, info.max + 1, shape)


def _shapes(onnx, graph):
    """{tensor: its sizes, None where they are not known}."""
    shapes = {t.name: list(t.dims) for t in graph.initializer}
    for v in [*graph.value_info, *graph.input, *graph.output]:
        if v.type.HasField("tensor_type") and v.type.tensor_type.HasField("shape"):
            shapes.setdefault(v.name,
                              [d.dim_value if d.HasField("dim_value") else None for d in v.type.tensor_type.shape.dim])
    for n in graph.node:
        if n.op_type == "Constant":
            shapes.update({n.output[0]: list(a.t.dims) for a in n.attribute if a.name == "value"})
    return shapes


def _sizes(onnx, graph, names, shapes):
    """Sizes of the axes along which the tensors `names` and what is made of them are positions."""
    values = {t.name: t for t in graph.initializer}
    values.update({n.output[0]: a.t for n in graph.node if n.op_type == "Constant" for a in n.attribute
                   if a.name == "value"})
    names, sizes = set(names), []
    for n in graph.node:
        attributes = {a.name: a for a in n.attribute}
        for place, name in enumerate(n.input):
            if name not in names:
                continue
            if n.op_type in TABLES and place == TABLES[n.op_type][0] and len(n.input) > TABLES[n.op_type][1]:
                axis = attributes["axis"].i if "axis" in attributes else -2 if n.op_type == "TensorScatter" else 0
                shape = shapes.get(n.input[TABLES[n.op_type][1]])
                if shape and -len(shape) <= axis < len(shape) and shape[axis]:
                    sizes.append(shape[axis])
            elif n.op_type in TUPLES and place == 1:
                first = attributes["batch_dims"].i if "batch_dims" in attributes else 0
                depth = (shapes.get(name) or [None])[-1]
                sizes += [d for d in (shapes.get(n.input[0]) or [])[first:first + (depth or 1)] if d]
            elif n.op_type == "OneHot" and place == 0 and n.input[1] in values:
                sizes.append(int(onnx.numpy_helper.to_array(values[n.input[1]]).ravel()[0]))
            elif LENGTHS.get(n.op_type) == place:
                shape = shapes.get(n.input[0])
                axis = (
                    attributes["time_axis"].i
                    if "time_axis" in attributes
                    else 1
                    if "layout" in attributes and attributes["layout"].i
                    else 0
                )
                if shape and axis < len(shape) and shape[axis]:
                    sizes.append(shape[axis] + 1)
            elif n.op_type in SAME and place == 0 or n.op_type == "Concat":
                names.update(o for o in n.output if o)
        for a in n.attribute:
            if a.type == onnx.AttributeProto.GRAPH:
                sizes += _sizes(onnx, a.g, names, {**shapes, **_shapes(onnx, a.g)})
    return sizes
