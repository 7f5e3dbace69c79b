"""Writes the seed corpus: small ONNX models that between them use every group of operators, safetensors
policies with every kind of layer, policy cards with every kind of key, and frames of the bridge.

    python Tests/Fuzz/seeds.py [FOLDER]     (default: Tests/Fuzz/seeds; needs numpy and onnx, see Tests/requirements.txt)
"""
import json
import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto as T
from onnx import helper, numpy_helper

F = T.FLOAT
SEEDS = {}


def normal(*shape):
    return (np.random.default_rng(int(np.prod(shape))).normal(size=shape) * 0.3).astype(np.float32)


def ints(*values):
    return np.array(values, np.int64)


def seed(name, nodes, inputs, outputs, weights=None, opset=18, **more):
    """Keeps a model; nodes are (op, inputs, outputs, attributes), inputs and outputs are name -> shape or (type, shape)."""
    def info(ports):
        return [helper.make_tensor_value_info(k, *(v if isinstance(v, tuple) else (F, v))) for k, v in ports.items()]
    made = [helper.make_node(op, i.split(","), o.split(","), **(a[0] if a else {})) for op, i, o, *a in nodes]
    graph = helper.make_graph(made, name, info(inputs), info(outputs), [numpy_helper.from_array(np.asarray(v), k) for k, v in (weights or {}).items()])
    SEEDS[name] = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)] + more.pop("opsets", []), ir_version=8, **more)


def body(name, nodes, inputs, outputs):
    """A subgraph; inputs and outputs are name -> (type, shape)."""
    return helper.make_graph(
        [helper.make_node(op, i.split(",") if i else [], o.split(","), **(a[0] if a else {})) for op, i, o, *a in nodes], name,
        [helper.make_tensor_value_info(k, *v) for k, v in inputs.items()], [helper.make_tensor_value_info(k, *v) for k, v in outputs.items()])


def dense():
    seed("mlp", [("Sub", "obs,mean", "a"), ("Div", "a,std", "b"), ("Clip", "b,low,high", "c"), ("Gemm", "c,w,v", "d", {"transB": 1}), ("Elu", "d", "e"),
                 ("MatMul", "e,w2", "f"), ("Add", "f,v2", "g"), ("Tanh", "g", "action")],
         {"obs": ["batch", 6]}, {"action": ["batch", 3]},
         {"mean": normal(6), "std": np.ones(6, np.float32), "low": np.float32(-5), "high": np.float32(5), "w": normal(8, 6), "v": normal(8),
          "w2": normal(8, 3), "v2": normal(3)})
    seed("einsum", [("Einsum", "x,w", "a", {"equation": "b i j , j k -> b k i"}), ("Einsum", "a", "b", {"equation": "bii->bi"}),
                    ("Einsum", "x,x", "y", {"equation": "...ij,...kj->...ik"})],
         {"x": [2, 3, 3]}, {"b": [2, 3], "y": [2, 3, 3]}, {"w": normal(3, 3)})
    q = np.random.default_rng(1).integers(-90, 90, (4, 5)).astype(np.int8)
    seed("quantized", [("DequantizeLinear", "q,s,z", "w", {"axis": 1}), ("QuantizeLinear", "x,xs,xz", "xq"), ("DequantizeLinear", "xq,xs,xz", "xd"),
                       ("MatMul", "xd,w", "y"), ("DynamicQuantizeLinear", "y", "yq,ys,yz"), ("Cast", "yq", "yf", {"to": F}), ("Mul", "yf,ys", "out"),
                       ("MatMulInteger", "xq,q", "m"), ("Cast", "m", "mi", {"to": F})],
         {"x": [2, 4]}, {"out": [2, 5], "mi": [2, 5]},
         {"q": q, "s": np.abs(normal(5)), "z": np.zeros(5, np.int8), "xs": np.float32(0.02), "xz": np.uint8(128)})


