"""Operators of com.microsoft, as onnxruntime's optimizer and quantizer write them."""
import numpy as np

from .case import Case, F16, F32, F64

MS = dict(opset=17, domain="com.microsoft")
# onnxruntime's sums of u8 times i8 saturate on processors without VNNI where both are large (its quantizer has
# reduce_range for that),
# so weights that meet u8 stay below 64
SMALL = 60


def _optional(d, make):
    return make() if d.chance() else None


def _floats(d):
    return d.one(F32, F32, F64, F16)


def _half(t):
    return dict(atol=4e-3, rtol=4e-3) if t == F16 else {}


def gelu(d):
    t, s = _floats(d), d.shape()
    op = d.one("Gelu", "BiasGelu", "FastGelu", "QuickGelu")
    inputs = [d.array(s, t, -6, 6)]
    if op == "BiasGelu" or op == "FastGelu" and d.chance():
        inputs.append(d.const(d.array(s[-1:], t)))
    return Case(op, inputs=inputs, alpha=d.one(None, 0.5, 1.0, 1.7) if op == "QuickGelu" else None, **MS, **_half(t))


def fused_matmul(d):
    t = d.one(F32, F32, F64)
    m, k, n = d.int(1, 6), d.int(1, 9), d.int(1, 7)
    batch = d.shape(0, 2, 3)
    flags = {f"trans{x}": int(d.chance()) for x in ("A", "B", "BatchA", "BatchB")}
    if not batch:
        flags["transBatchA"] = flags["transBatchB"] = 0

    def factor(rows, columns, swap, move):
        rows, columns = (columns, rows) if swap else (rows, columns)
        # transBatch: the first dimension of the matrix leads, the batch is behind it
        return [rows, *batch, columns] if move else [*batch, rows, columns]

    a = factor(m, k, flags["transA"], flags["transBatchA"])
    b = factor(k, n, flags["transB"], flags["transBatchB"])
    b = d.array(b, t)
    return Case("FusedMatMul", inputs=[d.array(a, t), d.const(b) if d.chance() else b], alpha=d.one(None, 0.25, -2.0),
                **flags, **MS)


ACTIVATIONS = {
    "Relu": [], "Tanh": [], "Sigmoid": [], "LeakyRelu": [0.2], "HardSigmoid": [0.3, 0.4], "Clip": [-0.5, 0.75],
}


def fused_gemm(d):
    m, k, n = d.int(1, 6), d.int(1, 9), d.int(1, 7)
    trans_a, trans_b = int(d.chance()), int(d.chance())
    name = d.one(*[a for a in ACTIVATIONS if a != "Clip"], "Elu", "Softplus", "Softsign", "ThresholdedRelu", "Celu")
    params = ACTIVATIONS.get(name, [0.7] if name in ("Elu", "ThresholdedRelu", "Celu") else [])
    w = d.array([n, k] if trans_b else [k, n])
    c = _optional(d, lambda: d.const(d.array(d.one([n], [1, n], [m, n], [1]))))
    return Case("FusedGemm", inputs=[d.array([k, m] if trans_a else [m, k]), d.const(w), c], transA=trans_a,
                transB=trans_b, activation=name,
                alpha=d.one(None, 0.5), beta=d.one(None, 1.5), activation_alpha=params[0] if params else None,
                activation_beta=params[1] if len(params) > 1 else None, **MS)


