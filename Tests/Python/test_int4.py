"""Constants of four bits: DequantizeLinear, QuantizeLinear, MatMulNBits and GatherBlockQuantized give what onnxruntime
gives for the same file."""
import efferent
import numpy as np
import onnx
import pytest
import suites
from onnx import TensorProto, helper, numpy_helper

ort = pytest.importorskip("onnxruntime")
from efferent.onnx_backend import prepare  # noqa: E402

OPTIONS = ort.SessionOptions()
OPTIONS.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
OPTIONS.log_severity_level, OPTIONS.intra_op_num_threads = 4, 1
KINDS = {"int4": (TensorProto.INT4, -8, 7), "uint4": (TensorProto.UINT4, 0, 15)}


def packed(values):
    flat = np.append(values.ravel(), 0)[: (values.size + 1) // 2 * 2].astype(np.int64) & 15
    return (flat[0::2] | flat[1::2] << 4).astype(np.uint8)


def nibbles(name, kind, values, form="raw"):
    tensor = TensorProto(name=name, data_type=kind, dims=values.shape)
    if form == "raw":
        tensor.raw_data = packed(values).tobytes()
    else:
        tensor.int32_data.extend(packed(values).tolist())
    return tensor


def model(nodes, inputs, outputs, tensors, opset=21):
    ports = [helper.make_tensor_value_info(k, helper.np_dtype_to_tensor_dtype(v.dtype), v.shape)
             for k, v in inputs.items()]
    graph = helper.make_graph(nodes, "g", ports, [helper.make_empty_tensor_value_info(o) for o in outputs], tensors)
    return helper.make_model(graph,
                             opset_imports=[helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)],
                             ir_version=10)


def same(made, inputs, atol=1e-6):
    outputs = ort.InferenceSession(made.SerializeToString(), OPTIONS,
                                   providers=["CPUExecutionProvider"]).run(None, inputs)
    for o, a, b in zip(made.graph.output, prepare(made).run(inputs), outputs, strict=True):
        suites.compare(o.name, a, b, atol, atol)


