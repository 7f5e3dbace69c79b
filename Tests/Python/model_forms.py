"""Small models in the forms that exporters write: subgraphs, functions, shapes computed from inputs, odd inputs and
outputs."""
import numpy as np
from onnx import TensorProto, helper, numpy_helper

F, I, B = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL


def node(op, inputs, outputs, **attributes):
    return helper.make_node(op, inputs.split(), outputs.split(), **attributes)


def const(name, value, dtype=np.float32):
    return node("Constant", "", name, value=numpy_helper.from_array(np.array(value, dtype)))


def tensor(name, shape, kind=F):
    return helper.make_tensor_value_info(name, kind, shape)


def graph(nodes, inputs, outputs, initializers=()):
    outputs = [o if not isinstance(o, str) else helper.make_empty_tensor_value_info(o) for o in outputs]
    return helper.make_graph(nodes, "g", inputs, outputs,
                             [numpy_helper.from_array(np.array(v), k) for k, v in dict(initializers).items()])


def model(nodes, inputs, outputs, initializers=(), opset=17, **more):
    return helper.make_model(graph(nodes, inputs, outputs, initializers),
                             opset_imports=[helper.make_opsetid("", opset)], ir_version=9, **more)


X = [tensor("x", [2, 3])]


def if_constant():
    then, other = graph([node("Relu", "x", "a")], [], ["a"]), graph([node("Neg", "x", "b")], [], ["b"])
    return model([const("c", False, np.bool_), node("If", "c", "y", then_branch=then, else_branch=other)], X, ["y"])


def if_on_shape():
    then, other = graph([node("Squeeze", "x one", "a")], [], ["a"]), graph([node("Identity", "x", "b")], [], ["b"])
    nodes = [const("zero", 0, np.int64), const("one", [0], np.int64), const("k", 1, np.int64), node("Shape", "x", "s"),
             node("Gather", "s zero", "n"),
             node("Equal", "n k", "c"), node("If", "c", "y", then_branch=then, else_branch=other)]
    return model(nodes, [tensor("x", [1, 3])], ["y"])


def if_nested():
    inner = graph([node("If", "c", "d", then_branch=graph([node("Add", "x w", "e")], [], ["e"]),
                        else_branch=graph([node("Identity", "x", "f")], [], ["f"]))], [], ["d"])
    return model([const("c", True, np.bool_),
                  node("If", "c", "y", then_branch=inner, else_branch=graph([node("Neg", "x", "b")], [], ["b"]))], X,
                 ["y"], {"w": np.float32(2)})


def loop_fixed():
    body = graph([node("Mul", "v w", "u"), node("Add", "u x", "v2"), node("Identity", "go", "go2"),
                  node("ReduceSum", "v2", "r", keepdims=0)],
                 [tensor("i", [], I), tensor("go", [], B), tensor("v", [2, 3])],
                 [tensor("go2", [], B), tensor("v2", [2, 3]), tensor("r", [])])
    return model([node("Loop", "n t x", "y z", body=body)], X, ["y", "z"],
                 {"n": np.int64(4), "t": np.bool_(True), "w": np.float32(0.5)})


def loop_counter():
    nodes = [node("Gather", "x i", "row", axis=0), node("Add", "v row", "v2"), node("Less", "i two", "c0"),
             node("Identity", "c0", "go2"), node("Cast", "i", "f", to=F)]
    body = graph(nodes, [tensor("i", [], I), tensor("go", [], B), tensor("v", [3])],
                 [tensor("go2", [], B), tensor("v2", [3]), tensor("f", [])])
    return model([node("Loop", "n t v0", "y z", body=body)], [tensor("x", [5, 3])], ["y", "z"],
                 {"n": np.int64(5), "t": np.bool_(True), "two": np.int64(2), "v0": np.zeros(3, np.float32)})


def scan_sum():
    body = graph([node("Add", "s e", "s2"), node("Mul", "s2 e", "o")], [tensor("s", [3]), tensor("e", [3])],
                 [tensor("s2", [3]), tensor("o", [3])])
    return model([node("Scan", "s0 x", "y z", body=body, num_scan_inputs=1)], [tensor("s0", [3]), tensor("x", [4, 3])],
                 ["y", "z"])


