"""Models whose course is computed while running, in the forms in which exporters write them: If, Loop, masks, windows.

Each form is (model, inputs of one row): `inputs` draws one observation.
"""
import numpy as np
from onnx import TensorProto as T
from onnx import helper, numpy_helper

F, I, B = T.FLOAT, T.INT64, T.BOOL


def node(op, inputs, outputs, **attributes):
    split = lambda s: s.split(",") if "," in s else s.split()  # noqa: E731
    return helper.make_node(op, split(inputs), split(outputs), **attributes)


def value(name, shape=None, kind=F):
    return helper.make_tensor_value_info(name, kind, shape)


def init(**values):
    return [numpy_helper.from_array(np.asarray(v), k) for k, v in values.items()]


def graph(nodes, inputs=(), outputs=(), weights=()):
    """Inputs and outputs are value infos, or (name, shape, type)."""
    made = [[v if not isinstance(v, tuple) else value(*v) for v in side] for side in (inputs, outputs)]
    return helper.make_graph(nodes, "g", *made, list(weights))


def model(nodes, inputs, outputs, opset=17, **weights):
    made = helper.make_model(graph(nodes, inputs, outputs, init(**weights)),
                             opset_imports=[helper.make_opsetid("", opset)], ir_version=9)
    return made


def weights(seed, *shape):
    return (np.random.default_rng(seed).normal(size=shape) * 0.5).astype(np.float32)


OBS = ("obs", [1, 4])
ACT = ("action", [1, 4])
# obs of one row -> a bool: is its sum above 0
SUM = [node("ReduceSum", "obs", "total", keepdims=0), node("Greater", "total zero", "c")]
ZERO = {"zero": np.float32(0)}


def simple_if():
    then, other = graph([node("Neg", "obs", "a")], [],
                        [("a", [1, 4])]), graph([node("Relu", "obs", "b")], [], [("b", [1, 4])])
    return model([*SUM, node("If", "c", "action", then_branch=then, else_branch=other)], [OBS], [ACT], **ZERO)


def torch_cond_mlps():
    """torch.cond over two networks: weights of the outer graph, activations that fuse, layers of different width."""
    then = graph([node("Gemm", "obs w0 b0", "h"), node("Tanh", "h", "t"), node("Gemm", "t w1 b1", "a")], [],
                 [("a", [1, 4])])
    other = graph([node("Gemm", "obs v0 d0", "g"), node("Elu", "g", "e"), node("Gemm", "e v1 d1", "f"),
                   node("Sigmoid", "f", "b")], [], [("b", [1, 4])])
    return model([*SUM, node("If", "c", "y", then_branch=then, else_branch=other), node("Tanh", "y", "action")], [OBS],
                 [ACT], **ZERO,
                 w0=weights(1, 4, 8), b0=weights(2, 8), w1=weights(3, 8, 4), b1=weights(4, 4), v0=weights(5, 4, 16),
                 d0=weights(6, 16), v1=weights(7, 16, 4), d1=weights(8, 4))


def shared_trunk():
    """Layers before and behind the branches: nothing may fuse over the border in a way that only one branch sees."""
    then, other = graph([node("Relu", "h", "a")], [],
                        [("a", [1, 4])]), graph([node("Tanh", "h", "b")], [], [("b", [1, 4])])
    return model([*SUM, node("Gemm", "obs w bias", "h"), node("If", "c", "y", then_branch=then, else_branch=other),
                  node("Relu", "y", "action")], [OBS], [ACT],
                 **ZERO, w=weights(1, 4, 4), bias=weights(2, 4))


def one_branch_reads_trunk():
    """Only one branch reads the layer before it."""
    then, other = graph([node("Relu", "h", "a")], [],
                        [("a", [1, 4])]), graph([node("Identity", "k", "b")], [], [("b", [1, 4])])
    return model([*SUM, node("Gemm", "obs w bias", "h"),
                  node("If", "c", "action", then_branch=then, else_branch=other)], [OBS], [ACT], **ZERO,
                 w=weights(1, 4, 4), bias=weights(2, 4), k=weights(3, 1, 4))


def constant_branches():
    then, other = graph([], [], [("k", [1, 4])], init(k=weights(1, 1, 4))), graph([], [], [("m", [1, 4])])
    return model([*SUM, node("If", "c", "action", then_branch=then, else_branch=other)], [OBS], [ACT], **ZERO,
                 m=weights(2, 1, 4))


