"""Operators that move elements."""
import numpy as np

from .case import Case, F16, F32


def reshape(d):
    s = d.shape(2, 4, 4)
    total = int(np.prod(s))
    target = d.one([-1], [total], [0, -1], [1, -1, 1], [s[0], -1], [total, 1], s[::-1])
    return Case("Reshape", d.one(9, 13, 14, 19),
                [d.array(s, d.one(F32, np.int64, np.uint8, np.bool_)), d.longs(target)])


def reshape_zero(d):
    return Case("Reshape", 14, [d.array([0, 3, 4]), d.longs(d.one([3, 4, 0], [0, 7], [12, 0]))], allowzero=1)


def transpose(d):
    s = d.shape(1, 6, 4)
    return Case("Transpose", 13, [d.array(s, d.one(F32, F16, np.uint8, np.int64))],
                perm=d.one(None, [int(i) for i in d.rng.permutation(len(s))]))


def squeeze(d):
    s = d.shape(1, 4)
    at = d.int(0, len(s))
    s.insert(at, 1)
    axis = at - d.one(0, len(s))
    if d.chance():
        return Case("Squeeze", d.one(13, 21), [d.array(s), d.longs([axis])])
    return Case("Squeeze", 11, [d.array(s)], axes=[axis])


def unsqueeze(d):
    s = d.shape(0, 3)
    axes = d.one([0], [-1], [0, -1], [len(s)], [len(s) + 1, 0])
    if d.chance():
        return Case("Unsqueeze", 13, [d.array(s), d.longs(axes)])
    return Case("Unsqueeze", 11, [d.array(s)], axes=axes)


def slice_(d):
    s = d.shape(1, 4, 8)
    axes = sorted(d.rng.choice(len(s), d.int(1, len(s)), replace=False).tolist())
    big = 2**63 - 1
    starts = [d.one(0, 1, -1, -3, 2, big, -big, 100) for _ in axes]
    ends = [d.one(0, 1, -1, 5, big, -big, -big - 1, -2, 100) for _ in axes]
    steps = [d.one(1, 1, 2, 3, -1, -2, big, -big) for _ in axes]
    given = [a - d.one(0, len(s)) for a in axes]
    if d.chance(0.2):
        return Case("Slice", 9, [d.array(s)], starts=starts, ends=ends, axes=axes)
    x = d.array(s, d.one(F32, np.int64, np.bool_))
    if d.chance(0.2):
        return Case("Slice", 13, [x, d.longs(starts), d.longs(ends), d.longs(given)])
    return Case("Slice", d.one(10, 11, 13), [x, d.longs(starts), d.longs(ends), d.longs(given), d.longs(steps)])