def recurrent():
    h = 4
    for op, gates in ("LSTM", 4), ("GRU", 3), ("RNN", 1):
        states = ["h_in", "c_in"][: 2 if op == "LSTM" else 1]
        seed(op.lower(), [("Unsqueeze", "obs,zero", "x"), (op, "x,w,r,v,," + ",".join(states), "y,h_out" + (",c_out" if op == "LSTM" else ""), {"hidden_size": h}),
                          ("Squeeze", "y", "y1"), ("Reshape", "y1,form", "action")],
             {"obs": [1, 3]} | {s: [1, 1, h] for s in states}, {"action": [1, h]} | {s.replace("in", "out"): [1, 1, h] for s in states},
             {"zero": ints(0), "w": normal(1, gates * h, 3), "r": normal(1, gates * h, h), "v": normal(1, 2 * gates * h), "form": ints(1, h)})
    seed("bidirectional", [("LSTM", "x,w,r,v,lengths", "y,yh,yc", {"hidden_size": 3, "direction": "bidirectional", "activations": ["Sigmoid", "Tanh", "Relu"] * 2})],
         {"x": [4, 2, 3], "lengths": (T.INT32, [2])}, {"y": [4, 2, 2, 3], "yh": [2, 2, 3]}, {"w": normal(2, 12, 3), "r": normal(2, 12, 3), "v": normal(2, 24)})


def windows():
    seed("conv", [("Cast", "image", "f", {"to": F}), ("Conv", "f,w,v", "a", {"strides": [2, 2], "pads": [1, 1, 1, 1]}), ("Relu", "a", "b"),
                  ("MaxPool", "b", "c", {"kernel_shape": [2, 2], "strides": [2, 2], "ceil_mode": 1}), ("Conv", "c,w2", "d", {"group": 4, "auto_pad": "SAME_UPPER"}),
                  ("AveragePool", "d", "e", {"kernel_shape": [2, 2], "count_include_pad": 1}), ("Flatten", "e", "g"), ("MatMul", "g,w3", "action")],
         {"image": (T.UINT8, [1, 3, 9, 9])}, {"action": [1, 2]},
         {"w": normal(4, 3, 3, 3), "v": normal(4), "w2": normal(4, 1, 3, 3), "w3": normal(16, 2)})
    seed("transposed", [("ConvTranspose", "x,w", "a", {"strides": [2], "output_padding": [1]}), ("Conv", "a,w2", "b", {"dilations": [2]}),
                        ("InstanceNormalization", "b,s,s", "c"), ("LpPool", "c", "y", {"kernel_shape": [3]})],
         {"x": [1, 2, 5]}, {"y": [1, 3, 6]}, {"w": normal(2, 3, 3), "w2": normal(3, 3, 3), "s": normal(3)})
    seed("resize", [("Resize", "x,,scales", "a", {"mode": "linear"}), ("Resize", "x,,,sizes", "b", {"mode": "cubic", "coordinate_transformation_mode": "align_corners"}),
                    ("GridSample", "a,grid", "c"), ("SpaceToDepth", "b", "e", {"blocksize": 2})],
         {"x": [1, 1, 4, 4], "grid": [1, 3, 3, 2]}, {"c": [1, 1, 3, 3], "e": [1, 4, 3, 3]}, {"scales": np.array([1, 1, 2, 2], np.float32), "sizes": ints(1, 1, 6, 6)})


