"""Meanings that were silently wrong: attention masks, types of quantized results, flags, pads, indices. Each expected
value is ONNX's or onnxruntime's."""
import subprocess
import sys

import efferent
import numpy as np
import onnx
import pytest
from efferent import _ranges
from efferent.onnx_backend import prepare
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

ort = pytest.importorskip("onnxruntime")

RNG = np.random.default_rng(0)


def node(op, opset, inputs, outputs=1, constants=(), **attributes):
    """A model of one node; `inputs` are arrays, those in `constants` by position are initializers."""
    names = [f"x{i}" if x is not None else "" for i, x in enumerate(inputs)]
    made = helper.make_node(op, names, [f"y{i}" for i in range(outputs)], name="tested", **attributes)
    given = [helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(x.dtype), x.shape)
             for i, (n, x) in enumerate(zip(names, inputs)) if x is not None and i not in constants]
    fixed = [numpy_helper.from_array(inputs[i], names[i]) for i in constants]
    graph = helper.make_graph([made], "g", given, [helper.make_empty_tensor_value_info(y) for y in made.output], fixed)
    feeds = {n: x for i, (n, x) in enumerate(zip(names, inputs)) if x is not None and i not in constants}
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10), feeds


def refusal(*args, **attributes):
    with pytest.raises(efferent.Error) as e:
        efferent.Policy(node(*args, **attributes)[0].SerializeToString(), state={})
    return str(e.value)


