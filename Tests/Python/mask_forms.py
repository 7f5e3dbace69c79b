"""x[mask], x[mask] = values, and windows whose place is computed while running, in the forms in which exporters write
them."""
import numpy as np
from control_forms import ACT, F, I, OBS, ZERO, graph, model, node, weights  # noqa: F401
from onnx import TensorProto as T
from onnx import helper

LESS = [node("Less", "obs zero", "m")]
PLACES = [node("NonZero", "m", "nz"), node("Transpose", "nz", "i", perm=[1, 0])]
WIDE = ("obs", [3, 4])
OUT = ("action", [3, 4])


def assign_scalar():
    """y[y < 0] = 0.5 as torch 2.13 writes it: Shape of the list, Expand, ScatterND."""
    return model([*LESS, *PLACES, node("Shape", "i", "s", end=1), node("Expand", "h s", "u"),
                  node("ScatterND", "obs i u", "action")], [WIDE], [OUT], **ZERO, h=np.float32(0.5))


def assign_scalar_old():
    """Before Shape had start and end: Shape, Gather, Unsqueeze."""
    nodes = [node("Shape", "i", "s"), node("Gather", "s nought", "k"), node("Unsqueeze", "k at", "k1"),
             node("Expand", "h k1", "u"), node("ScatterND", "obs i u", "action")]
    return model([*LESS, *PLACES, *nodes], [WIDE], [OUT], opset=13, **ZERO, h=np.float32(0.5), nought=np.int64(0),
                 at=np.array([0], np.int64))


def assign_constant_of_shape():
    nodes = [node("Shape", "i", "s"), node("Slice", "s a b", "k1"),
             node("ConstantOfShape", "k1", "u", value=helper.make_tensor("v", F, [1], [0.25])),
             node("ScatterND", "obs i u", "action")]
    return model([*LESS, *PLACES, *nodes], [WIDE], [OUT], **ZERO, a=np.array([0], np.int64), b=np.array([1], np.int64))


def assign_function_of_itself():
    """y[m] = tanh(2 y[m])."""
    nodes = [node("GatherND", "obs i", "picked"), node("Mul", "picked two", "d"), node("Tanh", "d", "u"),
             node("ScatterND", "obs i u", "action")]
    return model([*LESS, *PLACES, *nodes], [WIDE], [OUT], **ZERO, two=np.float32(2))


def assign_other():
    """y[m] = z[m]."""
    nodes = [node("Exp", "obs", "z"), node("GatherND", "z i", "u"), node("ScatterND", "obs i u", "action")]
    return model([*LESS, *PLACES, *nodes], [WIDE], [OUT], **ZERO)


def rows_of_lower_rank():
    """x[rows] = row: a mask of fewer dimensions than the data, a broadcast value."""
    more = [node("ReduceSum", "obs one", "t", keepdims=0), node("Less", "t zero", "m")]
    nodes = [node("Shape", "i", "s"), node("Slice", "s a b", "k1"), node("Concat", "k1 four", "u_shape", axis=0),
             node("Expand", "row u_shape", "u"),
             node("ScatterND", "obs i u", "action")]
    return model([*more, *PLACES, *nodes], [WIDE], [OUT], **ZERO, one=np.array([1], np.int64),
                 a=np.array([0], np.int64), b=np.array([1], np.int64), four=np.array([4], np.int64),
                 row=weights(1, 4))


def rows_through_a_layer():
    """x[rows] = tanh(x[rows] W + b): a network for some of the rows."""
    more = [node("ReduceSum", "obs one", "t", keepdims=0), node("Less", "t zero", "m")]
    nodes = [node("GatherND", "obs i", "r"), node("MatMul", "r w", "h"), node("Add", "h b", "h1"),
             node("Tanh", "h1", "u"), node("ScatterND", "obs i u", "action")]
    return model([*more, *PLACES, *nodes], [WIDE], [OUT], **ZERO, one=np.array([1], np.int64), w=weights(1, 4, 4),
                 b=weights(2, 4))


