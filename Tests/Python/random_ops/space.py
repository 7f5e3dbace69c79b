"""Operators over space, and attention."""
import numpy as np

from .case import Case, F32


def _window(d, rank, size, kernel=None):
    kernel = kernel or [d.int(1, 3) for _ in range(rank)]
    more = {"strides": d.one(None, [d.int(1, 3) for _ in range(rank)])}
    auto = d.one(None, None, "SAME_UPPER", "SAME_LOWER", "VALID")
    if auto:
        more["auto_pad"] = auto
    else:
        more["pads"] = d.one(None, [d.int(0, k - 1) for k in kernel * 2])
    return kernel, more


def conv(d):
    rank, groups = d.int(1, 3), d.one(1, 1, 2, 3)
    channels, filters = groups * d.int(1, 3), groups * d.int(1, 6)
    kernel, more = _window(d, rank, 9)
    if "auto_pad" not in more or more["auto_pad"] == "VALID":
        more["dilations"] = d.one(None, [d.int(1, 2) for _ in range(rank)])
    x = d.array([d.int(1, 2), channels] + [d.int(6, 9) for _ in range(rank)])
    w, b = d.array([filters, channels // groups] + kernel), d.array([filters])
    inputs = [x, d.const(w), d.const(b)] if d.chance(0.7) else [x, w]
    return Case("Conv", d.one(9, 11, 22), inputs, group=groups, kernel_shape=d.one(None, kernel), atol=1e-4, **more)


def conv_transpose(d):
    rank, groups = d.int(1, 2), d.one(1, 1, 2)
    channels, filters = groups * d.int(1, 3), d.int(1, 3)
    kernel = [d.int(1, 4) for _ in range(rank)]
    strides = [d.int(1, 3) for _ in range(rank)]
    x = d.array([d.int(1, 2), channels] + [d.int(2, 6) for _ in range(rank)])
    w = d.array([channels, filters] + kernel)
    more = {}
    kind = d.int(0, 3)
    if kind == 0:
        more["pads"] = [d.int(0, (k - 1) // 2) for k in kernel * 2]
    if kind == 1:
        more["auto_pad"] = d.one("SAME_UPPER", "SAME_LOWER", "VALID")
    if kind <= 1 and "pads" in more:
        more["output_padding"] = d.one(None, [d.int(0, s - 1) for s in strides])
        more["dilations"] = d.one(None, [d.int(1, 2) for _ in range(rank)])
    return Case("ConvTranspose", d.one(9, 11), [x, d.const(w), d.const(d.array([filters * groups]))][: d.one(2, 3)],
                group=groups, strides=strides, atol=1e-4, **more)


def pool(d):
    op = d.one("MaxPool", "AveragePool", "LpPool")
    rank = d.int(1, 3)
    kernel, more = _window(d, rank, 9)
    opset = d.one(10, 11, 12) if op == "MaxPool" else d.one(10, 11, 19) if op == "AveragePool" else 18
    if "auto_pad" in more and more["strides"]:  # onnxruntime starts outside where a stride is longer than the window
        more["strides"] = [min(k, s) for k, s in zip(kernel, more["strides"])]
    x = d.array([d.int(1, 2), d.int(1, 3)] + [d.int(5, 9) for _ in range(rank)])
    if "auto_pad" not in more:
        more["ceil_mode"] = d.int(0, 1)
    if op == "MaxPool" and "auto_pad" not in more:
        more["dilations"] = d.one(None, [d.int(1, 2) for _ in range(rank)])
    if op == "AveragePool":
        more["count_include_pad"] = d.int(0, 1)
    if op == "LpPool":
        more["p"] = d.one(1, 2, 3)
    return Case(op, opset, [x], outputs=d.one(1, 2) if op == "MaxPool" else 1, kernel_shape=kernel, **more)


def global_pool(d):
    return Case(d.one("GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool"), 9,
                [d.array([2, 3] + [d.int(1, 5) for _ in range(d.int(1, 3))])])


def resize(d):
    rank = d.int(1, 2)
    s = [d.int(1, 2), d.int(1, 2)] + [d.int(2, 7) for _ in range(rank)]
    mode = d.one("nearest", "linear", "cubic") if rank == 2 else d.one("nearest", "linear")
    coordinate = d.one("half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel", "half_pixel_symmetric")
    opset = 19 if coordinate == "half_pixel_symmetric" else d.one(11, 13, 18, 19)
    more = {"mode": mode, "coordinate_transformation_mode": coordinate}
    if mode == "nearest":
        more["nearest_mode"] = d.one("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")
    if mode == "cubic":
        more["cubic_coeff_a"] = d.one(None, -0.5)
        more["exclude_outside"] = d.int(0, 1)
    if mode != "nearest" and opset >= 18 and coordinate in ("half_pixel",
                                                            "pytorch_half_pixel") and rank == 2 and d.chance(0.3):
        more["antialias"] = 1
    x = d.array(s)
    roi = d.const(np.zeros(0, F32))
    if d.chance():
        scales = [1.0, 1.0] + [d.one(0.5, 0.6, 1.0, 1.5, 2.0, 3.0) for _ in range(rank)]
        return Case("Resize", opset, [x, roi, d.const(np.array(scales, F32))], atol=1e-4, **more)
    sizes = s[:2] + [d.int(1, 12) for _ in range(rank)]
    return Case("Resize", opset, [x, roi, d.const(np.zeros(0, F32)) if opset == 11 else None, d.longs(sizes)],
                atol=1e-4, **more)


def old_resize(d):
    s = [1, d.int(1, 2), d.int(2, 6), d.int(2, 6)]
    scales = [1.0, 1.0, d.one(1.0, 2.0, 3.0), d.one(1.0, 1.5, 2.0)]
    if d.chance(0.3):
        return Case("Upsample", 8, [d.array(s)], scales=scales, mode=d.one("nearest", "linear"))
    if d.chance():
        return Case("Upsample", 9, [d.array(s), d.const(np.array(scales, F32))], mode=d.one("nearest", "linear"))
    scales[2] = d.one(0.5, 2.0)
    return Case("Resize", 10, [d.array(s), d.const(np.array(scales, F32))], mode=d.one("nearest", "linear"))


def grid_sample(d):
    opset = d.one(16, 20)
    rank = 2 if opset == 16 else d.one(2, 2, 3)
    mode = (
        d.one("bilinear", "nearest", "bicubic")
        if opset == 16
        else d.one("linear", "nearest", "cubic")
        if rank == 2
        else d.one("linear", "nearest")
    )
    n = d.int(1, 2)
    x, grid = (
        d.array([n, d.int(1, 3)] + [d.int(2, 5) for _ in range(rank)]),
        d.array([n] + [d.int(1, 4) for _ in range(rank)] + [rank], F32, -1.4, 1.4),
    )
    return Case("GridSample", opset, [x, grid], mode=mode, padding_mode=d.one("zeros", "border", "reflection"),
                align_corners=d.int(0, 1), atol=1e-3)


def attention(d):
    batch, kv, lq, lk, dk, dv = d.int(1, 2), d.int(1, 2), d.int(1, 4), d.int(1, 5), 2 * d.int(1, 4), d.int(1, 5)
    heads = kv * d.int(1, 3)
    packed = d.chance()
    def draw(h, n, size):
        return d.array([batch, n, h * size] if packed else [batch, h, n, size], F32, -1, 1)
    inputs = [draw(heads, lq, dk), draw(kv, lk, dk), draw(kv, lk, dv)]
    mask = d.one(None, np.bool_, F32)
    if mask is not None:
        m = d.array(d.one([lq, lk], [1, 1, lq, lk], [batch, heads, lq, lk]), mask)
        if mask == np.bool_:
            m[..., 0] = True
        inputs.append(m)
    more = {"q_num_heads": heads, "kv_num_heads": kv} if packed else {}
    return Case("Attention", d.one(23, 24), inputs, is_causal=d.int(0, 1), softcap=d.one(None, 2.0),
                scale=d.one(None, 0.3), atol=1e-4, **more)
