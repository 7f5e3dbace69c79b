"""Operators along axes: reductions, norms, recurrence, products."""
import numpy as np

from .case import Case, F32, F64


def reduce(d):
    op = d.one("Sum", "Mean", "Max", "Min", "Prod", "L1", "L2", "LogSum", "LogSumExp", "SumSquare")
    s = d.shape(1, 4)
    axes = [int(a) - d.one(0, len(s)) for a in d.rng.choice(len(s), d.int(1, len(s)), replace=False)]
    x = d.array(s, F32, *((0.1, 3) if op == "LogSum" else (-3, 3)))
    if op in ("Sum", "Max", "Min") and d.chance(0.3):
        x = d.array(s, d.one(np.int64, np.int32), -9, 9)
    more = {"keepdims": d.one(None, 0, 1)}
    if d.chance(0.3):
        return Case(f"Reduce{op}", d.one(11, 13), [x], **more,
                    rtol=1e-4) if d.chance() else Case(f"Reduce{op}", 18, [x, d.longs([])], noop_with_empty_axes=0,
                                                       **more)
    if d.chance() or op == "Sum":
        return Case(f"Reduce{op}", 18 if op != "Sum" else 13, [x, d.longs(axes)], **more, rtol=1e-4)
    return Case(f"Reduce{op}", d.one(11, 13), [x], axes=axes, **more, rtol=1e-4)


def arg(d):
    s = d.shape(1, 4)
    x = d.array(s, d.one(F32, np.int32), -3, 3)
    return Case(d.one("ArgMax", "ArgMin"), 13, [x], axis=d.int(-len(s), len(s) - 1), keepdims=d.int(0, 1),
                select_last_index=d.int(0, 1))


def softmax(d):
    s = d.shape(1, 4)
    x = d.array(s, F32, -8, 8)
    return Case(d.one("Softmax", "LogSoftmax", "Hardmax"), d.one(9, 11, 13), [x], axis=d.int(0, len(s) - 1))


def cum_sum(d):
    s = d.shape(1, 4)
    return Case("CumSum", 14,
                [d.array(s, d.one(F32, np.int64)), d.const(np.array(d.int(-len(s), len(s) - 1), np.int64))],
                exclusive=d.int(0, 1), reverse=d.int(0, 1))


def matmul(d):
    k = d.int(1, 20)
    batch = d.shape(0, 2, 3)
    a, b = batch + [d.int(1, 9), k], [n if d.chance() else 1 for n in batch][d.int(0, len(batch)) :] + [k, d.int(1, 40)]
    if d.chance(0.2):
        a = [k]
    if d.chance(0.2):
        b = [k]
    dtype = d.one(F32, F32, F32, F64, np.int32)
    x, w = d.array(a, dtype), d.array(b, dtype)
    return Case("MatMul", 13, [x, d.const(w) if d.chance() else w], atol=1e-4)


def gemm(d):
    m, k, n = d.int(1, 7), d.int(1, 30), d.int(1, 40)
    ta, tb = d.int(0, 1), d.int(0, 1)
    c = d.array(d.one([n], [m, n], [1, n], [m, 1], [1], []))
    w = d.array([n, k] if tb else [k, n])
    inputs = [d.array([k, m] if ta else [m, k]), d.const(w) if d.chance(0.7) else w, d.const(c) if d.chance(0.7) else c]
    opset = d.one(9, 11, 13)
    return Case("Gemm", opset, inputs[: d.one(2, 3) if opset > 9 else 3], transA=ta, transB=tb, alpha=d.one(None, 0.5),
                beta=d.one(None, 2.0, 0.0), atol=1e-4)


def einsum(d):
    a, b, c, e = (d.int(1, 4) for _ in range(4))
    sizes = {"a": a, "b": b, "c": c, "e": e}
    equation = d.one("ab,bc->ac", "ab,cb->ac", "abc,ce->abe", "abc,abe->ace", "ab->ba", "ab->a", "abc->", "ab,ab->ab",
                     "ab,ab->", "a,b->ab", "abc,bc->ab",
                     "...ab,...bc->...ac", "ab->b", "abce,abe->abc", "ab,bc,ce->ae", "ab,bc", "bca->abc")
    inputs = [d.array(([2] if "..." in t else []) + [sizes[k] for k in t.replace("...", "")])
              for t in equation.split("->")[0].split(",")]
    return Case("Einsum", 12, inputs, equation=equation, atol=1e-4)