def fused_conv(d):
    groups = d.one(1, 1, 2)
    channels, out = groups * d.int(1, 3), groups * d.int(1, 3)
    rank = d.one(1, 2, 2)
    kernel, stride = [d.int(1, 3) for _ in range(rank)], [d.int(1, 2) for _ in range(rank)]
    pads = [d.int(0, 1) for _ in range(2 * rank)]
    space = [d.int(4, 8) for _ in range(rank)]
    batch = d.int(1, 2)
    to = [(s + pads[i] + pads[rank + i] - kernel[i]) // stride[i] + 1 for i, s in enumerate(space)]
    name = d.one(*ACTIVATIONS)
    bias = _optional(d, lambda: d.const(d.array([out])))
    z = _optional(d, lambda: d.array([batch, out, *to])) if bias else None
    return Case("FusedConv",
                inputs=[d.array([batch, channels, *space]), d.const(d.array([out, channels // groups, *kernel])), bias,
                        z],
                group=groups, kernel_shape=kernel, strides=stride, pads=pads, activation=name,
                activation_params=ACTIVATIONS[name] or None, **MS)


def skip_norm(d):
    t = d.one(F32, F32, F16)
    batch, length, size = d.int(1, 3), d.int(1, 5), d.int(2, 12)
    rms = d.chance()
    s = [batch, length, size]
    vector = lambda: d.const(d.array([size], t))
    inputs = [d.array(s, t), d.array(s if rms else d.one(s, [1, length, size], [length, size]), t), vector()]
    inputs += [_optional(d, vector)] if rms else [_optional(d, vector), _optional(d, vector)]
    return Case("SkipSimplifiedLayerNormalization" if rms else "SkipLayerNormalization", inputs=inputs,
                outputs=d.one([1], [1, 0, 0, 1]),
                epsilon=d.one(None, 1e-5, 1e-2), **MS, **(dict(atol=2e-2, rtol=2e-2) if t == F16 else {}))


def simple_norm(d):
    s = d.shape(2, 4)
    axis = d.int(1, len(s) - 1)
    return Case("SimplifiedLayerNormalization", 17, [d.array(s), d.const(d.array(s[axis:]))], outputs=d.one(1, 2),
                axis=axis, epsilon=d.one(1e-5, 1e-2))


def embed_norm(d):
    batch, length, size, words = d.int(1, 3), d.int(1, 6), d.int(2, 12), d.int(3, 20)
    table = lambda n: d.const(d.array([n, size]))
    ids = lambda n: d.array([batch, length], np.int32, 0, n - 1)
    segments = d.chance()
    inputs = [ids(words), ids(2) if segments else None, table(words), table(8), table(2) if segments else None,
              d.const(d.array([size])), d.const(d.array([size])), _optional(d, lambda: ids(2)),
              _optional(d, lambda: ids(8))]
    return Case("EmbedLayerNormalization", inputs=inputs, outputs=d.one([1, 1], [1, 1, 1]), epsilon=d.one(None, 1e-5),
                **MS)


def _mask(d, batch, length, total, forms=("end", "range", "raw", "full")):
    form = d.one(*forms)
    if form == "end":
        return d.array([batch], np.int32, 1, total)
    if form == "range":
        return np.concatenate([d.array([batch], np.int32, total // 2 + 1, total),
                               d.array([batch], np.int32, 0, total // 2)])
    mask = d.array([batch, total] if form == "raw" else [batch, length, total], np.int32, 0, 1)
    mask[..., 0] = 1
    return mask


def attention(d):
    batch, length, heads, size, width = d.int(1, 2), d.int(1, 5), d.int(1, 3), d.int(1, 6), d.int(2, 8)
    past = d.int(1, 4) if d.chance(0.4) else 0
    hidden = heads * size
    values = heads * d.int(1, 6) if not past and d.chance(0.4) else hidden
    total = past + length
    inputs = [d.array([batch, length, width], F32, -1, 1), d.const(d.array([width, 2 * hidden + values], F32, -1, 1)),
              d.const(d.array([2 * hidden + values])),
              _optional(d, lambda: _mask(d, batch, length, total)),
              d.array([2, batch, heads, past, size]) if past else None,
              None if past else _optional(d, lambda: d.array([d.one(1, batch), d.one(1, heads), length, total]))]
    return Case("Attention", inputs=inputs, outputs=2 if past else 1, num_heads=heads, unidirectional=d.one(None, 0, 1),
                scale=d.one(None, 0.3),
                mask_filter_value=d.one(None, -50.0),
                qkv_hidden_sizes=[hidden, hidden, values] if values != hidden else None, **MS)


def multi_head_attention(d):
    batch, length, heads, size = d.int(1, 2), d.int(1, 5), d.int(1, 3), d.int(1, 6)
    hidden = heads * size
    cross = d.chance(0.3)
    past = d.int(1, 4) if not cross and d.chance(0.4) else 0
    causal = d.one(None, 0, 1)
    # with more keys than queries onnxruntime's last query sees all of them; Efferent refuses that
    keys = length if past or causal else d.int(1, 6)
    values = size if past or cross else d.int(1, 6)
    total = past + keys
    state = lambda n, of: d.array([batch, heads, n, of])
    kv = [state(keys, size), state(keys, values)] if cross else [d.array([batch, keys, hidden]),
                                                                 d.array([batch, keys, heads * values])]
    bias = None if cross else _optional(d, lambda: d.const(d.array([2 * hidden + heads * values])))
    inputs = [d.array([batch, length, hidden]), *kv, bias,
              _optional(d, lambda: _mask(d, batch, length, total, ("raw", "full"))),
              _optional(d, lambda: d.array([d.one(1, batch), d.one(1, heads), length, total])),
              state(past, size) if past else None, state(past, values) if past else None]
    return Case("MultiHeadAttention", inputs=inputs, outputs=1 if cross or not past else 3, num_heads=heads,
                unidirectional=causal,
                scale=d.one(None, 0.3), mask_filter_value=d.one(None, -50.0), **MS)


def rotary(d):
    batch, length, heads = d.int(1, 2), d.int(1, 5), d.int(1, 3)
    size = 2 * d.int(1, 6)
    packed = d.chance(0.6)
    part = 2 * d.int(1, size // 2) if d.chance(0.4) else 0
    half = (part or size) // 2
    table = d.array([12, half], F32, -1, 1), d.array([12, half], F32, -1, 1)
    x = d.array([batch, length, heads * size] if packed else [batch, heads, length, size])
    ids = d.array([1], np.int64, 0, 6) if d.chance(0.3) else d.array([batch, length], np.int64, 0, 11)
    return Case("RotaryEmbedding", inputs=[x, ids, d.const(table[0]), d.const(table[1])], interleaved=d.one(None, 0, 1),
                num_heads=heads if part else d.one(None, heads) if packed else None, rotary_embedding_dim=part or None,
                **MS)


# ---- integers ----


def _type(d):
    return d.one(np.uint8, np.int8)


def _bytes(d, shape, t, small=False):
    low, high = (-SMALL, SMALL) if t == np.int8 else (128 - SMALL, 128 + SMALL)
    return d.array(shape, t, *((low, high) if small else (-128, 255)))


def _zero(d, t, n=()):
    return d.const(d.array(list(n), t, -20 if t == np.int8 else 100, 20 if t == np.int8 else 150))


def _scale(d, *n, low=0.01, high=0.05):
    return d.const(d.array(list(n), F32, low, high))


def integer_gemm(d):
    """QGemm, MatMulIntegerToFloat, DynamicQuantizeMatMul: equal to onnxruntime where the result is an integer."""
    m, k, n = d.int(1, 5), d.int(1, 20), d.int(1, 9)
    ta, tb = _type(d), _type(d)
    op = d.one("QGemm", "MatMulIntegerToFloat", "DynamicQuantizeMatMul")
    columns = [n] if d.chance() else []
    if op == "QGemm":
        trans_a, trans_b = int(d.chance(0.3)), int(d.chance())
        # onnxruntime has i8 for A with i8 for B alone
        tb = np.int8 if ta == np.int8 else tb
        out = [None, None] if d.chance(0.3) else [_scale(d, low=0.1, high=0.5), _zero(d, ta)]
        c = _optional(d, lambda: d.const(d.array(d.one([n], [1, n], [m, n]), np.int32, -500, 500)))
        inputs = [_bytes(d, [k, m] if trans_a else [m, k], ta), _scale(d), _zero(d, ta),
                  d.const(_bytes(d, [n, k] if trans_b else [k, n], tb, True)),
                  _scale(d, *columns), _zero(d, tb, columns), c, *out]
        return Case(op, inputs=inputs, transA=trans_a, transB=trans_b, alpha=d.one(None, 0.5), **MS)
    batch = d.shape(0, 2, 3)
    tb = np.int8 if op == "MatMulIntegerToFloat" and ta == np.int8 else tb
    bias = _optional(d, lambda: d.const(d.array([n])))
    w = d.const(_bytes(d, [k, n], tb, True))
    bz = _optional(d, lambda: _zero(d, tb, columns))
    if op == "DynamicQuantizeMatMul":
        return Case(op, inputs=[d.array([*batch, m, k]), w, _scale(d, *columns), bz, bias], **MS)
    return Case(op,
                inputs=[_bytes(d, [*batch, m, k], ta), w, _scale(d), _scale(d, *columns),
                        _optional(d, lambda: _zero(d, ta)), bz, bias], **MS)


def integer_elementwise(d):
    """QLinearAdd, QLinearMul and the like: one rounding of a float, so ties may fall to either side where processors
    add in another order."""
    t, s = _type(d), d.shape(1, 4, 9)
    op = d.one("QLinearAdd", "QLinearMul", "QLinearSigmoid", "QLinearLeakyRelu", "QLinearConcat", "QLinearWhere")
    three = lambda x: [x, _scale(d, low=0.01, high=0.1), _zero(d, t)]
    out = [_scale(d, low=0.02, high=0.1), _zero(d, t)]
    a = _bytes(d, s, t)
    if op in ("QLinearAdd", "QLinearMul"):
        b = _bytes(d, d.one(s, s[-1:], [1] * len(s)), t)
        return Case(op, inputs=[*three(a), *three(b), *out], quantum=True, **MS)
    if op == "QLinearConcat":
        axis = d.int(0, len(s) - 1)
        more = [_bytes(d, [*s[:axis], d.int(1, 4), *s[axis + 1:]], t) for _ in range(d.int(0, 2))]
        return Case(op, inputs=[*out, *(i for x in [a, *more] for i in three(x))], axis=axis, quantum=True, **MS)
    if op == "QLinearWhere":
        return Case(op, inputs=[d.array(s, np.bool_), *three(a), *three(_bytes(d, d.one(s, [1] * len(s)), t)), *out],
                    quantum=True, **MS)
    return Case(op, inputs=[*three(a), *out], alpha=d.one(None, 0.3) if op == "QLinearLeakyRelu" else None,
                quantum=True, **MS)


def integer_softmax(d):
    # onnxruntime gives 0 for the only element of an axis, whose share is 1
    t, s = _type(d), [d.int(2, 6) for _ in range(d.int(2, 4))]
    opset = d.one(11, 13)
    inputs = [_bytes(d, s, t), _scale(d, low=0.01, high=0.1), _zero(d, t),
              d.const(np.float32(d.one(1 / 255, 1 / 256, 0.00392157, 0.01))),
              d.const(np.array(-128 if t == np.int8 else 0, t))]
    case = Case("QLinearSoftmax", inputs=inputs, axis=d.int(0, len(s) - 1), quantum=True, **MS)
    # an attribute of the name of an argument of Case
    attribute = case.model.graph.node[-1].attribute.add()
    attribute.name, attribute.type, attribute.i = "opset", 2, opset
    return case


def integer_pool(d):
    t = _type(d)
    op = d.one("QLinearGlobalAveragePool", "QLinearAveragePool", "NhwcMaxPool")
    last = int(d.chance())
    space = [d.int(4, 8), d.int(4, 8)]
    batch, channels = d.int(1, 2), d.int(1, 5)
    x = _bytes(d, [batch, *space, channels] if last or op == "NhwcMaxPool" else [batch, channels, *space], t)
    kernel = [d.int(1, 3), d.int(1, 3)]
    window = dict(kernel_shape=kernel, strides=[d.int(1, 2), d.int(1, 2)], pads=[d.int(0, k - 1) for k in kernel * 2],
                  ceil_mode=d.one(None, 0, 1))
    if op == "NhwcMaxPool":
        return Case(op, inputs=[x], **window, **MS)
    inputs = [x, _scale(d), _zero(d, t), _scale(d), _zero(d, t)]
    if op == "QLinearGlobalAveragePool":
        return Case(op, inputs=inputs, channels_last=last, quantum=True, **MS)
    return Case(op, inputs=inputs, channels_last=last, count_include_pad=d.one(None, 0, 1), quantum=True, **window,
                **MS)


def integer_conv(d):
    """QLinearConv of com.microsoft: channels last, as onnxruntime's NHWC transformer writes it."""
    t = np.uint8
    channels, out, kernel = d.int(1, 4), d.int(1, 5), [d.int(1, 3), d.int(1, 3)]
    x = _bytes(d, [d.int(1, 2), d.int(4, 7), d.int(4, 7), channels], t)
    columns = [out] if d.chance() else []
    w = d.array([out, channels, *kernel], np.int8, -SMALL, SMALL)
    inputs = [x, _scale(d), _zero(d, t), d.const(w), _scale(d, *columns), d.const(np.zeros(columns, np.int8)),
              _scale(d, low=0.1, high=0.4), _zero(d, t),
              _optional(d, lambda: d.const(d.array([out], np.int32, -500, 500)))]
    return Case("QLinearConv", inputs=inputs, channels_last=1, kernel_shape=kernel, strides=[d.int(1, 2), d.int(1, 2)],
                **MS)


def integer_points(d):
    """QuantizeLinear and DequantizeLinear of com.microsoft, as UseQDQContribOps writes them: 16-bit integers before
    opset 21."""
    t = d.one(np.uint8, np.int8, np.uint16, np.int16)
    s = d.shape(1, 3)
    axis = d.int(0, len(s) - 1) if d.chance() else None
    n = [] if axis is None else [s[axis]]
    if d.chance():
        return Case("DequantizeLinear", inputs=[d.array(s, t, -30000, 60000), _scale(d, *n), _zero(d, t, n)], axis=axis,
                    **MS)
    return Case("QuantizeLinear", inputs=[d.array(s, F32, -6, 6), _scale(d, *n), _zero(d, t, n)], axis=axis,
                quantum=True, **MS)


def integer_attention(d):
    batch, length, heads, size, width = d.int(1, 2), d.int(1, 5), d.int(1, 3), d.int(1, 6), d.int(2, 8)
    hidden = heads * size
    columns = [3 * hidden] if d.chance() else []
    t = _type(d)
    inputs = [_bytes(d, [batch, length, width], np.uint8), d.const(_bytes(d, [width, 3 * hidden], t, True)),
              d.const(d.array([3 * hidden])), _scale(d), _scale(d, *columns),
              _optional(d, lambda: _mask(d, batch, length, length)), _zero(d, np.uint8), _zero(d, t, columns)]
    return Case("QAttention", inputs=inputs, num_heads=heads, unidirectional=d.one(None, 0, 1), **MS)


def dynamic_lstm(d):
    """Batch 1: onnxruntime shares one scale among the states of a batch, Efferent gives each sequence its own."""
    time, batch, size, hidden = d.int(1, 4), 1, d.int(1, 7), d.int(1, 6)
    direction = d.one("forward", "reverse", "bidirectional")
    dirs = 2 if direction == "bidirectional" else 1
    t = _type(d)
    per = [dirs, 4 * hidden] if d.chance(0.4) else [dirs]
    weights = lambda n: d.const(_bytes(d, [dirs, n, 4 * hidden], t, True))
    zero = lambda: d.const(np.full(per, 0 if t == np.int8 else 128, t))
    state = lambda: d.array([dirs, batch, hidden], F32, -1, 1)
    inputs = [d.array([time, batch, size]), weights(size), weights(hidden),
              _optional(d, lambda: d.const(d.array([dirs, 8 * hidden]))), None,
              _optional(d, state), _optional(d, state), _optional(d, lambda: d.const(d.array([dirs, 3 * hidden]))),
              _scale(d, *per, low=0.005, high=0.02), zero(), _scale(d, *per, low=0.005, high=0.02), zero()]
    return Case("DynamicQuantizeLSTM", inputs=inputs, outputs=d.one([1], [1, 1], [1, 1, 1], [0, 1, 1]),
                hidden_size=hidden, direction=direction,
                clip=d.one(None, 2.0), input_forget=d.one(None, 0, 1), **MS)


FAMILIES = [
    gelu, fused_matmul, fused_gemm, fused_conv, skip_norm, simple_norm, embed_norm, attention, multi_head_attention,
    rotary,
    integer_gemm, integer_elementwise, integer_softmax, integer_pool, integer_conv, integer_points, integer_attention,
    dynamic_lstm,
]