@pytest.mark.parametrize("form", ["raw", "int32"])
@pytest.mark.parametrize("scales", ["one", "axis", "blocks"])
@pytest.mark.parametrize("name", KINDS)
def test_dequantizes(name, scales, form):
    kind, low, high = KINDS[name]
    rng = np.random.default_rng(len(name + scales + form))
    for shape in ([5], [3, 7], [6, 5], [2, 3, 5]):
        axis = int(rng.integers(len(shape)))
        block = int(rng.integers(1, 4))
        n = {"one": [], "axis": [shape[axis]],
             "blocks": [*shape[:axis], -(-shape[axis] // block), *shape[axis + 1:]]}[scales]
        tensors = [nibbles("q", kind, rng.integers(low, high + 1, shape), form),
                   numpy_helper.from_array(np.asarray(rng.uniform(0.01, 0.1, n), np.float32), "s"),
                   nibbles("z", kind, rng.integers(low, high + 1, n), form)]
        attributes = {"axis": axis} if scales != "one" else {}
        if scales == "blocks":
            attributes["block_size"] = block
        nodes = [helper.make_node("DequantizeLinear", ["q", "s", "z"], ["w"], **attributes),
                 helper.make_node("Mul", ["w", "x"], ["y"])]
        x = rng.normal(0, 1, shape).astype(np.float32)
        same(model(nodes, {"x": x}, ["y"], tensors), {"x": x})


@pytest.mark.parametrize("name", KINDS)
def test_quantizes_to_four_bits_and_back(name):
    kind, low, high = KINDS[name]
    x = np.linspace(-3, 3, 35, dtype=np.float32).reshape(5, 7)
    tensors = [numpy_helper.from_array(np.float32(0.2), "s"), nibbles("z", kind, np.array(high - 5))]
    nodes = [helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
             helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"])]
    same(model(nodes, {"x": x}, ["y"], tensors), {"x": x})


def test_external_data_holds_four_bits_too(tmp_path):
    rng = np.random.default_rng(0)
    q = nibbles("q", TensorProto.INT4, rng.integers(-8, 8, [4, 6]))
    x = rng.normal(0, 1, [2, 4]).astype(np.float32)
    nodes = [helper.make_node("DequantizeLinear", ["q", "s"], ["w"]), helper.make_node("MatMul", ["x", "w"], ["y"])]
    made = model(nodes, {"x": x}, ["y"], [q, numpy_helper.from_array(np.float32(0.1), "s")])
    expected = prepare(made).run({"x": x})[0]
    onnx.save(made, tmp_path / "m.onnx", save_as_external_data=True, location="w.bin", size_threshold=0)
    np.testing.assert_array_equal(efferent.Policy(tmp_path / "m.onnx").session().run({"x": x})["y"], expected)


def test_ports_of_four_bits_are_refused_by_name():
    q = nibbles("q", TensorProto.UINT4, np.arange(6).reshape(2, 3))
    out = model([helper.make_node("Identity", ["q"], ["y"])], {}, ["y"], [q])
    with pytest.raises(efferent.UnsupportedError, match="output 'y': element type UINT4 is not supported"):
        efferent.Policy(out.SerializeToString())
    into = model([helper.make_node("DequantizeLinear", ["x", "s"], ["y"])], {"x": np.zeros((2, 3), np.float32)}, ["y"],
                 [numpy_helper.from_array(np.float32(1), "s")])
    into.graph.input[0].type.tensor_type.elem_type = TensorProto.INT4
    with pytest.raises(efferent.UnsupportedError, match="input 'x': element type INT4 is not supported"):
        efferent.Policy(into.SerializeToString())


@pytest.mark.parametrize("kind", [TensorProto.FLOAT8E4M3FN, TensorProto.FLOAT4E2M1, 25, 26])
def test_other_small_types_are_refused_by_name(kind):
    tensor = TensorProto(name="q", data_type=kind, dims=[4],
                         raw_data=b"\x12\x34\x12\x34"[: 4 if kind == TensorProto.FLOAT8E4M3FN else 2 if kind == 23
                                                      else 1])
    made = model([helper.make_node("DequantizeLinear", ["q", "s"], ["y"])], {}, ["y"],
                 [tensor, numpy_helper.from_array(np.float32(1), "s")])
    with pytest.raises(efferent.UnsupportedError, match="element type (FLOAT8|FLOAT4E2M1|UINT2|INT2) is not supported"):
        efferent.Policy(made.SerializeToString())


@pytest.mark.parametrize("size", [0, 1, 4])
def test_a_wrong_number_of_bytes_is_refused(size):
    tensor = TensorProto(name="q", data_type=TensorProto.INT4, dims=[5], raw_data=b"\x12" * size)
    made = model([helper.make_node("DequantizeLinear", ["q", "s"], ["y"])], {}, ["y"],
                 [tensor, numpy_helper.from_array(np.float32(1), "s")])
    with pytest.raises(efferent.FormatError, match="bytes of data, expected 3|pairs of elements, expected 3"):
        efferent.Policy(made.SerializeToString())


# onnxruntime has no other
@pytest.mark.parametrize(("bits", "zeros"), [(4, "none"), (4, "packed"), (4, "numbers"), (8, "none"), (8, "packed")])
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_products_of_few_bits(dtype, bits, zeros):
    rng = np.random.default_rng(bits)
    for rows, k, n, size in [([1], 16, 3, 16), ([2, 3], 40, 5, 16), ([4], 70, 7, 32), ([1], 33, 2, 16)]:
        blocks = -(-k // size)
        x = rng.normal(0, 1, [*rows, k]).astype(dtype)
        tensors = [numpy_helper.from_array(rng.integers(0, 256, [n, blocks, size * bits // 8]).astype(np.uint8), "b"),
                   numpy_helper.from_array(rng.uniform(0.005, 0.02, [n, blocks]).astype(dtype), "s")]
        inputs = ["x", "b", "s"]
        if zeros == "packed":
            tensors.append(numpy_helper.from_array(rng.integers(0, 256, [n, -(-blocks * bits // 8)]).astype(np.uint8),
                                                   "z"))
        elif zeros == "numbers":
            tensors.append(numpy_helper.from_array(rng.uniform(0, 2**bits, [n, blocks]).astype(dtype), "z"))
        inputs.append("z" if zeros != "none" else "")
        bias = bool(rng.integers(2))
        if bias:
            tensors.append(numpy_helper.from_array(rng.normal(0, 1, [n]).astype(dtype), "c"))
        node = helper.make_node("MatMulNBits", inputs + (["", "c"] if bias else []), ["y"], domain="com.microsoft", K=k,
                                N=n, bits=bits, block_size=size, accuracy_level=1)
        made = model([node], {"x": x}, ["y"], tensors)
        same(made, {"x": x}, 1e-4 if dtype == np.float32 else 3e-2)


def test_products_with_an_order_of_groups_are_refused():
    x = np.zeros((1, 16), np.float32)
    tensors = [numpy_helper.from_array(np.zeros((3, 1, 8), np.uint8), "b"),
               numpy_helper.from_array(np.ones((3, 1), np.float32), "s"),
               numpy_helper.from_array(np.zeros(16, np.int32), "g")]
    node = helper.make_node("MatMulNBits", ["x", "b", "s", "", "g"], ["y"], domain="com.microsoft", K=16, N=3, bits=4,
                            block_size=16)
    with pytest.raises(efferent.UnsupportedError, match="g_idx"):
        efferent.Policy(model([node], {"x": x}, ["y"], tensors).SerializeToString())


@pytest.mark.parametrize("name", KINDS)
def test_gathers_from_a_table_in_blocks(name):
    kind, low, high = KINDS[name]
    rng = np.random.default_rng(3)
    tensors = [nibbles("t", kind, rng.integers(low, high + 1, [7, 40])),
               numpy_helper.from_array(rng.uniform(0.01, 0.1, [7, 3]).astype(np.float32), "s"),
               nibbles("z", kind, rng.integers(low, high + 1, [7, 3]))]
    ids = np.array([[0, 6, 3]], np.int64)
    for inputs in (["t", "ids", "s", "z"], ["t", "ids", "s"]):
        node = helper.make_node("GatherBlockQuantized", inputs, ["y"], domain="com.microsoft", gather_axis=0,
                                quantize_axis=1, block_size=16)
        same(model([node], {"ids": ids}, ["y"], tensors), {"ids": ids})