def batch_norm(d):
    s = [d.int(1, 3), d.int(1, 4)] + [d.int(1, 4) for _ in range(d.int(0, 3))]
    c = s[1]
    parts = [d.array([c]), d.array([c]), d.array([c]), d.array([c], F32, 0.2, 2)]
    return Case("BatchNormalization", d.one(9, 14, 15), [d.array(s)] + [d.const(p) for p in parts],
                epsilon=d.one(None, 1e-3))


def layer_norm(d):
    s = d.shape(1, 4)
    axis = d.int(-len(s), len(s) - 1)
    inner = s[axis if axis >= 0 else len(s) + axis :]
    return Case("LayerNormalization", 17, [d.array(s), d.const(d.array(inner)), d.const(d.array(inner))][: d.one(2, 3)],
                axis=axis, epsilon=d.one(None, 1e-3), atol=1e-4)


def other_norm(d):
    s = [d.int(1, 2), 4] + [d.int(2, 4) for _ in range(d.int(1, 3))]
    op = d.one("InstanceNormalization", "GroupNormalization", "LpNormalization", "LRN", "MeanVarianceNormalization")
    x = d.array(s)
    if op == "LpNormalization":
        return Case(op, 9, [x], axis=d.int(-len(s), len(s) - 1), p=d.one(1, 2))
    if op == "LRN":
        return Case(op, 13, [d.array(s[:2] + [3, 3])], size=d.one(1, 3, 5), alpha=d.one(None, 0.1),
                    beta=d.one(None, 0.5), bias=d.one(None, 2.0))
    if op == "MeanVarianceNormalization":
        return Case(op, 13, [d.array([2, 4, 3, 3])], atol=1e-4)
    if op == "GroupNormalization":
        opset, groups = d.one(18, 21), d.one(1, 2, 4)
        n = groups if opset == 18 else 4
        return Case(op, opset, [x, d.const(d.array([n])), d.const(d.array([n]))], num_groups=groups, atol=1e-4)
    return Case(op, 9, [x, d.const(d.array([4])), d.const(d.array([4]))], atol=1e-4)


def recurrent(d):
    op = d.one("LSTM", "GRU", "RNN")
    gates = {"LSTM": 4, "GRU": 3, "RNN": 1}[op]
    direction = d.one("forward", "reverse", "bidirectional")
    dirs = 2 if direction == "bidirectional" else 1
    time, batch, size, hidden = d.int(1, 4), d.int(1, 3), d.int(1, 9), d.int(1, 12)
    x = d.array([time, batch, size])
    w, r = d.array([dirs, gates * hidden, size], F32, -1, 1), d.array([dirs, gates * hidden, hidden], F32, -1, 1)
    inputs = [x, d.const(w), d.const(r)]
    inputs.append(d.const(d.array([dirs, 2 * gates * hidden], F32, -1, 1)) if d.chance(0.7) else None)
    inputs.append(d.array([batch], np.int32, 1, time) if d.chance(0.2) else None)
    inputs.append(d.array([dirs, batch, hidden]) if d.chance() else None)
    if op == "LSTM":
        inputs.append(d.array([dirs, batch, hidden]) if d.chance() else None)
        inputs.append(d.const(d.array([dirs, 3 * hidden])) if d.chance(0.2) else None)
    more = {"linear_before_reset": d.int(0, 1)} if op == "GRU" else {}
    if d.chance(0.2):
        names = {"LSTM": ["HardSigmoid", "Relu", "Softsign"], "GRU": ["HardSigmoid", "Elu"], "RNN": ["Relu"]}[op]
        more["activations"] = names * dirs
    if d.chance(0.2):
        more["clip"] = 0.7
    return Case(op, d.one(9, 14), inputs, outputs=3 if op == "LSTM" else 2, hidden_size=hidden, direction=direction,
                atol=1e-4, **more)