def split(d):
    s = d.shape(1, 3, 7)
    axis = d.int(-len(s), len(s) - 1)
    n = s[axis]
    if d.chance():
        parts = d.one(*[p for p in range(1, n + 1) if -(-n // p) * (p - 1) < n])  # no part is empty
        return Case("Split", 18, [d.array(s)], outputs=parts, axis=axis, num_outputs=parts)
    cut = d.int(0, n)
    sizes = [cut, n - cut]
    if d.chance(0.3):
        return Case("Split", 11, [d.array(s)], outputs=2, axis=axis, split=sizes)
    return Case("Split", d.one(13, 18), [d.array(s), d.longs(sizes)], outputs=2, axis=axis)


def concat(d):
    s = d.shape(1, 4)
    axis = d.int(-len(s), len(s) - 1)
    dtype = d.one(F32, np.int64, np.bool_, F16)
    parts = []
    for _ in range(d.int(1, 4)):
        t = list(s)
        t[axis] = d.int(0 if d.chance(0.1) else 1, 4)
        x = d.array(t, dtype)
        parts.append(d.const(x) if parts and d.chance(0.3) else x)
    return Case("Concat", 13, parts, axis=axis)


def expand(d):
    s = [n if d.chance(0.6) else 1 for n in d.shape(1, 4)]
    target = [n if n > 1 else d.int(1, 4) for n in s]
    target = [d.int(1, 3) for _ in range(d.int(0, 2))] + [t if d.chance(0.7) else 1 for t in target]
    return Case("Expand", 13, [d.array(s, d.one(F32, np.int64, np.bool_)), d.longs(target)])


def tile(d):
    s = d.shape(1, 4, 4)
    return Case("Tile", 13, [d.array(s), d.longs([d.int(0 if d.chance(0.1) else 1, 3) for _ in s])])


def pad(d):
    s = d.shape(1, 4, 6)
    mode = d.one("constant", "constant", "edge", "reflect", "wrap")
    low = 0 if mode in ("reflect", "wrap") else -1
    most = min(s) - 1 if mode == "reflect" else 3
    pads = [d.int(low, max(most, 0)) if min(s) > 2 else d.int(0, max(0, most)) for _ in range(2 * len(s))]
    opset = 19 if mode == "wrap" else d.one(9, 11, 13, 18)
    if opset == 9:
        return Case("Pad", 9, [d.array(s)], pads=[max(p, 0) for p in pads], mode=mode,
                    value=d.one(None, 1.5) if mode == "constant" else None)
    value = d.one(None, d.const(np.array(2.5, F32))) if mode == "constant" else None
    inputs = [d.array(s), d.longs(pads), value]
    if opset >= 18 and d.chance():
        axis = d.int(-len(s), len(s) - 1)
        inputs = [d.array(s), d.longs([pads[axis], pads[len(s) + axis if axis >= 0 else axis]]), value, d.longs([axis])]
    return Case("Pad", opset, inputs if len(inputs) > 3 or value else inputs[:2], mode=mode)


def depth(d):
    b = d.int(1, 3)
    if d.chance():
        return Case("SpaceToDepth", 13, [d.array([d.int(1, 2), d.int(1, 3), b * d.int(1, 3), b * d.int(1, 3)])],
                    blocksize=b)
    return Case("DepthToSpace", 13, [d.array([d.int(1, 2), b * b * d.int(1, 3), d.int(1, 3), d.int(1, 3)])],
                blocksize=b, mode=d.one("DCR", "CRD"))


def flatten(d):
    s = d.shape(1, 4)
    return Case("Flatten", 13, [d.array(s)], axis=d.int(-len(s), len(s)))


def trilu(d):
    x = d.array(d.shape(2, 4), d.one(F32, np.int64))
    k = d.one(None, d.const(np.array(d.int(-3, 3), np.int64)))
    return Case("Trilu", 14, [x, k] if k else [x], upper=d.int(0, 1))


def gather(d):
    s = d.shape(1, 4)
    axis = d.int(-len(s), len(s) - 1)
    i = d.array(d.shape(0, 2, 3), d.one(np.int64, np.int32), -s[axis], s[axis] - 1)
    return Case("Gather", d.one(11, 13), [d.array(s, d.one(F32, np.int64, np.uint8)), d.const(i) if d.chance() else i],
                axis=axis)


def gather_elements(d):
    s = d.shape(1, 4)
    axis = d.int(-len(s), len(s) - 1)
    t = [d.int(1, n) for n in s]
    t[axis] = d.int(1, 5)
    return Case("GatherElements", 13, [d.array(s), d.array(t, np.int64, -s[axis], s[axis] - 1)], axis=axis)


def gather_nd(d):
    s = d.shape(2, 4)
    batch = d.int(0, len(s) - 1)
    depth_ = d.int(1, len(s) - batch)
    i = np.stack([d.array(s[:batch] + [3], np.int64, -s[batch + k], s[batch + k] - 1) for k in range(depth_)], -1)
    return Case("GatherND", 13, [d.array(s), i], batch_dims=batch)


def scatter_elements(d):
    s = d.shape(1, 3)
    axis = d.int(-len(s), len(s) - 1)
    t = [d.int(1, n) for n in s]
    i = np.argsort(d.rng.random(s), axis)[tuple(slice(0, n) for n in t)].astype(np.int64)
    reduction = d.one(None, "add", "mul", "max", "min")
    return Case("ScatterElements", 18 if reduction else 13, [d.array(s), i, d.array(t)], axis=axis, reduction=reduction)


def scatter_nd(d):
    s = d.shape(2, 3)
    n = d.int(1, s[0])
    i = d.rng.permutation(s[0])[:n].reshape(n, 1).astype(np.int64)
    reduction = d.one(None, "add", "mul", "max", "min")
    return Case("ScatterND", 18 if reduction else 13,
                [d.array(s), d.const(i) if d.chance() else i, d.array([n] + s[1:])], reduction=reduction)


def one_hot(d):
    i = d.array(d.shape(1, 3), np.int64, -4, 4)
    return Case("OneHot", 11, [i, d.const(np.array(5, np.int64)), d.const(np.array([0, 1], d.one(F32, np.int64)))],
                axis=d.int(-i.ndim - 1, i.ndim))


def top_k(d):
    s = d.shape(1, 3, 8)
    axis = d.int(-len(s), len(s) - 1)
    return Case("TopK", 11, [d.array(s, d.one(F32, np.int64), -50, 50), d.longs([d.int(1, s[axis])])], outputs=2,
                axis=axis, largest=d.int(0, 1))


def reverse_sequence(d):
    s = d.shape(2, 4)
    time = d.int(0, 1)
    return Case("ReverseSequence", 10, [d.array(s), d.array([s[1 - time]], np.int64, 1, s[time])], time_axis=time,
                batch_axis=1 - time)