def outer_values():
    """Branches without nodes: one gives what the other branch does not, and both give the same for the second
    output."""
    then, other = graph([], [], [("p", [1, 4]), ("q", [1, 4])]), graph([], [], [("q", [1, 4]), ("q", [1, 4])])
    return model([*SUM, node("Neg", "obs", "p"), node("Exp", "obs", "q"),
                  node("If", "c", "y z", then_branch=then, else_branch=other), node("Add", "y z", "action")],
                 [OBS], [ACT], **ZERO)


def several_outputs():
    then = graph([node("Neg", "obs", "a"), node("ArgMax", "obs", "i", axis=1)], [], [("a", [1, 4]), ("i", [1, 1], I)])
    other = graph([node("Relu", "obs", "b"), node("ArgMin", "obs", "j", axis=1)], [], [("b", [1, 4]), ("j", [1, 1], I)])
    return model([*SUM, node("If", "c", "action index", then_branch=then, else_branch=other)], [OBS],
                 [ACT, ("index", [1, 1], I)], **ZERO)


def nested_if():
    deep = graph([node("Exp", "obs", "d")], [], [("d", [1, 4])]), graph([node("Mul", "obs w", "e")], [],
                                                                        [("e", [1, 4])])
    inner = (
        node("ReduceMax", "obs", "top", keepdims=0),
        node("Greater", "top one", "c2"),
        node("If", "c2", "u", then_branch=deep[0], else_branch=deep[1]),
        node("Add", "u obs", "a"),
    )
    then = graph(list(inner), [], [("a", [1, 4])])
    other = graph([node("Relu", "obs", "r"), node("ReduceMin", "obs", "low", keepdims=0),
                   node("Less", "low minus", "c3"),
                   node("If", "c3", "b", then_branch=graph([node("Neg", "r", "x")], [], [("x", [1, 4])]),
                        else_branch=graph([], [], [("r", [1, 4])]))], [], [("b", [1, 4])])
    return model([*SUM, node("If", "c", "action", then_branch=then, else_branch=other)], [OBS], [ACT], **ZERO,
                 one=np.float32(1), minus=np.float32(-1), w=weights(1, 1, 4))


def modes():
    """A policy with three modes, as a chain of Ifs on an index."""
    last = graph([node("Gemm", "obs w2 b2", "m2")], [], [("m2", [1, 4])])
    second = graph([node("Gemm", "obs w1 b1", "m1"), node("Tanh", "m1", "t1")], [], [("t1", [1, 4])])
    rest = graph([node("Equal", "mode one", "is1"), node("If", "is1", "r", then_branch=second, else_branch=last)], [],
                 [("r", [1, 4])])
    first = graph([node("Identity", "obs", "m0")], [], [("m0", [1, 4])])
    return model([node("ArgMax", "obs", "mode", axis=1, keepdims=1), node("Equal", "mode nought", "is0"),
                  node("If", "is0", "action", then_branch=first, else_branch=rest)],
                 [OBS], [ACT], nought=np.array([[0]], np.int64), one=np.array([[1]], np.int64), w1=weights(1, 4, 4),
                 b1=weights(2, 4), w2=weights(3, 4, 4), b2=weights(4, 4))


def if_in_loop():
    """A loop of known length with an If in its body."""
    then, other = graph([node("Mul", "v w", "a")], [],
                        [("a", [1, 4])]), graph([node("Sub", "v w", "b")], [], [("b", [1, 4])])
    body = graph([node("ReduceSum", "v", "s", keepdims=0), node("Greater", "s zero", "p"),
                  node("If", "p", "v2", then_branch=then, else_branch=other), node("Identity", "go", "go2"),
                  node("Identity", "s", "z")],
                 [("i", [], I), ("go", [], B), ("v", [1, 4])], [("go2", [], B), ("v2", [1, 4]), ("z", [])])
    return model([node("Loop", "n,,obs", "action,sums", body=body)], [OBS], [ACT, ("sums", [3])], **ZERO, n=np.int64(3),
                 w=weights(1, 1, 4))


def loop_in_if():
    body = graph([node("Mul", "v half", "v2"), node("Identity", "go", "go2")],
                 [("i", [], I), ("go", [], B), ("v", [1, 4])], [("go2", [], B), ("v2", [1, 4])])
    then, other = graph([node("Loop", "n,,obs", "a", body=body)], [],
                        [("a", [1, 4])]), graph([node("Neg", "obs", "b")], [], [("b", [1, 4])])
    return model([*SUM, node("If", "c", "action", then_branch=then, else_branch=other)], [OBS], [ACT], **ZERO,
                 n=np.int64(3), half=np.float32(0.5))