def index_columns():
    """The legacy exporter takes the list of positions apart, a column for each axis, and joins it again."""
    nodes = [node("NonZero", "m", "nz"), node("Transpose", "nz", "t"), node("Split", "t", "c0 c1", axis=1),
             node("Squeeze", "c0 one", "s0"), node("Squeeze", "c1 one", "s1"),
             node("Unsqueeze", "s0 last", "u0"), node("Unsqueeze", "s1 last", "u1"),
             node("Concat", "u0 u1", "i", axis=-1), node("GatherND", "obs i", "g"), node("Neg", "g", "u"),
             node("ScatterND", "obs i u", "action")]
    return model([*LESS, *nodes], [WIDE], [OUT], **ZERO, one=np.array([1], np.int64), last=np.array([-1], np.int64))


def accumulate():
    """x[m] += 0.5 as ScatterND with reduction."""
    nodes = [node("Shape", "i", "s", end=1), node("Expand", "h s", "u"),
             node("ScatterND", "obs i u", "action", reduction="add")]
    return model([*LESS, *PLACES, *nodes], [WIDE], [OUT], opset=16, **ZERO, h=np.float32(0.5))


def masked_scatter():
    """torch.masked_scatter: the k-th true element takes the k-th of other values."""
    nodes = [node("Shape", "i", "s"), node("Gather", "s nought", "k"), node("Unsqueeze", "k at", "k1"),
             node("Slice", "values at k1 at", "u"), node("ScatterND", "obs i u", "action")]
    return model([*LESS, *PLACES, *nodes], [WIDE], [OUT], **ZERO, nought=np.int64(0), at=np.array([0], np.int64),
                 values=weights(4, 12))


def sum_of_some():
    nodes = [node("GatherND", "obs i", "p"), node("ReduceSum", "p", "total", keepdims=0),
             node("Add", "obs total", "action")]
    return model([*LESS, *PLACES, *nodes], [WIDE], [OUT], **ZERO)


def more_reductions():
    """Mean, largest, smallest and how many there are; one element is always in the mask."""
    nodes = [node("Greater", "obs low", "m"), *PLACES, node("GatherND", "obs i", "p"),
             node("ReduceMean", "p", "a", keepdims=0), node("ReduceMax", "p", "b", keepdims=0),
             node("ReduceMin", "p", "c", keepdims=0), node("ReduceL2", "p", "d", keepdims=0),
             node("ReduceLogSumExp", "p", "e", keepdims=0), node("ReduceProd", "p", "f", keepdims=0),
             node("Size", "p", "n"), node("Cast", "n", "nf", to=F), node("Unsqueeze", "a ax", "a1"),
             node("Unsqueeze", "b ax", "b1"), node("Unsqueeze", "c ax", "c1"),
             node("Unsqueeze", "d ax", "d1"), node("Unsqueeze", "e ax", "e1"), node("Unsqueeze", "f ax", "f1"),
             node("Unsqueeze", "nf ax", "n1"),
             node("Concat", "a1 b1 c1 d1 e1 f1 n1", "action", axis=0)]
    more = [node("ReduceMin", "obs", "mean", keepdims=0), node("Sub", "mean one", "low0"),
            node("ReduceMean", "obs", "av", keepdims=0), node("Max", "low0 av", "low")]
    return model([*more, *nodes], [WIDE], [("action", [7])], one=np.float32(1), ax=np.array([0], np.int64))


def sum_over_rows():
    """x[rows].sum(0) and .mean(1): over the list and beside it."""
    more = [node("ReduceSum", "obs one", "t", keepdims=0), node("Less", "t zero", "m")]
    nodes = [node("GatherND", "obs i", "r"), node("ReduceSum", "r nought", "s", keepdims=1),
             node("ReduceMean", "r", "v", axes=[1], keepdims=1), node("Mul", "r v", "w"),
             node("ReduceSum", "w nought", "q", keepdims=1), node("Concat", "s q", "action", axis=0)]
    return model([*more, *PLACES, *nodes], [WIDE], [("action", [2, 4])], **ZERO, one=np.array([1], np.int64),
                 nought=np.array([0], np.int64))