def indexing():
    seed("slices", [("Slice", "x,starts,ends,axes,steps", "a"), ("Split", "x,parts", "b,c", {"axis": 1}), ("Concat", "c,b", "d", {"axis": -1}),
                    ("Pad", "d,pads,fill", "e"), ("Pad", "d,pads", "f", {"mode": "reflect"}), ("Tile", "a,twice", "g"), ("Transpose", "g", "h")],
         {"x": [3, 6]}, {"e": [5, 7], "f": [5, 7], "h": [6, 4]},
         {"starts": ints(-1, 0), "ends": ints(-(2**63), 2**63 - 1), "axes": ints(0, 1), "steps": ints(-1, 2), "parts": ints(2, 4), "pads": ints(1, 0, 1, 1),
          "fill": np.float32(3), "twice": ints(2, 2)})
    seed("gathers", [("Gather", "table,i", "a"), ("GatherElements", "a,e", "b", {"axis": 1}), ("GatherND", "table,n", "c"), ("ScatterElements", "table,e2,u", "d"),
                     ("ScatterND", "table,n,u2", "f", {"reduction": "add"}), ("OneHot", "i,depth,two", "g"), ("Trilu", "table", "h"),
                     ("TopK", "table,k", "v,w"), ("ArgMax", "table", "m", {"axis": 1}), ("CumSum", "table,axis", "p")],
         {"i": (T.INT64, [2]), "e": (T.INT64, [2, 2])},
         {"b": [2, 2], "c": [2], "d": [4, 3], "f": [4, 3], "g": [2, 4], "h": [4, 3], "v": [4, 2], "w": (T.INT64, [4, 2]), "m": (T.INT64, [4, 1]), "p": [4, 3]},
         {"table": normal(4, 3), "n": np.array([[0, 1], [3, 2]]), "e2": np.array([[0, 1, 2]]), "u": normal(1, 3), "u2": normal(2), "depth": ints(4),
          "two": np.array([0, 1], np.float32), "k": ints(2), "axis": ints(1)})
    seed("shapes", [("Shape", "x", "s"), ("Gather", "s,one", "d"), ("Range", "zero,d0,unit", "r"), ("Unsqueeze", "d,zeros", "d1"), ("Concat", "minus,d1", "t", {"axis": 0}),
                    ("Reshape", "x,t", "y"), ("ConstantOfShape", "s", "c"), ("Add", "y,c", "z"), ("Expand", "one_f,s", "e"), ("EyeLike", "x", "f"), ("Squeeze", "d1", "q"),
                    ("Where", "mask,x,e", "out"), ("Cast", "r", "rf", {"to": F})],
         {"x": [2, 3]}, {"z": [2, 3], "out": [2, 3], "f": [2, 3], "rf": [4]},
         {"one": np.int64(1), "zero": np.int64(0), "d0": np.int64(4), "unit": np.int64(1), "zeros": ints(0), "minus": ints(-1), "one_f": normal(1),
          "mask": np.array([[True, False, True]])})


def normalization():
    seed("norms", [("BatchNormalization", "x,s,b,m,v", "a"), ("LayerNormalization", "a,ls,lb", "c"), ("GroupNormalization", "c,s,b", "d", {"num_groups": 2}),
                   ("LpNormalization", "d", "e"), ("ReduceMean", "e,axes", "f", {"keepdims": 0}), ("Softmax", "f", "g"), ("LRN", "x", "l", {"size": 3}),
                   ("ReduceLogSumExp", "l", "r"), ("Hardmax", "g", "hm"), ("GlobalAveragePool", "x", "gp")],
         {"x": [1, 4, 5]}, {"g": [1, 4], "r": [1, 1, 1], "hm": [1, 4], "gp": [1, 4, 1]},
         {"s": normal(4), "b": normal(4), "m": normal(4), "v": np.abs(normal(4)), "ls": normal(5), "lb": normal(5), "axes": ints(-1)}, opset=21)
    seed("attention", [("MatMul", "x,wq", "q"), ("MatMul", "x,wk", "k"), ("MatMul", "x,wv", "v"), ("Transpose", "k", "kt", {"perm": [0, 2, 1]}), ("MatMul", "q,kt", "s"),
                       ("Div", "s,root", "t"), ("Softmax", "t", "p"), ("MatMul", "p,v", "o"), ("Erf", "o", "e"), ("Add", "o,e", "y")],
         {"x": [1, 3, 4]}, {"y": [1, 3, 4]}, {"wq": normal(4, 4), "wk": normal(4, 4), "wv": normal(4, 4), "root": np.float32(2)})
    seed("random", [("RandomNormalLike", "x", "a"), ("Mul", "a,std", "b"), ("Add", "x,b", "y"), ("Sigmoid", "x", "p"), ("Bernoulli", "p", "t"),
                    ("Multinomial", "x", "m", {"sample_size": 3})],
         {"x": [2, 4]}, {"y": [2, 4], "t": [2, 4], "m": (T.INT32, [2, 3])}, {"std": np.float32(0.1)})


