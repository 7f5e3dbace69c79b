"""Files that onnxruntime's own tools write (optimizer, quantizers, transformer fusions) give what onnxruntime gives for
the same file.

Integer operators agree exactly, but where onnxruntime itself differs by processor: products of u8 with large i8
saturate without VNNI (so all files are written with reduce_range, as its documentation asks), and a float that lies
halfway between two steps may be rounded to either. One such step early in a net becomes a few at its end, in a few
outputs.
"""

import copy
import logging

import numpy as np
import pytest
import tool_models as tools

ort = pytest.importorskip("onnxruntime")
pytest.importorskip("sympy", reason="onnxruntime.transformers needs it")
pytest.importorskip("onnx_ir", reason="matmul_nbits_quantizer needs it")
import efferent  # noqa: E402
from efferent.onnx_backend import prepare  # noqa: E402
from onnxruntime.quantization import QuantFormat, QuantType  # noqa: E402

LEVELS = ort.GraphOptimizationLevel
logging.getLogger().setLevel(logging.ERROR)

FLOAT = dict(exact=1.0, most=0.0)
STEPS = dict(exact=0.4, most=0.04)
FINE = dict(exact=0.0, most=1e-3)  # steps of 16 bits: more of them are missed, and each is small


def static(fmt, weights, activations, per_channel, level=None):
    def write(model, folder):
        made = tools.quantized_static(
            model,
            folder,
            quant_format=fmt,
            weight_type=weights,
            activation_type=activations,
            per_channel=per_channel,
            reduce_range=True,
        )
        return tools.optimized(made, folder, level) if level is not None else made
    return write


def dynamic(weights, level=None):
    def write(model, folder):
        made = tools.quantized_dynamic(model, folder, weight_type=weights, reduce_range=True)
        return tools.optimized(made, folder, level) if level is not None else made
    return write


def wide_points(model, folder):
    return tools.quantized_static(
        model,
        folder,
        weight_type=QuantType.QInt8,
        activation_type=QuantType.QUInt16,
        extra_options={"UseQDQContribOps": True},
    )


def ways():
    for name in ("BASIC", "EXTENDED", "LAYOUT", "ALL"):
        level = getattr(LEVELS, f"ORT_ENABLE_{name}")
        yield f"optimized {name}", lambda m, f, level=level: tools.optimized(m, f, level), FLOAT
    i8, u8 = QuantType.QInt8, QuantType.QUInt8
    for weights, activations in ((i8, u8), (u8, u8), (i8, i8)):
        for per_channel in (False, True):
            name = f"{weights.name}-{activations.name}" + "-per_channel" * per_channel
            yield f"static QDQ {name}", static(QuantFormat.QDQ, weights, activations, per_channel), STEPS
            yield f"static QOperator {name}", static(QuantFormat.QOperator, weights, activations, per_channel), STEPS
            for level in (LEVELS.ORT_ENABLE_EXTENDED, LEVELS.ORT_ENABLE_ALL):
                yield f"static QDQ {name} {level.name}", static(
                    QuantFormat.QDQ, weights, activations, per_channel, level
                ), STEPS
    yield "static QDQ 16 bits", wide_points, FINE
    for weights in (i8, u8):
        yield f"dynamic {weights.name}", dynamic(weights), STEPS
        yield f"dynamic {weights.name} EXTENDED", dynamic(weights, LEVELS.ORT_ENABLE_EXTENDED), STEPS
    yield "fused bert", tools.fused, FLOAT
    yield "fused gpt2", lambda m, f: tools.fused(m, f, "gpt2"), FLOAT
    more = dict(reduce_range=True, extra_options={"DefaultTensorType": 1})  # shape inference stops at fused operators
    yield "fused bert dynamic", lambda m, f: tools.quantized_dynamic(tools.fused(m, f), f, **more), STEPS
    for bits in (4, 8):
        for symmetric in (False, True):
            for fmt in (QuantFormat.QOperator, QuantFormat.QDQ):
                if bits == 8 and fmt == QuantFormat.QDQ:
                    continue  # the tool has QDQ for 4 bits alone
                options = dict(bits=bits, block_size=16, is_symmetric=symmetric, quant_format=fmt, accuracy_level=1)
                yield f"{bits} bits {fmt.name}{' symmetric' * symmetric}", lambda m, f, options=options: tools.few_bits(
                    m, **options
                ), FLOAT


WAYS = {name: (write, bound) for name, write, bound in ways()}


@pytest.fixture(scope="module")
def written():
    """Operators that appeared in any file, for the last test."""
    return set()


# the variants of the transformer differ in what is fused, not in what is quantized
CASES = [
    (p, w)
    for p in tools.POLICIES
    for w in WAYS
    if not (p.startswith("window_") and ("static" in w or "dynamic" in w or "bits" in w))
]


@pytest.mark.parametrize(("policy", "way"), CASES)
def test_gives_what_onnxruntime_gives(policy, way, tmp_path, written):
    write, bound = WAYS[way]
    model = tools.POLICIES[policy]()
    made = write(copy.deepcopy(model), tmp_path)
    written |= set(tools.operators(made))
    options = ort.SessionOptions()
    options.graph_optimization_level = LEVELS.ORT_DISABLE_ALL
    options.log_severity_level, options.intra_op_num_threads = 4, 1
    session = ort.InferenceSession(made.SerializeToString(), options, providers=["CPUExecutionProvider"])
    if any("nchwc" in name or "internal" in name for name in tools.operators(made)):
        with pytest.raises(efferent.UnsupportedError, match="for one kind of processor.*ORT_ENABLE_EXTENDED"):
            efferent.Policy(made.SerializeToString())
        return
    policy, equal = prepare(made), []
    for seed in range(100, 106):
        given = tools.feeds(model, seed)
        for name, found, expected in zip(policy.outputs, policy.run(given), session.run(None, given), strict=True):
            assert found.shape == expected.shape and found.dtype == expected.dtype, name
            away, size = np.abs(found - expected), np.abs(expected).max()
            equal.append(np.mean(away <= 1e-5 * (1 + np.abs(expected))))
            assert away.max() <= bound["most"] * size + 2e-5 * (1 + size), f"{name}: {away.max():.3g} of {size:.3g}"
    assert np.mean(equal) >= bound["exact"] - 1e-9, f"{np.mean(equal):.2f} of the outputs are equal"


def test_the_files_hold_the_fused_operators(written):
    if len(written) < 40:
        pytest.skip("only some of the tests above ran")
    expected = """QGemm DynamicQuantizeLSTM DynamicQuantizeMatMul MatMulIntegerToFloat FusedMatMul FusedGemm FusedConv SkipLayerNormalization BiasGelu FastGelu
        QuickGelu Attention EmbedLayerNormalization QLinearAdd QLinearMul QLinearSigmoid QLinearLeakyRelu QLinearGlobalAveragePool QLinearAveragePool
        QLinearConcat QLinearSoftmax NhwcMaxPool QLinearConv MatMulNBits QAttention QuantizeLinear DequantizeLinear"""
    assert {f"com.microsoft.{name}" for name in expected.split()} - written == set()