def compress_and_count():
    """Compress, and numbers of true elements by Size and Shape."""
    nodes = [node("ReduceSum", "obs one", "t", keepdims=0), node("Less", "t zero", "m"),
             node("Compress", "obs m", "r", axis=0), node("ReduceSum", "r nought", "action", keepdims=1)]
    return model(nodes, [WIDE], [("action", [1, 4])], **ZERO, one=np.array([1], np.int64),
                 nought=np.array([0], np.int64))


def nonzero_of_numbers():
    """NonZero of numbers that are no bools, reshaped forms of the list."""
    nodes = [node("Relu", "obs", "m"), *PLACES, node("GatherND", "obs i", "p"), node("Reshape", "p column", "p1"),
             node("Mul", "p1 half", "p2"), node("Reshape", "p2 flat", "u"),
             node("ScatterND", "obs i u", "action")]
    return model(nodes, [WIDE], [OUT], column=np.array([-1, 1], np.int64), flat=np.array([-1], np.int64),
                 half=np.float32(0.5))


def mask_in_a_branch():
    then = graph([*PLACES, node("Shape", "i", "s", end=1), node("Expand", "h s", "u"),
                  node("ScatterND", "obs i u", "a")], [], [("a", [3, 4])])
    other = graph([node("Neg", "obs", "b")], [], [("b", [3, 4])])
    return model([*LESS, node("ReduceSum", "obs", "t", keepdims=0), node("Greater", "t zero", "c"),
                  node("If", "c", "action", then_branch=then, else_branch=other)], [WIDE], [OUT],
                 **ZERO, h=np.float32(0.5))


MASKS = [assign_scalar, assign_scalar_old, assign_constant_of_shape, assign_function_of_itself, assign_other,
         rows_of_lower_rank, rows_through_a_layer, index_columns, accumulate,
         masked_scatter, sum_of_some, more_reductions, sum_over_rows, compress_and_count, nonzero_of_numbers,
         mask_in_a_branch]

# ---- windows; an integer input t is drawn from [0, 7) ----

TIME = ("t", [1], I)
TABLE = {"table": weights(9, 10, 4)}


def window_simple():
    return model([node("Add", "t two", "e"), node("Slice", "table t e ax", "w"),
                  node("ReduceSum", "w ax", "s", keepdims=1), node("Add", "obs s", "action")], [OBS, TIME], [ACT],
                 **TABLE,
                 two=np.array([2], np.int64), ax=np.array([0], np.int64))


def window_is_the_action():
    return model([node("Add", "t three", "e"), node("Slice", "table t e ax", "w"), node("Add", "w obs", "action")],
                 [OBS, TIME], [("action", [3, 4])], **TABLE,
                 three=np.array([3], np.int64), ax=np.array([0], np.int64))


def window_jax():
    """jax2onnx's dynamic_slice: casts and unsqueezed scalars for each axis, Concat, Add of the sizes, all axes."""
    nodes = [node("Squeeze", "t ax", "ts"), node("Cast", "ts", "s0", to=I), node("Unsqueeze", "s0 ax", "s0u"),
             node("Cast", "nought", "s1", to=I), node("Unsqueeze", "s1 ax", "s1u"),
             node("Concat", "s0u s1u", "starts", axis=0), node("Add", "starts sizes", "ends"),
             node("Slice", "table starts ends axes", "w"), node("Add", "w obs", "action")]
    return model(nodes, [OBS, ("t", [1], T.INT32)], [("action", [2, 4])], **TABLE, sizes=np.array([2, 4], np.int64),
                 axes=np.array([0, 1], np.int64), ax=np.array([0], np.int64),
                 nought=np.int32(0))


def window_two_axes():
    nodes = [node("Mod", "t two", "u"), node("Concat", "t u", "starts", axis=0), node("Add", "starts sizes", "ends"),
             node("Slice", "table starts ends", "w"),
             node("Reshape", "w shape", "flat"), node("Add", "flat obs", "action")]
    return model(nodes, [OBS, TIME], [ACT], **TABLE, two=np.array([2], np.int64), sizes=np.array([2, 2], np.int64),
                 shape=np.array([1, 4], np.int64))


