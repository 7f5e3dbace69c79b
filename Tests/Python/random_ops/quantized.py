"""Quantized operators."""
import numpy as np

from .case import Case, F32


def _points(d, dtype, n=()):
    return d.array(list(n), dtype, -20 if dtype == np.int8 else 100, 20 if dtype == np.int8 else 150)


def quantize(d):
    s = d.shape(1, 4)
    dtype = d.one(np.int8, np.uint8)
    axis = d.int(-len(s), len(s) - 1)
    n = [s[axis]] if d.chance() else []
    scale = d.array(n, F32, 0.01, 0.1)
    return Case("QuantizeLinear", d.one(13, 19),
                [d.array(s, F32, -6, 6), d.const(scale), d.const(_points(d, dtype, n))], axis=axis, quantum=True)


def dequantize(d):
    s = d.shape(1, 4)
    dtype = d.one(np.int8, np.uint8, np.int32)
    axis = d.int(-len(s), len(s) - 1)
    n = [s[axis]] if d.chance() else []
    inputs = [d.array(s, dtype, -128, 255), d.const(d.array(n, F32, 0.01, 0.1))]
    return Case("DequantizeLinear", d.one(13, 19),
                inputs if dtype == np.int32 else [*inputs, d.const(_points(d, dtype, n))], axis=axis)


def integer_product(d):
    b = d.one(np.uint8, np.int8)
    m, k, n = d.int(1, 5), d.int(1, 20), d.int(1, 9)
    # onnxruntime's sums of u8 * i8 saturate, so the weights are small
    x, w = d.array([2, m, k] if d.chance(0.3) else [m, k], np.uint8, 0, 255), d.array([k, n], b, -40, 40)
    op = d.one("MatMulInteger", "QLinearMatMul", "ConvInteger", "QLinearConv", "DynamicQuantizeLinear")
    if op == "DynamicQuantizeLinear":
        return Case(op, 11, [d.array(d.shape(), F32, d.one(-3, 0.5), 3)], outputs=3, quantum=True)
    scale = lambda *n: d.const(d.array(list(n), F32, 0.01, 0.05))
    if op == "MatMulInteger":
        return Case(op, 10, [x, w, d.const(_points(d, np.uint8)), d.const(_points(d, b, [n] if d.chance() else []))])
    if op == "QLinearMatMul":
        per = [n] if d.chance(0.3) else []
        inputs = [x, scale(), d.const(_points(d, np.uint8)), d.const(w), scale(*per),
                  d.const(np.zeros(per, b) if per else _points(d, b)), d.const(np.array(0.7, F32)),
                  d.const(_points(d, np.uint8))]
        return Case(op, 10, inputs, quantum=True)
    x, w = d.array([1, 2, 6, 6], np.uint8, 0, 255), d.array([3, 2, 3, 3], b if op == "QLinearConv" else np.uint8, -40,
                                                            40)
    pads = d.one(None, [1, 1, 1, 1])
    if op == "ConvInteger":
        return Case(op, 10, [x, w, d.const(_points(d, np.uint8)), d.const(_points(d, np.uint8))], pads=pads)
    per = [3] if d.chance() and b == np.int8 else []
    zero = np.zeros(per, b) if per else _points(d, b)
    inputs = [x, scale(), d.const(_points(d, np.uint8)), d.const(w), scale(*per), d.const(zero),
              d.const(np.array(0.9, F32)), d.const(_points(d, np.uint8)), d.const(d.array([3], np.int32, -500, 500))]
    return Case(op, 10, inputs, quantum=True, pads=pads, strides=d.one(None, [2, 2]))