def views_of_outer():
    """Branch outputs that are views of what lies outside, and of what the branch made."""
    then = graph([node("Reshape", "obs flat", "a")], [], [("a", [4])])
    other = graph([node("Slice", "wide from to", "s"), node("Reshape", "s flat", "b")], [], [("b", [4])])
    return model([*SUM,
                  node("Concat", "obs obs", "wide", axis=1), node("If", "c", "y", then_branch=then, else_branch=other),
                  node("Unsqueeze", "y axis", "action")], [OBS], [ACT], **ZERO,
                 flat=np.array([4], np.int64), **{"from": np.array([0, 2], np.int64)}, to=np.array([1, 6], np.int64),
                 axis=np.array([0], np.int64))


def condition_is_one_element():
    """A condition of shape [1, 1], computed from two comparisons."""
    then, other = graph([node("Neg", "obs", "a")], [],
                        [("a", [1, 4])]), graph([node("Abs", "obs", "b")], [], [("b", [1, 4])])
    nodes = [node("ReduceMax", "obs", "top", keepdims=1), node("Greater", "top zero", "p"),
             node("ReduceMin", "obs", "low", keepdims=1), node("Less", "low minus", "q"),
             node("And", "p q", "both"), node("Not", "both", "c"),
             node("If", "c", "action", then_branch=then, else_branch=other)]
    return model(nodes, [OBS], [ACT], **ZERO, minus=np.float32(-0.5))


def reused_memory():
    """Both branches have values of many sizes, and read late what was made early: memory that rows share at different
    places."""
    def chain(tag, sizes):
        nodes, x = [], "h"
        for k, n in enumerate(sizes):
            nodes += [node("MatMul", f"{x} w{tag}{k}", f"m{tag}{k}"), node("Sin", f"m{tag}{k}", f"s{tag}{k}"),
                      node("Cos", f"s{tag}{k}", f"c{tag}{k}")]
            x = f"c{tag}{k}"
        return [*nodes, node("Add", f"{x} early", f"out{tag}")]

    made, outs = {}, []
    for tag, sizes in (("a", (30, 3, 50, 4)), ("b", (2, 70, 4))):
        before = 6
        for k, n in enumerate(sizes):
            made[f"w{tag}{k}"] = weights(k + ord(tag), before, n)
            before = n
        outs.append(graph(chain(tag, sizes), [], [(f"out{tag}", [1, 4])]))
    nodes = [*SUM, node("MatMul", "obs w", "h0"), node("Sin", "h0", "h"), node("Exp", "obs", "early"),
             node("If", "c", "y", then_branch=outs[0], else_branch=outs[1]),
             node("MatMul", "h v", "late"), node("Add", "y late", "action")]
    return model(nodes, [OBS], [ACT], **ZERO, w=weights(1, 4, 6), v=weights(2, 6, 4), **made)


def sequence_branches():
    """Sequences of one length from both branches."""
    then = graph([node("Neg", "obs", "a"), node("SequenceConstruct", "a obs", "s")], [],
                 [helper.make_tensor_sequence_value_info("s", F, None)])
    other = graph([node("Relu", "obs", "b"), node("SequenceConstruct", "obs b", "t")], [],
                  [helper.make_tensor_sequence_value_info("t", F, None)])
    return model([*SUM, node("If", "c", "q", then_branch=then, else_branch=other),
                  node("ConcatFromSequence", "q", "action", axis=1)], [OBS], [("action", [1, 8])], **ZERO)


IFS = [simple_if, torch_cond_mlps, shared_trunk, one_branch_reads_trunk, constant_branches, outer_values,
       several_outputs, nested_if, modes, if_in_loop, loop_in_if, views_of_outer,
       condition_is_one_element, reused_memory, sequence_branches]


def loop(nodes, more=(), trips="", condition="", carried="obs", outputs="action", states=(("v", [1, 4]),), extra=(),
         results=None, **initializers):
    """A loop over `states` whose body ends with go2 and each state with a 2."""
    body = graph(list(nodes), [("i", [], I), ("go", [], B), *states],
                 [("go2", [], B), *[(f"{s[0]}2", *s[1:]) for s in states], *extra])
    return model([*more, node("Loop", f"{trips},{condition},{carried}", outputs.replace(",", " "), body=body)], [OBS],
                 results or [ACT], **ZERO, **initializers)