def reals(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


# ---- attention: one query at a time in numpy, from the words of Attention 25 ----

def attention(q, k, v, causal, offset, left, right, valid, mask):
    """[batch, heads, lq, dv]: query i stands at i + offset[b] and sees the keys j < valid[b] that its bounds and the
    mask leave."""
    y = np.zeros(q.shape[:3] + v.shape[3:], np.float32)
    for b, h, i in np.ndindex(*q.shape[:3]):
        p = i + offset[b]
        seen = [j for j in range(k.shape[2]) if j < valid[b] and (not causal or j <= p) and (left < 0 or j >= p - left)
                and (right < 0 or j <= p + right)
                and (mask is None or mask[b, h, i, j])]
        if seen:  # a query that sees nothing gives zeros
            s = k[b, h, seen] @ q[b, h, i] / np.sqrt(q.shape[3])
            w = np.exp(s - s.max())
            y[b, h, i] = w / w.sum() @ v[b, h, seen]
    return y


@pytest.mark.parametrize("causal", [0, 1])
@pytest.mark.parametrize("left, right", [(-1, -1), (0, -1), (1, -1), (2, 1), (-1, 0), (-1, 2), (0, 0)])
@pytest.mark.parametrize("lq, lk", [(1, 6), (5, 5), (3, 7), (6, 2)])
@pytest.mark.parametrize("nonpad", [False, True])
@pytest.mark.parametrize("masked", [False, True])
def test_attention_sees_what_onnx_says(causal, left, right, lq, lk, nonpad, masked):
    q, k, v = reals(2, 2, lq, 4), reals(2, 2, lk, 4), reals(2, 2, lk, 3)
    mask = RNG.random((2, 2, lq, lk)) < 0.6 if masked else None
    lengths = np.array([lk, max(lk - 2, 1)], np.int64) if nonpad else None
    model, feeds = node("Attention", 25, [q, k, v, mask, None, None, lengths], is_causal=causal, left_window_size=left,
                        right_window_size=right)
    offset, valid = (lengths - lq, lengths) if nonpad else ([0, 0], [lk, lk])
    np.testing.assert_allclose(prepare(model).run(feeds)[0],
                               attention(q, k, v, causal, offset, left, right, valid, mask), rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("past", [0, 1, 4])
def test_attention_windows_move_with_the_past(past):
    q, k, v = reals(1, 2, 3, 4), reals(1, 2, 3, 4), reals(1, 2, 3, 4)
    before = [reals(1, 2, past, 4), reals(1, 2, past, 4)]
    model, feeds = node("Attention", 25, [q, k, v, None, *before], 3, is_causal=1, left_window_size=1)
    expected = attention(q, np.concatenate([before[0], k], 2), np.concatenate([before[1], v], 2), 1, [past], 1, -1,
                         [past + 3], None)
    np.testing.assert_allclose(prepare(model).run(feeds)[0], expected, rtol=2e-5, atol=2e-6)


# ---- quantization ----

@pytest.mark.parametrize("scale_type, output_type",
                         [(np.float16, 1), (np.float32, 10), (np.float16, 10), (np.float32, 1), (np.float16, 0)])
def test_dequantize_obeys_its_output_type(scale_type, output_type):
    """Products are rounded once, to the type of the output: a scale in f16 does not round a result in f32."""
    x, scale = RNG.integers(-2**15, 2**15, (4, 6)).astype(np.int16), (RNG.random(6) / 300).astype(scale_type)
    model, feeds = node("DequantizeLinear", 23, [x, scale], axis=1, output_dtype=output_type)
    y = prepare(model).run(feeds)[0]
    assert y.dtype == (np.float16 if output_type == 10 or output_type == 0 else np.float32)
    exact = x.astype(np.float64) * scale.astype(np.float64)
    np.testing.assert_allclose(y.astype(np.float64), exact, rtol=1e-3 if y.dtype == np.float16 else 2e-7)


def test_types_that_quantizing_does_not_give_are_refused():
    x, scale = np.ones((2, 2), np.int8), np.float32([1])
    assert "output_dtype is i8, expected f32, f16 or bf16" in refusal("DequantizeLinear", 23, [x, scale[0]],
                                                                      output_dtype=3)
    assert "output_dtype is u8, but the zero point is i8" in refusal("QuantizeLinear", 23,
                                                                     [reals(2, 2), scale[0], np.int8(0)],
                                                                     output_dtype=2)
    assert "attribute 'precision' is f16" in refusal("QuantizeLinear", 23, [reals(2, 2), scale[0]], precision=10)


# ---- numbers that runtimes read in different ways, or that mean nothing ----

@pytest.mark.parametrize("words, args, attributes", [
    ("attribute 'keepdims' is 2, expected 0 or 1", ("ArgMax", 17, [reals(2, 3)]), {"keepdims": 2}),
    ("attribute 'is_causal' is -1, expected 0 or 1", ("Attention", 23, [reals(1, 1, 2, 2)] * 3), {"is_causal": -1}),
    ("attribute 'ceil_mode' is 3, expected 0 or 1", ("MaxPool", 17, [reals(1, 1, 4, 4)]),
     {"kernel_shape": [2, 2], "ceil_mode": 3}),
    ("windows that see padding only", ("MaxPool", 17, [reals(1, 1, 4, 4)]),
     {"kernel_shape": [2, 2], "pads": [2, 0, 0, 0]}),
    ("with auto_pad SAME_UPPER", ("AveragePool", 19, [reals(1, 1, 4, 4)]),
     {"kernel_shape": [2, 2], "dilations": [2, 1], "auto_pad": "SAME_UPPER"}),
    ("output_padding [2, 0] must be less", ("ConvTranspose", 17, [reals(1, 1, 3, 3), reals(1, 1, 2, 2)]),
     {"output_padding": [2, 0]}),
    ("has both pads and auto_pad", ("ConvTranspose", 17, [reals(1, 1, 3, 3), reals(1, 1, 2, 2)]),
     {"pads": [0, 0, 0, 0], "auto_pad": "SAME_UPPER"}),
    ("attribute 'clip' must be more than 0", ("RNN", 17, [reals(2, 1, 3), reals(1, 4, 3), reals(1, 4, 4)]),
     {"hidden_size": 4, "clip": 0.0}),
    ("more than its activations take", ("RNN", 17, [reals(2, 1, 3), reals(1, 4, 3), reals(1, 4, 4)]),
     {"hidden_size": 4, "activation_alpha": [0.5]}),
    ("attribute 'scale' must be more than 0", ("Attention", 23, [reals(1, 1, 2, 2)] * 3), {"scale": -1.0}),
    ("attribute 'p' is 0", ("LpPool", 18, [reals(1, 1, 4)]), {"kernel_shape": [2], "p": 0}),
    ("attribute 'size' is 0", ("LRN", 13, [reals(1, 3, 4)]), {"size": 0}),
    ("does not split into 2 equal parts", ("Split", 13, [reals(5, 2)], 2), {}),
    ("does not split into 4 parts of 2", ("Split", 18, [reals(5, 2)], 4), {"num_outputs": 4}),
    ("attribute 'mode' is 'circle', expected one of 'linear', 'circular'",
     ("TensorScatter", 24, [reals(1, 4, 2), reals(1, 1, 2)]), {"mode": "circle"}),
    ("attribute 'direction' is 'left'", ("BitShift", 11, [np.ones(2, np.uint8)] * 2), {"direction": "left"}),
    ("attribute 'mode' is 'wrap'", ("Pad", 18, [reals(2, 3), np.array([0, 1, 0, 1])], 1, (1,)), {"mode": "wrap"}),
    ("one for each group before opset 21", ("GroupNormalization", 18, [reals(1, 4, 3), reals(4), reals(4)]),
     {"num_groups": 2}),
])
def test_what_means_nothing_is_refused(words, args, attributes):
    message = refusal(*args, **attributes)
    assert words in message and "node 'tested'" in message, message


def test_values_that_were_misread():
    """Each with the value of the ONNX reference."""
    x = np.arange(16, dtype=np.float32).reshape(1, 4, 2, 2)
    cases = [node("SpaceToDepth", 28, [np.arange(32, dtype=np.float32).reshape(1, 2, 4, 4)], blocksize=2, mode="CRD"),
             node("SwiGLU", 28, [reals(2, 3), reals(2, 3)], alpha=0.7),
             node("GlobalLpPool", 2, [x], p=1),
             node("BlackmanWindow", 17, [np.array(10)], constants=(0,), output_datatype=TensorProto.INT32),
             node("Mod", 28, [reals(3, 4), reals(4)]),
             node("BitShift", 28, [np.array([-9, 9], np.int32), np.array([1, 40], np.int32)], direction="RIGHT")]
    for model, feeds in cases:
        if model.graph.node[0].op_type == "GlobalLpPool":
            expected = np.abs(x).sum((2, 3), keepdims=True)
        else:
            expected = ReferenceEvaluator(model).run(None, feeds)[0]
        np.testing.assert_allclose(prepare(model).run(feeds)[0], expected, rtol=1e-6,
                                   err_msg=model.graph.node[0].op_type)


# ---- indices ----

@pytest.mark.parametrize("words, args, attributes", [
    ("index 5 is outside axis 0 of [5, 2]", ("Gather", 17, [reals(5, 2), np.array([0, 5])], 1, (1,)), {}),
    ("index -6 is outside axis 0 of [5, 2]", ("GatherElements", 17, [reals(5, 2), np.array([[0, -6]])], 1, (1,)), {}),
    ("index 2 is outside axis 1 of [5, 2]", ("GatherND", 17, [reals(5, 2), np.array([[4, 1], [0, 2]])], 1, (1,)), {}),
    ("index 3 is outside axis 1 of [2, 3, 2]", ("GatherND", 17, [reals(2, 3, 2), np.array([[2], [3]])], 1, (1,)),
     {"batch_dims": 1}),
    ("index 9 is outside axis 0 of [5, 2]", ("ScatterND", 17, [reals(5, 2), np.array([[9]]), reals(1, 2)], 1, (1,)),
     {}),
    ("index 7 is outside axis 1 of [5, 2]",
     ("ScatterElements", 17, [reals(5, 2), np.array([[7]]), reals(1, 1)], 1, (1,)), {"axis": 1}),
])
def test_constant_index_outside_is_refused_by_name(words, args, attributes):
    assert words in refusal(*args, **attributes)


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_index_outside_while_running_is_the_nearest_inside(dtype):
    """As the header says: nothing outside is read or written."""
    wild = np.array([7, -9, np.iinfo(dtype).max, np.iinfo(dtype).min, -1], dtype)
    near = np.array([4, 0, 4, 0, 4])
    x = reals(5, 2)
    assert (prepare(node("Gather", 17, [x, wild])[0]).run([x, wild])[0] == x[near]).all()
    wide = np.stack([wild, wild], 1)
    assert (prepare(node("GatherElements", 17,
                         [x, wide])[0]).run([x, wide])[0] == np.take_along_axis(x, np.stack([near, near], 1), 0)).all()
    if dtype == np.int64:
        tuples, update = wild[:, None], np.ones((5, 2), np.float32)
        assert (prepare(node("GatherND", 17, [x, tuples])[0]).run([x, tuples])[0] == x[near]).all()
        expected = x.copy()
        expected[near] = 1
        assert (prepare(node("ScatterND", 17, [x, tuples, update])[0]).run([x, tuples, update])[0] == expected).all()
    model, feeds = node("OneHot", 17, [wild, np.array(5), np.float32([0, 1])], constants=(1, 2))
    assert (prepare(model).run(feeds)[0].sum(1) == [0, 0, 0, 0, 1]).all()


# ---- what check draws ----

def embedding(rows=1000, dtype=TensorProto.INT64, through_cast=False):
    """ids -> rows of a table, and pixels beside them."""
    nodes = ([helper.make_node("Cast", ["ids"], ["wide"], to=TensorProto.INT64)] if through_cast else []) + [
        helper.make_node("Gather", ["table", "wide" if through_cast else "ids"], ["e"]),
        helper.make_node("Cast", ["pixels"], ["p"], to=1),
        helper.make_node("ReduceMean", ["e"], ["m"], axes=[1], keepdims=0),
        helper.make_node("Add", ["m", "p"], ["action"])]
    inputs = [helper.make_tensor_value_info("ids", dtype, [1, 3]),
              helper.make_tensor_value_info("pixels", TensorProto.UINT8, [1, 4])]
    graph = helper.make_graph(nodes, "g", inputs, [helper.make_tensor_value_info("action", 1, [1, 4])],
                              [numpy_helper.from_array(reals(rows, 4), "table")])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


@pytest.mark.parametrize("dtype, through_cast",
                         [(TensorProto.INT64, False), (TensorProto.INT32, False), (TensorProto.UINT8, True)])
def test_check_knows_the_tables_of_ids(tmp_path, dtype, through_cast):
    onnx.save(embedding(200, dtype, through_cast), tmp_path / "m.onnx")
    assert _ranges.id_ranges(tmp_path / "m.onnx") == {"ids": 200}


def test_check_draws_what_the_inputs_may_hold():
    rng = np.random.default_rng(0)
    assert {int(v) for v in _ranges.draw(rng, np.dtype(np.uint8), 20000)} == set(range(256))
    assert {int(v) for v in _ranges.draw(rng, np.dtype(np.int8), 20000)} == set(range(-128, 128))
    assert {int(v) for v in _ranges.draw(rng, np.dtype(np.int64), 2000, 7)} == set(range(7))


def test_check_compares_on_real_ranges(tmp_path):
    """Ids outside of the table would stop onnxruntime; two ids of a thousand would compare nothing."""
    onnx.save(embedding(), tmp_path / "m.onnx")
    done = subprocess.run([sys.executable, "-m", "efferent", "check", str(tmp_path / "m.onnx"), "--samples", "50"],
                          capture_output=True, text=True)
    assert done.returncode == 0 and "same" in done.stdout, done.stdout + done.stderr