def control():
    then = body("then", [("Relu", "x", "t")], {}, {"t": (F, [2])})
    other = body("else", [("Neg", "x", "e")], {}, {"e": (F, [2])})
    loop = body("loop", [("Add", "v,x", "w"), ("Identity", "w", "scan"), ("Identity", "go", "again")], {"i": (T.INT64, []), "go": (T.BOOL, []), "v": (F, [2])},
                {"again": (T.BOOL, []), "w": (F, [2]), "scan": (F, [2])})
    scan = body("scan", [("Add", "state,element", "next"), ("Mul", "next,element", "out")], {"state": (F, [2]), "element": (F, [2])}, {"next": (F, [2]), "out": (F, [2])})
    seed("control", [("If", "yes", "a", {"then_branch": then, "else_branch": other}), ("Loop", "trips,yes,x", "b,c", {"body": loop}),
                     ("Scan", "a,c", "d,e", {"body": scan, "num_scan_inputs": 1})],
         {"x": [2]}, {"b": [2], "d": [2], "e": [3, 2]}, {"yes": np.array(True), "trips": np.int64(3)})
    f = helper.make_function("local", "Scale", ["x"], ["y"], [helper.make_node("Constant", [], ["c"]), helper.make_node("Mul", ["x", "c"], ["y"])],
                             [helper.make_opsetid("", 18)], ["factor"])
    reference = onnx.AttributeProto(name="value_float", type=onnx.AttributeProto.FLOAT, ref_attr_name="factor")
    f.node[0].attribute.append(reference)
    seed("function", [("Relu", "x", "a")], {"x": [3]}, {"y": [3]}, opsets=[helper.make_opsetid("local", 1)], functions=[f])
    SEEDS["function"].graph.node.append(helper.make_node("Scale", ["a"], ["y"], domain="local", factor=2.5))


def types():
    values = {"f16": np.float16, "f64": np.float64, "i8": np.int8, "i32": np.int32, "i64": np.int64, "u8": np.uint8, "b": np.bool_}
    nodes = [("Cast", k, "c" + k, {"to": F}) for k in values] + [("Sum", ",".join("c" + k for k in values) + ",x", "y")]
    seed("types", nodes, {"x": [2]}, {"y": [2]}, {k: np.array([0, 1]).astype(v) for k, v in values.items()})
    seed("typed", [("Add", "x,w", "y")], {"x": [2]}, {"y": [2]})
    SEEDS["typed"].graph.initializer.append(helper.make_tensor("w", F, [2], [1.5, 2.5]))
    seed("opset7", [("Pad", "x", "a", {"pads": [0, 1, 0, 1], "value": 1.0}), ("Slice", "a", "b", {"starts": [0], "ends": [2**31 - 1], "axes": [1]}),
                    ("Unsqueeze", "b", "c", {"axes": [0]}), ("Squeeze", "c", "d", {"axes": [0]}), ("Softmax", "d", "y"), ("Clip", "y", "z", {"min": 0.0, "max": 1.0})],
         {"x": [1, 3]}, {"z": [1, 5]}, opset=7)