def scan_backward():
    body = graph([node("Add", "s e", "s2"), node("Identity", "s2", "o")], [tensor("s", [2]), tensor("e", [2])],
                 [tensor("s2", [2]), tensor("o", [2])])
    more = {"scan_input_axes": [1], "scan_input_directions": [1], "scan_output_axes": [1],
            "scan_output_directions": [1]}
    return model([node("Scan", "s0 x", "y z", body=body, num_scan_inputs=1, **more)],
                 [tensor("s0", [2]), tensor("x", [2, 5])], ["y", "z"])


def input_as_output():
    return model([node("Relu", "x", "y")], [tensor("x", [2, 3]), tensor("h", [4])],
                 ["y", tensor("h", [4]), tensor("x", [2, 3])])


def identity_of_input():
    return model([node("Identity", "x", "y"), node("Identity", "y", "z"), node("Reshape", "x s", "w")], X,
                 ["y", "z", "w"], {"s": np.array([3, 2])})


def constant_output():
    return model([const("c", [1, 2, 3]), node("Add", "x c", "y"), node("Exp", "c", "e")], X, ["y", "c", "e"])


def one_value_many_views():
    nodes = [node("Relu", "x", "r"), node("Reshape", "r s", "a"), node("Transpose", "r", "b", perm=[1, 0]),
             node("Slice", "r st en", "c")]
    return model(nodes, X, ["r", "a", "b", "c"], {"s": np.array([6]), "st": np.array([1]), "en": np.array([2])})


def constant_forms():
    nodes = [node("Constant", "", "a", value_float=1.5), node("Constant", "", "b", value_floats=[1.0, 2.0, 3.0]),
             node("Constant", "", "i", value_ints=[1, 1]),
             node("Constant", "", "k", value_int=1), node("Add", "x a", "p"), node("Mul", "p b", "q"),
             node("Gather", "q k", "r", axis=0), node("Gather", "q i", "t", axis=0)]
    return model(nodes, X, ["r", "t"])


def initializers_as_inputs():
    m = model([node("Gemm", "x w b", "y")], [*X, tensor("w", [3, 4]), tensor("b", [4])], ["y"],
              {"w": np.linspace(-1, 1, 12).astype(np.float32).reshape(3, 4), "b": np.ones(4, np.float32)}, opset=9)
    m.ir_version = 3
    return m


def dynamic_batch():
    nodes = [node("Shape", "x", "s"), node("Gather", "s zero", "n"), node("Unsqueeze", "n axes", "n1"),
             node("Concat", "n1 rest", "shape", axis=0), node("Reshape", "x shape", "r"),
             node("ConstantOfShape", "n1", "z"), node("Add", "z r", "y")]
    return model(nodes, [tensor("x", ["batch", 3])], ["y"],
                 {"zero": np.int64(0), "axes": np.array([0]), "rest": np.array([-1, 1])}, opset=13)


def mask_from_range():
    nodes = [node("Shape", "x", "s"), node("Gather", "s one", "n"), node("Range", "zero n one", "r"),
             node("Unsqueeze", "r a0", "row"), node("Unsqueeze", "r a1", "col"),
             node("LessOrEqual", "row col", "m"), node("Where", "m x low", "y")]
    return model(nodes, [tensor("x", [3, 3])], ["y"],
                 {"zero": np.int64(0), "one": np.int64(1), "a0": np.array([0]), "a1": np.array([1]),
                  "low": np.float32(-9)})


def local_function():
    f = helper.make_function("local", "Scale", ["a"], ["b"],
                             [node("Mul", "a a", "s"), node("Elu", "s", "b", alpha=0.5)], [helper.make_opsetid("", 17)])
    m = model([helper.make_node("Scale", ["x"], ["t"], domain="local"),
               helper.make_node("Scale", ["t"], ["y"], domain="local")], X, ["y"], functions=[f])
    m.opset_import.append(helper.make_opsetid("local", 1))
    return m


def unused_imports():
    m = model([node("Tanh", "x", "y")], X, ["y"])
    m.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    m.opset_import.append(helper.make_opsetid("ai.onnx.ml", 3))
    return m