STEP = [node("Mul", "v half", "v2"), node("ReduceMax", "v2", "top", keepdims=0)]
HALF = {"half": np.float32(0.6), "eps": np.float32(0.3), "one": np.int64(1)}


def while_with_bound():
    """Halve until small, at most 7 times: M constant, condition running."""
    return loop([*STEP, node("Greater", "top eps", "go2")], trips="n", condition="t", n=np.int64(7), t=np.bool_(True),
                **HALF)


def while_from_condition():
    """As jax.lax.while_loop: the first trip has a condition too."""
    return loop([*STEP, node("Greater", "top eps", "go2")],
                [node("ReduceMax", "obs", "first", keepdims=0), node("Greater", "first eps", "c0")], trips="n",
                condition="c0",
                n=np.int64(9), **HALF)


def while_that_counts():
    """No trip count; it counts, and stops early: the count alone bounds it."""
    nodes = [*STEP, node("Add", "k one", "k2"), node("Less", "k2 six", "p"), node("Greater", "top eps", "q"),
             node("And", "p q", "go2")]
    return loop(nodes, trips="", condition="t", carried="obs,k0", outputs="action,count",
                states=(("v", [1, 4]), ("k", [], I)), results=[ACT, ("count", [], I)],
                t=np.bool_(True), k0=np.int64(0), six=np.int64(6), **HALF)


def trips_running_clip():
    """A trip count computed while running, limited by Clip: fori_loop with a bound that is an input."""
    more = [node("ArgMax", "obs", "m", axis=1, keepdims=0), node("Clip", "m nought three", "n")]
    return loop([node("Mul", "v half", "v2"), node("Identity", "go", "go2")], more, trips="n", condition="",
                nought=np.int64(0), three=np.int64(3), **HALF)


def trips_running_and_condition():
    more = [node("ReduceSum", "obs", "m", keepdims=0), node("Abs", "m", "am"), node("Ceil", "am", "cm"),
            node("Cast", "cm", "im", to=I), node("Min", "im five", "n")]
    return loop([*STEP, node("Greater", "top eps", "go2")], more, trips="n", condition="t", t=np.bool_(True),
                five=np.int64(5), **HALF)


def swapped_states():
    """Two carried values change places with each trip."""
    nodes = [node("Identity", "v", "u2"), node("Mul", "u half", "v2"), node("ReduceMax", "v2", "top", keepdims=0),
             node("Greater", "top eps", "go2")]
    more = [node("Abs", "obs", "o2")]
    return loop(nodes, more, trips="n", condition="t", carried="obs,o2", outputs="action,other",
                states=(("v", [1, 4]), ("u", [1, 4])), results=[ACT, ("other", [1, 4])],
                n=np.int64(6), t=np.bool_(True), **HALF)


def loop_if_inside():
    then, other = graph([node("Mul", "v half", "a")], [],
                        [("a", [1, 4])]), graph([node("Sub", "v half", "b")], [], [("b", [1, 4])])
    nodes = [node("ReduceSum", "v", "s", keepdims=0), node("Greater", "s zero", "p"),
             node("If", "p", "v2", then_branch=then, else_branch=other),
             node("ReduceMax", "v2", "top", keepdims=0), node("Greater", "top eps", "go2")]
    return loop(nodes, trips="n", condition="t", n=np.int64(5), t=np.bool_(True), **HALF)


def loop_in_loop():
    inner = graph([node("Mul", "x half", "x2"), node("ReduceMax", "x2", "xt", keepdims=0),
                   node("Greater", "xt eps", "g2")], [("j", [], I), ("g", [], B), ("x", [1, 4])],
                  [("g2", [], B), ("x2", [1, 4])])
    nodes = [node("Loop", "three,t,v", "y", body=inner), node("Add", "y small", "v2"),
             node("ReduceSum", "v2", "s", keepdims=0), node("Greater", "s zero", "go2")]
    return loop(nodes, trips="n", condition="t", n=np.int64(3), three=np.int64(3), t=np.bool_(True),
                small=np.float32(0.05), **HALF)


LOOPS = [while_with_bound, while_from_condition, while_that_counts, trips_running_clip, trips_running_and_condition,
         swapped_states, loop_if_inside, loop_in_loop]