def safetensors():
    """{name: bytes} of policies in the format of Sources/Safetensors/FORMAT.md."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "bindings" / "python"))
    from efferent._convert.safetensors import dumps

    def policy(layers, tensors, shape=(4,), **more):
        return dumps(tensors, {"note": "a seed"}, {"efferent": 1, "inputs": [{"name": "obs", "shape": list(shape)}], "layers": layers, **more})

    def gates(name, count):
        return {f"{name}.weight_ih_l0": normal(3 * count, 4), f"{name}.weight_hh_l0": normal(3 * count, 3), f"{name}.bias_ih_l0": normal(3 * count), f"{name}.bias_hh_l0": normal(3 * count)}

    wide = {"type": "dense", "name": "a"}
    return {
        "dense": policy([{"type": "normalizer", "mean": "m", "var": "v", "eps": 1e-8, "clip": 10, "dtype": "f64"}, {**wide, "activation": "elu"}, {"type": "layer_norm", "name": "n"},
                         {"type": "dense", "name": "b", "weight_scale": "s"}, {"type": "squash", "low": -1, "high": [1, 2]}],
                        {"m": normal(4).astype(np.float64), "v": np.ones(4), "a.weight": normal(6, 4).astype(np.float16), "a.bias": normal(6), "n.weight": normal(6), "n.bias": normal(6),
                         "b.weight": np.ones((2, 6), np.int8), "s": normal(2)}),
        "memory": policy([{"type": "lstm", "name": "l"}, {"type": "scale", "scale": 2, "offset": [0, 1, 2]}, {"type": "gru", "name": "g", "from": "obs"},
                          {"type": "rnn", "name": "r", "from": "obs", "activation": "relu", "state": False}, {"type": "concat", "from": ["l", "g", "r"]}, {"type": "clip", "low": -1}],
                         gates("l", 4) | gates("g", 3) | gates("r", 1), outputs=[{"name": "action"}, {"name": "memory", "from": "l"}]),
        "image": policy([{"type": "conv", "name": "c", "stride": 2, "padding": 1, "activation": "relu"}, {"type": "batch_norm", "name": "n"}, {"type": "max_pool", "size": 2, "stride": 1},
                         {"type": "group_norm", "name": "p", "weight": "n.weight", "bias": "n.bias", "groups": 2}, {"type": "average_pool", "size": [2, 1]},
                         {"type": "transpose", "axes": [1, 2, 0]}, {"type": "reshape", "shape": [2, 4]}, {"type": "rms_norm"}, {"type": "flatten"}, {"type": "softmax", "axis": 0}],
                        {"c.weight": normal(4, 2, 3, 3), "n.weight": normal(4), "n.bias": normal(4), "n.running_mean": normal(4), "n.running_var": np.ones(4, np.float32)}, (2, 5, 5)),
        "choice": policy([{"type": "one_hot", "classes": 3}, {"type": "embedding", "name": "e", "from": "obs"}, {"type": "max", "name": "x", "axis": 0, "keep": True},
                          {"type": "mean", "name": "y", "from": "e", "axis": 0, "keep": True}, {"type": "subtract", "from": ["x", "y"]}, {"type": "slice", "begin": 1, "end": 3},
                          {"type": "step", "name": "z"}, {"type": "argmax"}],
                         {"e.weight": normal(5, 4)}, inputs=[{"name": "obs", "shape": [2], "dtype": "i64"}], outputs=[{"name": "action"}, {"name": "flags", "from": "z"}]),
    }


def cards():
    """{file name: bytes} of policy cards, and networks whose metadata become cards."""
    joints = ["a", "b"]
    small = {"command": "velocity", "norm": "parts", "parts": [["vx"], ["wz"]], "below": 0.1}
    stats = {"mode": "mean_std", "eps": 1e-6, "mean": [0, 1], "std": [1, 2]}
    walk = {
        "efferent_card": 1, "policy_period": 0.02, "control_period": 0.005, "joint_order": joints, "target_init": "measured",
        "joints": {"a": {"default": 0.1, "kp": 20, "kd": 0.5, "lower": -1, "upper": 1}, "b": {"default": None, "kp": None, "kd": 1, "velocity_limit": 9, "effort_limit": 30}},
        "models": [{"name": "encoder", "inputs": {"x": {"from": "vector:old"}, "q": {"from": "signal:base.orientation", "quaternion": "xyzw"}}, "outputs": {"z": {"to": "vector:obs"}}},
                   {"name": "policy", "inputs": {"obs": {"from": "vector:obs"}, "h_in": {"from": "memory:h"}, "t": {"from": "counter:k"}, "c": {"from": "constant", "value": [1, 2]}},
                    "outputs": {"actions": {"to": "action"}, "h_out": {"to": "memory:h"}, "joint_pos": {"to": "reference:joint_position"}, "kp": {"to": "kp"}}}],
        "vectors": {
            "old": {"layout": "time_major", "clip": [-9, 9], "first_tick": "zeros", "terms": [
                {"name": "w", "op": "base_angular_velocity", "size": 3, "scale": [1, 2, 3], "ages": [1, 0], "fill": "zero"},
                {"name": "ref", "op": "reference_joint_position_velocity", "size": 4, "ages": [1, 0]}]},
            "obs": {"layout": "term_major", "terms": [
                {"name": "z", "op": "model_output", "size": 4, "model": "encoder", "output": "z"}, {"op": "joint_position", "size": 2, "minus_default": True, "normalize": stats},
                {"op": "clock", "size": 4, "clock": "gait", "fn": ["sin", "cos"], "zero_when": small}, {"op": "command", "size": 1, "command": "velocity", "fields": ["wz"]},
                {"op": "last_action", "size": 2, "of": "clipped", "age": 1}, {"op": "constant", "size": 1, "value": [0.5]},
                {"op": "relative_orientation", "size": 6, "signals": ["cube.orientation", "goal.orientation"], "layout": "r10,r11,r12,r20,r21,r22"}]}},
        "memory": {"h": {"shape": [1, 1, 8], "dtype": "f32", "init": 0}}, "counters": {"k": {"start": 0, "step": 1, "last": 9}},
        "clocks": {"gait": {"period": 0.7, "phases": [0, 0.5], "stand": {**small, "phases": [0.5, 0.5], "resume": "restart"}},
                   "ramp": {"frequency_ramp": {"command": "velocity", "base": 1.25, "gain": 0.5, "limit": 1.5}, "advance": "after_use", "wrap": "zero_above_one"}},
        "commands": {"velocity": {"signal": "command.velocity", "fields": ["vx", "wz"], "units": ["m/s", None], "range": [[-1, 1], None], "clamp": True, "slew": 2}},
        "actions": [{"name": "legs", "type": "position", "model": "policy", "output": "actions", "index": [1, 0], "clip_raw": [-1, 1], "scale": [0.25, 0.5], "offset": "default",
                     "clip": [[-1, 1], [-2, 2]], "limits_velocity": [8, 8], "chunk": 4, "unnormalize": stats, "add_state": [True, False], "kp_from": "kp",
                     "post": [{"op": "torque_band", "limit": 30}, {"op": "first_order", "alpha": 0.2, "init": "given", "value": [0, 0]}], "last_of": "applied"}],
        "motion": {"kind": "in_model", "bodies": ["torso"], "anchor": {"robot": "torso", "body_index": 0, "via": [{"joint": "a", "axis": "z"}]}, "align": "yaw", "reference_age": 1},
        "prime_models": {"observation": "zero", "advance": True}, "startup": {"kind": "ramp", "seconds": 1, "kp": [1, 2]},
        "safety": {"roll_limit": 1, "data_age": 0.1, "fallback": [{"kind": "hold", "seconds": 0.05}, {"kind": "damping", "kd": 4}]}, "asks": ["vectors", "command_of:x"]}
    def network(metadata, inputs, outputs):
        info = lambda ports: [helper.make_tensor_value_info(k, F, v) for k, v in ports.items()]  # noqa: E731
        model = helper.make_model(helper.make_graph([], "card", info(inputs), info(outputs)), opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
        helper.set_model_props(model, metadata)
        return model.SerializeToString(deterministic=True)
    text = json.dumps(walk)
    return {
        "walk.card": text.encode(), "patched.card": text.encode() + b"\0" + json.dumps({"patch": {"policy_period": 0.01, "startup": None, "joints": {"b": {"kp": 3}}}}).encode(),
        "csv.card": network({"joint_names": "a,b", "joint_stiffness": "1,2", "joint_damping": "1,2", "default_joint_pos": "0,0.5", "action_scale": "0.5", "command_names": "motion",
                                  "observation_names": "command,motion_anchor_ori_b,joint_pos,actions", "observation_history_lengths": "1,2,0,1", "anchor_body_name": "t", "body_names": "f,t"},
                                 {"obs": [1, 20], "time_step": [1, 1], "h_in": [1, 1, 4]}, {"actions": [1, 2], "h_out": [1, 1, 4], "joint_pos": [1, 2], "body_quat_w": [1, 2, 4]}),
        "holosoma.card": network({"dof_names": '["a", "b"]', "kp": "[1, 2]", "kd": "[1, 2]", "command_ranges": '{"lin_vel_x": [-1, 1]}'}, {"obs": [1, 3]}, {"action": [1, 2]}),
        "exploy.card": network({"exploy_version": '"0.1.0"', "update_rate": "100", "decimation": "2", "base_names": '{"r": "base"}', "obj.r.joints": '{"joint_names": ["a", "b"]}',
                                     "output.joint_targets.l": '{"type": "joint_targets", "names": ["b", "a"], "stiffness": [1, 2], "damping": [1, 2]}'},
                                    {"ctx.step_count": [], "obj.r.joints.pos": [1, 2], "obj.r.base.w_Q_b": [1, 4], "cmd.se2_velocity.c": [1, 3], "memory.x.in": [1, 2]},
                                    {"output.joint_targets.l.pos": [1, 2], "memory.x.out": [1, 2], "obs": [1, 2]}),
    }


def bridge():
    """Lists of frames as fuzz_bridge reads them, from the vectors of the protocol: each alone, and episodes whose frames are put right."""
    vectors = [line.split() for line in (Path(__file__).parents[1] / "Vectors" / "bridge.txt").read_text().splitlines()]
    frames = {words[1]: bytes.fromhex(words[-1]) for words in vectors if words[0] == "frame"}

    def listed(first, *steps):
        return bytes([first]) + b"".join(bytes([op]) + len(frame).to_bytes(2, "little") + frame for op, frame in steps)

    hello, step = frames["hello"], frames["step"]
    short = lambda size, frame: frame[:size] if len(frame) >= size else frame + bytes(size - len(frame))
    made = {f"{name}.bridge": listed(0, (0, frame)) for name, frame in frames.items()}
    made["episode.bridge"] = listed(11, (0, hello), (0x3C, frames["reset"]), (0x3C, step), (0x3C, step), (0x3C, frames["bye"]))
    made["neighbours.bridge"] = listed(6, (0, hello), (1, hello), (0x3C, frames["reset"]), (0x3D, step), (0x41, hello), (0x42, hello), (0x42, hello), (0x3C, step))
    made["again.bridge"] = listed(1, (0, hello), (0, hello), (0x3C, step), (0x2C, step), (0x3C, short(120, step)), (0x3C, frames["reset_rows"]))
    return made


def main():
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "seeds"
    folder.mkdir(parents=True, exist_ok=True)
    for make in dense, recurrent, windows, indexing, normalization, control, types:
        make()
    for name, model in SEEDS.items():
        onnx.checker.check_model(model)
        (folder / f"{name}.onnx").write_bytes(model.SerializeToString(deterministic=True))
    policies = safetensors()
    for name, data in policies.items():
        (folder / f"{name}.safetensors").write_bytes(data)
    for name, data in cards().items():
        (folder / name).write_bytes(data)
    for name, data in bridge().items():
        (folder / name).write_bytes(data)
    print(f"{len(SEEDS) + len(policies) + len(cards()) + len(bridge())} seeds, {sum(f.stat().st_size for f in folder.iterdir())} bytes in {folder}")


main()