def rank_one():
    return model([node("MatMul", "x w", "h"), node("Add", "h b", "t"), node("Tanh", "t", "y"),
                  node("ReduceSum", "y", "z", keepdims=0)], [tensor("x", [3])], ["y", "z"],
                 {"w": np.linspace(-1, 1, 12).astype(np.float32).reshape(3, 4), "b": np.ones(4, np.float32)})


def image_input():
    nodes = [node("Cast", "x", "f", to=F), node("Div", "f s", "n"), node("Transpose", "n", "t", perm=[0, 3, 1, 2]),
             node("Conv", "t w", "c", strides=[2, 2]), node("Relu", "c", "y")]
    return model(nodes, [tensor("x", [1, 8, 8, 2], TensorProto.UINT8)], ["y"],
                 {"s": np.float32(255), "w": np.linspace(-1, 1, 54).astype(np.float32).reshape(3, 2, 3, 3)})


def bool_input():
    nodes = [node("Not", "m", "k"), node("Cast", "k", "f", to=F), node("Mul", "x f", "p"),
             node("Where", "m zero p", "y"), node("Gather", "table i", "e"), node("Add", "e y", "z")]
    return model(nodes, [tensor("x", [2, 3]), tensor("m", [2, 3], B), tensor("i", [2], I)], ["y", "z"],
                 {"zero": np.float32(0), "table": np.arange(12, dtype=np.float32).reshape(4, 3)})


def half():
    w = np.linspace(-1, 1, 12).astype(np.float16).reshape(3, 4)
    return model([node("Cast", "x", "h", to=TensorProto.FLOAT16), node("MatMul", "h w", "m"), node("Tanh", "m", "t"),
                  node("Softmax", "t", "s"), node("Cast", "s", "y", to=F)], X, ["y"], {"w": w})


def quantize_chain():
    nodes = [node("QuantizeLinear", "x s z", "q"), node("DequantizeLinear", "q s z", "d"),
             node("DequantizeLinear", "w ws wz", "v", axis=1), node("MatMul", "d v", "m"), node("Relu", "m", "y")]
    return model(nodes, X, ["y"],
                 {"s": np.float32(0.05), "z": np.uint8(120), "w": np.arange(-6, 6).reshape(3, 4).astype(np.int8),
                  "ws": np.array([0.1, 0.2, 0.3, 0.1], np.float32),
                                   "wz": np.zeros(4, np.int8)})


def sequences():
    nodes = [node("SplitToSequence", "x ones", "q", axis=1), node("SequenceAt", "q one", "b"),
             node("SequenceInsert", "q b", "q2"), node("ConcatFromSequence", "q2", "y", axis=1),
             node("SequenceConstruct", "x x", "p"), node("ConcatFromSequence", "p", "z", axis=0, new_axis=1),
             node("SequenceLength", "q", "n")]
    return model(nodes, X, ["y", "z", "n"], {"ones": np.array([1, 1, 1]), "one": np.int64(1)})


def training_flags():
    nodes = [node("Dropout", "x r t", "d"), node("BatchNormalization", "d s b m v", "y", training_mode=0)]
    return model(nodes, X, ["y"],
                 {"r": np.float32(0.5), "t": np.bool_(False), "s": np.ones(3, np.float32), "b": np.zeros(3, np.float32),
                  "m": np.full(3, 0.5, np.float32), "v": np.full(3, 2, np.float32)})


def nonzero_constant():
    return model([const("c", [[0, 1], [1, 1]]), node("NonZero", "c", "i"), node("Transpose", "i", "t"),
                  node("GatherND", "x t", "y")], X, ["y", "i"])


def split_reused():
    nodes = [node("Split", "x", "a b c", axis=1, num_outputs=3), node("Concat", "c a b a", "y", axis=1),
             node("Add", "a b", "z")]
    return model(nodes, X, ["y", "z", "b"], opset=18)


FORMS = [if_constant, if_on_shape, if_nested, loop_fixed, loop_counter, scan_sum, scan_backward, input_as_output,
         identity_of_input, constant_output, one_value_many_views,
         constant_forms, initializers_as_inputs, dynamic_batch, mask_from_range, local_function, unused_imports,
         rank_one, image_input, bool_input, half, quantize_chain,
         sequences, training_flags, nonzero_constant, split_reused]