def window_clamped():
    """jax clamps the start itself: Max 0, Min dim - size; torch limits the end with Min."""
    nodes = [node("Mul", "t five", "far"), node("Max", "far nought", "a"), node("Min", "a seven", "start"),
             node("Add", "start three", "e0"), node("Min", "e0 ten", "e"),
             node("Slice", "table start e ax", "w"), node("Add", "w obs", "action")]
    one = lambda v: np.array([v], np.int64)  # noqa: E731
    return model(nodes, [OBS, TIME], [("action", [3, 4])], **TABLE, five=one(5), nought=one(0), seven=one(7),
                 three=one(3), ten=one(10), ax=one(0))


def window_blocks():
    """x[2 t : 2 (t + 1)]: start and end are products; the start is converted twice."""
    nodes = [node("Mod", "t four", "b"), node("Cast", "b", "b1", to=T.INT32), node("Cast", "b1", "p", to=I),
             node("Cast", "b", "b2", to=T.INT32), node("Cast", "b2", "q", to=I),
             node("Mul", "p two", "start"), node("Add", "q one", "n"), node("Mul", "two n", "end"),
             node("Slice", "table start end ax st", "w"), node("Add", "w obs", "action")]
    one = lambda v: np.array([v], np.int64)  # noqa: E731
    return model(nodes, [OBS, TIME], [("action", [2, 4])], **TABLE, four=one(4), two=one(2), one=one(1), ax=one(0),
                 st=one(1))


def window_step():
    """Every second row of a window."""
    nodes = [node("Mod", "t four", "b"), node("Add", "b five", "e"), node("Slice", "table b e ax st", "w"),
             node("Add", "w obs", "action")]
    one = lambda v: np.array([v], np.int64)  # noqa: E731
    return model(nodes, [OBS, TIME], [("action", [3, 4])], **TABLE, four=one(4), five=one(5), ax=one(0), st=one(2))


def window_from_the_end():
    """x[-t - 3 : -t - 1]: negative places count from the end."""
    nodes = [node("Neg", "t", "n"), node("Sub", "n three", "start"), node("Sub", "n one", "end"),
             node("Slice", "table start end ax", "w"), node("Add", "w obs", "action")]
    one = lambda v: np.array([v], np.int64)  # noqa: E731
    return model(nodes, [OBS, TIME], [("action", [2, 4])], **TABLE, three=one(3), one=one(1), ax=one(0))


def range_running():
    """Rows t, t + 1, t + 2 by Range and Gather."""
    nodes = [node("Squeeze", "t ax", "ts"), node("Add", "ts three", "e"), node("Range", "ts e one", "r"),
             node("Gather", "table r", "w"), node("Add", "w obs", "action")]
    return model(nodes, [OBS, TIME], [("action", [3, 4])], **TABLE, three=np.int64(3), one=np.int64(1),
                 ax=np.array([0], np.int64))


def update_concat():
    """x[t : t + 2] = u as slices that are joined again."""
    nodes = [node("Add", "t two", "e"), node("Slice", "table nought t ax", "a"), node("Slice", "table e end ax", "c"),
             node("Concat", "obs obs", "u", axis=0),
             node("Concat", "a u c", "action", axis=0)]
    one = lambda v: np.array([v], np.int64)  # noqa: E731
    return model(nodes, [OBS, TIME], [("action", [10, 4])], **TABLE, two=one(2), nought=one(0), end=one(2**62),
                 ax=one(0))


def update_scatter():
    """x[t : t + 2] = u as ScatterND over Range, as jax2onnx and tf2onnx write it."""
    nodes = [node("Squeeze", "t ax", "ts"), node("Add", "ts two", "e"), node("Range", "ts e one", "r"),
             node("Unsqueeze", "r last", "i"), node("Concat", "obs obs", "u", axis=0),
             node("ScatterND", "table i u", "action")]
    return model(nodes, [OBS, TIME], [("action", [10, 4])], **TABLE, two=np.int64(2), one=np.int64(1),
                 ax=np.array([0], np.int64), last=np.array([1], np.int64))


WINDOWS = [window_simple, window_is_the_action, window_jax, window_two_axes, window_clamped, window_blocks, window_step,
           window_from_the_end, range_running, update_concat,
           update_scatter]
