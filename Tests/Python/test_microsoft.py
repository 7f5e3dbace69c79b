"""What operators of com.microsoft refuse. What they compute: test_random_ops.py (one by one) and test_tool_files.py (in
files of onnxruntime's tools)."""
import efferent
import numpy as np
import pytest
import schemas
from onnx import helper, numpy_helper


def refusal(op, inputs, attributes, constants=(), outputs=("y",)):
    """The message with which a model of one node is refused. inputs: name -> array."""
    ports = [helper.make_tensor_value_info(k, helper.np_dtype_to_tensor_dtype(v.dtype), v.shape)
             for k, v in inputs.items() if k and k not in constants]
    tensors = [numpy_helper.from_array(inputs[k], k) for k in constants]
    node = helper.make_node(op, list(inputs), outputs, "tested", domain="com.microsoft", **attributes)
    graph = helper.make_graph([node], "g", ports, [helper.make_empty_tensor_value_info(o) for o in outputs], tensors)
    made = helper.make_model(graph,
                             opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)],
                             ir_version=10)
    with pytest.raises(efferent.UnsupportedError) as e:
        efferent.Policy(made.SerializeToString())
    return str(e.value)


@pytest.mark.parametrize("op", schemas.MICROSOFT)
def test_unknown_attribute_is_refused_by_name(op):
    message = refusal(op, {"x": np.zeros((1, 2, 4), np.float32)}, {"efferent_unknown": 1})
    assert "node 'tested'" in message and f"attribute 'efferent_unknown' is not defined for {op}" in message


X = np.zeros((1, 2, 4), np.float32)
QKV = {"x": X, "w": np.zeros((4, 12), np.float32), "b": np.zeros(12, np.float32)}


@pytest.mark.parametrize(("op", "inputs", "attributes", "words"), [
    ("Attention", QKV, dict(num_heads=2, do_rotary=1), "do_rotary"),
    ("Attention", QKV, dict(num_heads=2, past_present_share_buffer=1), "past_present_share_buffer"),
    ("Attention", QKV | {"mask": np.zeros((1, 1, 8, 8), np.int32)}, dict(num_heads=2),
     r"the mask is [1, 1, 8, 8], expected"),
    ("MultiHeadAttention", {"q": np.zeros((1, 2, 2, 3, 2), np.float32)}, dict(num_heads=2), "packed into one tensor"),
    ("MultiHeadAttention", {"q": X, "k": np.zeros((1, 3, 4), np.float32), "v": np.zeros((1, 3, 4), np.float32)},
     dict(num_heads=2, unidirectional=1), "is unidirectional with 3 keys for 2"),
    ("RotaryEmbedding",
     {"x": X, "p": np.zeros(1, np.int64), "c": np.zeros((4, 2), np.float32), "s": np.zeros((4, 2), np.float32)},
     dict(scale=2.0), "expected 0 and 1"),
    ("MatMulNBits", {"x": X, "b": np.zeros((3, 1, 8), np.uint8), "s": np.ones((3, 1), np.float32)},
     dict(K=4, N=3, block_size=16, bits=4), "its B is computed while running"),
    ("MatMulNBits", {"x": X, "b": np.zeros((3, 1, 8), np.uint8), "s": np.ones((3, 1), np.float32)},
     dict(K=4, N=3, block_size=24, bits=4), "block_size 24"),
    ("MatMulNBits", {"x": X, "b": np.zeros((3, 1, 8), np.uint8), "s": np.ones((3, 1), np.float32)},
     dict(K=4, N=3, block_size=16, weight_prepacked=1), "weight_prepacked"),
    ("FusedGemm", {"x": X[0], "w": np.zeros((4, 3), np.float32)}, dict(activation="Swirl"),
     "activation 'Swirl' is not known"),
    ("FusedConv", {"x": X, "w": np.zeros((1, 2, 1), np.float32)}, dict(activation="Wave"),
     "activation 'Wave' is not known"),
    ("FusedGemm", {"x": X[0], "w": np.zeros((4, 3), np.float32)}, dict(activation="Relu", activation_gamma=1.0),
     "attribute 'activation_gamma' is not implemented"),
    ("QMoE", {"x": X}, {}, "operator 'QMoE' belongs to the custom domain 'com.microsoft'"),
])
def test_what_is_not_implemented_is_refused_by_name(op, inputs, attributes, words):
    message = refusal(op, inputs, attributes)
    assert "node 'tested'" in message and words in message
