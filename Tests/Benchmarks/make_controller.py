"""A humanoid of 29 joints for controller_bench: its card, with a history of 5 frames and every guard's limit, and a
network of its size with random weights.

    python Tests/Benchmarks/make_controller.py FOLDER     writes FOLDER/card.json, loop.json, policy.onnx, joints.txt

card.json runs the network at every tick, loop.json at every twentieth of a loop of 1 kHz.
"""
import json
import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIDES = ["left", "right"]
LEG = ["hip_pitch", "hip_roll", "hip_yaw", "knee", "ankle_pitch", "ankle_roll"]
ARM = ["shoulder_pitch", "shoulder_roll", "shoulder_yaw", "elbow", "wrist_roll", "wrist_pitch", "wrist_yaw"]
JOINTS = [*(f"{s}_{j}" for s in SIDES for j in LEG), "waist_yaw", "waist_roll", "waist_pitch",
          *(f"{s}_{j}" for s in SIDES for j in ARM)]
AGES = [4, 3, 2, 1, 0]
HIDDEN = [512, 256, 128]


def term(name, op, size, **more):
    return {"name": name, "op": op, "size": size, "scale": 1.0, "ages": AGES, "fill": "first", **more}


def card(control_period):
    rng = np.random.default_rng(0)
    return {
        "efferent_card": 1, "robot": "humanoid of 29 joints", "policy_period": 0.02, "control_period": control_period,
        "joint_order": JOINTS,
        "joints": {j: {"default": round(float(rng.uniform(-0.3, 0.3)), 3), "kp": 100.0, "kd": 2.0, "lower": -2.5,
                       "upper": 2.5, "velocity_limit": 20.0, "effort_limit": 139.0} for j in JOINTS},
        "models": [{"name": "policy", "inputs": {"obs": {"from": "vector:obs"}},
                    "outputs": {"actions": {"to": "action"}}}],
        "vectors": {"obs": {"layout": "term_major", "clip": [-100.0, 100.0], "terms": [
            term("gyro", "base_angular_velocity", 3, scale=0.2), term("gravity", "projected_gravity", 3),
            term("command", "command", 3, command="velocity"),
            term("position", "joint_position", 29, joints=JOINTS, minus_default=True),
            term("velocity", "joint_velocity", 29, joints=JOINTS, scale=0.05),
            term("last", "last_action", 29, of="raw")]}},
        "commands": {"velocity": {"signal": "command.velocity", "fields": ["lin_vel_x", "lin_vel_y", "ang_vel_z"],
                                  "units": ["m/s", "m/s", "rad/s"],
                                  "range": [[-1.0, 1.0], [-0.5, 0.5], [-1.0, 1.0]], "clamp": True}},
        "actions": [{"name": "joints", "type": "position", "model": "policy", "output": "actions",
                     "index": list(range(29)), "joints": JOINTS, "scale": 0.25, "offset": "default"}],
        "safety": {"roll_limit": 1.0, "pitch_limit": 1.0, "data_age": 0.1},
    }


def network(path):
    rng = np.random.default_rng(1)
    sizes = [len(AGES) * (3 + 3 + 3 + 3 * 29), *HIDDEN, 29]
    nodes, weights, x = [], [], "obs"
    for i, (a, b) in enumerate(zip(sizes, sizes[1:])):
        last = i == len(sizes) - 2
        weights += [numpy_helper.from_array((rng.normal(size=(a, b)) / a**0.5).astype(np.float32), f"w{i}"),
                    numpy_helper.from_array(np.zeros(b, np.float32), f"b{i}")]
        nodes.append(helper.make_node("Gemm", [x, f"w{i}", f"b{i}"], ["actions" if last else f"y{i}"]))
        x = f"y{i}"
        if not last:
            nodes.append(helper.make_node("Elu", [x], [f"z{i}"]))
            x = f"z{i}"
    ends = [[helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, k])] for n, k in
            (("obs", sizes[0]), ("actions", sizes[-1]))]
    graph = helper.make_graph(nodes, "humanoid", *ends, weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "card.json").write_text(json.dumps(card(0.02)))
    (folder / "loop.json").write_text(json.dumps(card(0.001)))
    (folder / "joints.txt").write_text("\n".join(reversed(JOINTS)) + "\n")
    network(folder / "policy.onnx")
