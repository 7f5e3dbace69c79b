"""Elementwise operators."""
import numpy as np
from onnx import helper

from .case import Case, F16, F32, F64


def unary(d):
    op = d.one("Relu", "Tanh", "Sigmoid", "Exp", "Neg", "Abs", "Sign", "Floor", "Ceil", "Round", "Sqrt", "Erf",
               "Softplus", "Softsign", "Sin", "Cos", "Tan",
               "Atan", "Asinh", "Reciprocal", "HardSwish", "Mish", "Elu", "Selu", "Celu", "LeakyRelu",
               "ThresholdedRelu", "HardSigmoid", "Gelu", "IsNaN", "IsInf")
    opset = {"HardSwish": 14, "Mish": 18, "Gelu": 20, "IsNaN": 13, "IsInf": 10, "Round": 11,
             "Celu": 12}.get(op, d.one(9, 13, 17))
    dtype = F32 if op in ("Mish", "Celu", "Gelu", "HardSwish", "IsInf", "Asinh", "Atan", "Tan", "Softsign", "Erf",
                          "ThresholdedRelu",
                          "HardSigmoid") else d.one(F32, F32,
                                                    F64 if op not in ("Selu", "Elu", "LeakyRelu", "Softplus", "Round")
                                                    else F32)
    x = d.array(d.shape(), dtype, *((0.1, 4) if op in ("Sqrt", "Reciprocal") else (-4, 4)))
    if op in ("IsNaN", "IsInf"):
        x.flat[0] = d.one(np.nan, np.inf, -np.inf, 1)
    if op in ("Neg", "Abs", "Sign") and d.chance(0.3):
        x = d.array(d.shape(), d.one(np.int8, np.int32, np.int64), -100, 100)
    alpha = d.one(None, 0.5, 1.5) if op in ("Elu", "Selu", "Celu", "LeakyRelu", "ThresholdedRelu",
                                            "HardSigmoid") else None
    more = {"approximate": d.one("none", "tanh")} if op == "Gelu" else {}
    return Case(op, opset, [x], alpha=alpha, **more)


def binary(d):
    op = d.one("Add", "Sub", "Mul", "Div", "Pow", "Min", "Max", "Mod", "PRelu", "Greater", "Less", "Equal",
               "GreaterOrEqual", "And", "Or", "Xor", "Where",
               "BitShift", "Sum", "Mean")
    s = d.shape(1, 4)
    t = [n if d.chance(0.7) else 1 for n in s][d.int(0, len(s)) :]
    if op != "PRelu" and d.chance(0.3):
        s, t = [n if d.chance(0.7) else 1 for n in s], s
    dtype = d.one(F32, F32, F64, np.int64, np.int32) if op not in ("Mean", "PRelu") else F32
    if op in ("And", "Or", "Xor"):
        dtype = np.bool_
    if op == "BitShift":
        a, b = d.array(s, np.uint8, 0, 255), d.array(t, np.uint8, 0, 7)
        return Case(op, 11, [a, b], direction=d.one("LEFT", "RIGHT"))
    a, b = d.array(s, dtype, -9, 9), d.array(t, dtype, -9, 9)
    if op == "Pow":
        a, b = d.array(s, F32, 0.1, 3), d.array(t, d.one(F32, np.int64), -2, 3)
        return Case(op, 13, [a, d.const(b) if d.chance() else b])
    if op in ("Div", "Mod") and dtype not in (F32, F64):
        b = np.where(b == 0, 3, b).astype(dtype)
    if op == "Mod":
        fmod = int(dtype in (F32, F64) or d.chance())
        return Case(op, 13, [a, b], fmod=fmod)
    if op == "Where":
        return Case(op, 16, [d.array(d.one(s, t), np.bool_), a, b])
    if op in ("Sum", "Mean"):
        return Case(op, 13, [a.astype(F32), b.astype(F32), a.astype(F32)])
    return Case(op, 16 if op != "Equal" else d.one(11, 13), [a, d.const(b) if d.chance(0.3) else b])


def clip(d):
    dtype = d.one(F32, F32, F64, np.int32, np.int64)
    opset = d.one(9, 12, 13)
    if opset == 9:
        return Case("Clip", 9, [d.array(d.shape(), F32)], min=d.one(None, -1.0), max=d.one(None, 1.0))
    bounds = [np.array(v, dtype) for v in (-1, 2)]
    bounds = [None if d.chance(0.2) else d.const(b) if d.chance() else b for b in bounds]
    return Case("Clip", opset,
                [d.array(d.shape(), dtype)] + (bounds if bounds[1] is not None else bounds[:1] if bounds[0] is not None
                                               else []))


def cast(d):
    types = [F32, F64, F16, np.int8, np.uint8, np.int32, np.int64, np.bool_]
    x = d.array(d.shape(), d.one(*types), 0, 90)
    return Case("Cast", d.one(9, 13, 19), [x], to=helper.np_dtype_to_tensor_dtype(np.dtype(d.one(*types))))
