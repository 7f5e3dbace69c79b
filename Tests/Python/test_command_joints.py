"""inspect and serve for roboticists: joints out of the metadata, warnings, names that are told."""
import json

import numpy as np
import onnx
import pytest
import suites
from efferent._command import app
from onnx import TensorProto, helper, numpy_helper
from typer.testing import CliRunner

NAMES = ["left_hip", "left_knee", "right_hip"]


def run(*arguments, code=0):
    found = CliRunner().invoke(app, [str(a) for a in arguments], env={"COLUMNS": "200"})
    assert found.exit_code == code, found.output
    return found.output


def policy(path, metadata, random=False):
    nodes = [helper.make_node("MatMul", ["obs", "w"], ["mean" if random else "action"])]
    if random:
        nodes += [
            helper.make_node("RandomNormalLike", ["mean"], ["noise"]),
            helper.make_node("Add", ["mean", "noise"], ["action"]),
        ]
    graph = helper.make_graph(nodes, "p", [helper.make_tensor_value_info("obs", TensorProto.FLOAT, [1, 4])],
                              [helper.make_tensor_value_info("action", TensorProto.FLOAT, [1, 3])],
                              [numpy_helper.from_array(np.ones((4, 3), np.float32), "w")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, metadata)
    onnx.save(model, path)
    return path


@pytest.mark.parametrize("key, text", [("joint_names", ",".join(NAMES)), ("dof_names", json.dumps(NAMES))])
def test_all_joints_with_every_number_of_each(tmp_path, key, text):
    file = policy(
        tmp_path / "p.onnx",
        {key: text, "kp": "[20.5, 30, 40]", "joint_damping": "0.5,0.6,0.7", "note": "a, b, c", "two": "1,2"},
    )
    out = run("inspect", str(file), "--joints")
    assert [line.split() for line in out.splitlines()] == [
        ["joint", "kp", "joint_damping"],
        ["0", "left_hip", "20.5", "0.5"],
        ["1", "left_knee", "30", "0.6"],
        ["2", "right_hip", "40", "0.7"],
    ]
    facts = json.loads(run("inspect", str(file), "--json"))
    assert facts["joints"] == {"names": NAMES, "kp": [20.5, 30, 40], "joint_damping": [0.5, 0.6, 0.7]}
    assert facts["warnings"] == ["nothing in the file says at which period it runs"]


def test_many_joints_are_all_shown(tmp_path):
    names = [f"joint_number_{i}_with_a_long_name" for i in range(29)]
    out = run("inspect", str(policy(tmp_path / "p.onnx", {"joint_names": ",".join(names)})))
    assert all(name in out for name in names)
    assert "warning: 'joint_names' names 29 joints, but 'action' has 3 elements" in out.replace("\n", " ")


def test_operators_have_the_names_of_the_file(tmp_path):
    file = policy(tmp_path / "p.onnx", {}, random=True)
    assert "operators: MatMul 1, RandomNormalLike 1, Add 1\n" in run("inspect", str(file))
    graph = onnx.load(file)
    graph.graph.node.insert(1, helper.make_node("Gelu", ["mean"], ["other"], domain="com.microsoft"))
    graph.graph.node.insert(1, helper.make_node("MatMul", ["obs", "w"], ["twice"]))
    graph.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    onnx.save(graph, file)
    facts = json.loads(run("inspect", str(file), "--json"))
    assert facts["operators"] == "MatMul 2, com.microsoft.Gelu 1, RandomNormalLike 1, Add 1"


def test_what_is_missing_is_warned_of(tmp_path):
    out = run("inspect", str(policy(tmp_path / "p.onnx", {}, random=True)))
    for text in ("drawn at random", "which joint each of the 3 elements of 'action' moves", "at which period it runs"):
        assert text in out
    out = run("inspect", str(policy(tmp_path / "q.onnx", {"joint_names": ",".join(NAMES), "policy/step_dt": "0.02"})))
    assert "warning" not in out


def test_no_joints_is_said(tmp_path):
    out = run("inspect", str(policy(tmp_path / "p.onnx", {"author": "somebody"})), "--joints", code=1)
    assert "no key of the metadata names joints: found author, expected one of joint_names" in out.replace("\n", " ")


def test_serve_refuses_names_that_do_not_fit(tmp_path):
    out = run("serve", str(policy(tmp_path / "p.onnx", {})), "--joints", "a,b", code=1)
    assert "--joints names 2 joints, expected 3" in out.replace("\n", " ")


@pytest.mark.skipif(suites.POLICIES is None, reason="no real policies here")
def test_the_joints_of_a_real_policy():
    file = next(suites.POLICIES.rglob("holosoma_ppo_g1.onnx"))
    facts = json.loads(run("inspect", str(file), "--json"))
    assert len(facts["joints"]["names"]) == len(facts["joints"]["kp"]) == len(facts["joints"]["kd"]) == 29
