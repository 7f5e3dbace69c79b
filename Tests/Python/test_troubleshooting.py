"""bindings/TROUBLESHOOTING.md has the errors as they really read: each is provoked here, and its text looked up on the
page.

On the page "..." stands for what depends on the machine.
"""

import json
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import efferent
import models
import numpy as np
import onnx
import pytest
import test_controller
from onnx import TensorProto as T
from onnx import helper

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "bindings/TROUBLESHOOTING.md"


def write(name, model):
    onnx.save(model, name)
    return name


def elsewhere(code, **changes):
    """What a program of its own prints."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([*map(os.path.abspath, filter(None, sys.path))]), **changes}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env)
    return done.stdout + done.stderr


def library_is_missing():
    said = elsewhere(
        "import efferent\ntry:\n  efferent.Policy('policy.onnx')\nexcept efferent.FileError as e: print(e)",
        EFFERENT_LIBRARY="/nowhere/libefferent.so",
    )
    raise efferent.FileError(said)


def library_of_another_series():
    Path("old.c").write_text("int eff_version(void) { return 900; }")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", "old.so", "old.c"], check=True)
    raise efferent.FileError(
        elsewhere(
            "import efferent\ntry:\n  efferent.Policy('policy.onnx')\nexcept efferent.FileError as e: print(e)",
            EFFERENT_LIBRARY="./old.so",
        )
    )


def file_is_missing():
    efferent.Policy("policy.onnx")


def file_is_no_model():
    Path("policy.onnx").write_bytes(b"<!DOCTYPE html><html>Not Found</html>")
    efferent.Policy("policy.onnx")


def pointer_of_git_lfs():
    Path("policy.onnx").write_text(
        "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n"
    )
    efferent.Policy("policy.onnx")


def external_data_is_missing():
    model = models.mlp()
    onnx.save(model, "policy.onnx", save_as_external_data=True, location="policy.onnx.data", size_threshold=0)
    os.remove("policy.onnx.data")
    efferent.Policy("policy.onnx")


def operator_of_somebody_else():
    node = helper.make_node("GridSample3D", ["obs"], ["action"], name="warp", domain="my.ops")
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("obs", T.FLOAT, [1, 4])],
        [helper.make_tensor_value_info("action", T.FLOAT, [1, 4])],
    )
    write(
        "policy.onnx",
        helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("my.ops", 1)], ir_version=8
        ),
    )
    efferent.Policy("policy.onnx")


def shape_depends_on_data():
    nodes = [
        helper.make_node("NonZero", ["obs"], ["where"], name="pick"),
        helper.make_node("Cast", ["where"], ["action"], to=T.FLOAT),
    ]
    write("policy.onnx", models.model(nodes, [("obs", T.FLOAT, [1, 4])], [("action", T.FLOAT, [2, "n"])]))
    efferent.Policy("policy.onnx")


def dimension_has_no_size():
    nodes = [helper.make_node("ReduceMean", ["obs"], ["action"], axes=[1], keepdims=0, name="pool")]
    write(
        "policy.onnx",
        models.model(nodes, [("obs", T.FLOAT, ["batch", "history", 4])], [("action", T.FLOAT, ["batch", 4])]),
    )
    efferent.Policy("policy.onnx")


def weights_do_not_fit():
    model = models.mlp()
    for w in model.graph.initializer:
        if w.name == "w1":
            w.CopyFrom(onnx.numpy_helper.from_array(models.normal(1, 16, 32), "w1"))
    write("policy.onnx", model)
    efferent.Policy("policy.onnx")


def too_large():
    write("policy.onnx", models.mlp())
    efferent.Policy("policy.onnx", memory_limit=1000)


def no_action_is_clear():
    nodes = [helper.make_node("Tanh", ["obs"], ["left"]), helper.make_node("Neg", ["obs"], ["right"])]
    write(
        "policy.onnx",
        models.model(nodes, [("obs", T.FLOAT, [1, 4])], [("left", T.FLOAT, [1, 4]), ("right", T.FLOAT, [1, 4])]),
    )
    efferent.Policy("policy.onnx").session().step(np.zeros(4))


def lengths_are_wrong():
    efferent.Policy(models.mlp().SerializeToString()).session().step(np.zeros(8))


def observation_is_not_finite():
    observation = np.zeros(7)
    observation[2] = np.nan
    efferent.Policy(models.mlp().SerializeToString()).session().step(observation)


def two_callers():
    sizes = (7, 2048, 2048, 3)
    session = efferent.Policy(models.mlp(sizes=sizes).SerializeToString()).session()
    met = []

    def run():
        for _ in range(2000):
            try:
                session.run({"obs": np.zeros((1, 7))})
            except efferent.StateError as e:
                met.append(e)
            if met:
                return

    threads = [threading.Thread(target=run) for _ in range(2)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    raise met[0]


def memory_may_not_be_locked():
    code = """if 1:
        import efferent, os, resource
        model = open('policy.onnx', 'rb').read()
        policy = efferent.Policy(model)
        policy.session()
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (65536, 65536))
        if os.geteuid() == 0: os.seteuid(65534)
        try: efferent.Policy(model, locked=True)
        except efferent.Error as e: print(e)"""
    write("policy.onnx", models.mlp(sizes=(7, 512, 512, 3)))
    raise efferent.Error(elsewhere(code))


def libzmq_is_missing():
    code = """if 1:
        import efferent, sys
        session = efferent.Policy('policy.onnx').session()
        try: efferent.Bridge(session)
        except efferent.Error as e: print(e)"""
    write("policy.onnx", models.mlp())
    Path("hidden").mkdir(exist_ok=True)
    Path("hidden/libzmq.so.5").write_bytes(b"")  # what a machine without one sees
    raise efferent.UnsupportedError(elsewhere(code, LD_LIBRARY_PATH=os.path.abspath("hidden")))


def endpoint_is_taken():
    sessions = [efferent.Policy(models.mlp().SerializeToString()).session() for _ in range(2)]
    with efferent.Bridge(sessions[0], "tcp://127.0.0.1:*") as first:
        efferent.Bridge(sessions[1], first.endpoint)


def nobody_answers():
    from efferent.client import Client

    Client("tcp://127.0.0.1:1", connect_timeout=0.3, timeout=0.1)


def plant_does_not_fit():
    from efferent.client import Client

    session = efferent.Policy(models.mlp().SerializeToString()).session()
    with efferent.Bridge(session) as bridge:
        bridge.start()
        Client(bridge.endpoint, expect={"inputs": [{"name": "obs", "dtype": "f32", "shape": [48]}]})


def threads_have_no_rights():
    code = """if 1:
        import efferent, os, resource
        session = efferent.Policy('policy.onnx').session()
        efferent.Bridge(session).close()
        resource.setrlimit(resource.RLIMIT_RTPRIO, (0, 0))
        if os.geteuid() == 0: os.seteuid(65534)
        try: efferent.Bridge(session, thread_policy="fifo", thread_priority=40).start()
        except efferent.Error as e: print(e)"""
    write("policy.onnx", models.mlp())
    raise efferent.UnsupportedError(elsewhere(code))


def small_card(**more):
    terms = [
        test_controller.term("joint_position", 3, joints=test_controller.JOINTS),
        test_controller.term("projected_gravity", 3),
    ]
    content = test_controller.card(terms, **more)
    network = test_controller.network("controller.onnx", test_controller.width(content))
    return content, {"policy": efferent.Policy(str(network))}


def card_has_an_unknown_key():
    content, _ = small_card()
    content["vectors"]["obs"]["terms"][0]["scal"] = content["vectors"]["obs"]["terms"][0].pop("scale")
    Path("card.json").write_text(json.dumps(content))
    efferent.Card.load("card.json")


def robot_lacks_a_joint():
    content, networks = small_card()
    efferent.Controller(efferent.Card.from_json(json.dumps(content)), models=networks, joints=["hip", "knee", "ankel"])


def unit_is_another():
    content, networks = small_card()
    efferent.Controller(efferent.Card.from_json(json.dumps(content)), models=networks, joints=["hip", "knee", "ankle"],
                        units={"joint.position": "deg", "base.orientation": "quaternion w,x,y,z"})


def tick_is_refused():
    content, networks = small_card()
    controller = efferent.Controller(
        efferent.Card.from_json(json.dumps(content)),
        models=networks,
        joints=["hip", "knee", "ankle"],
        units={"joint.position": "rad", "base.orientation": "quaternion w,x,y,z"},
    )
    controller.tick({"joint.position": [0, np.nan, 0], "base.orientation": [1, 0, 0, 0]})


def policy_is_not_learnable():
    # the class loads with learnable=True by itself; C and C++ have to say so
    import ctypes

    from efferent import _library, _table_learner

    policy = efferent.Policy(models.mlp().SerializeToString())
    options = _table_learner.eff_learner_options()
    _library.check(
        _library.lib.eff_learner_options_adapt(ctypes.byref(options), ctypes.sizeof(options), policy._handle.value)
    )
    made = ctypes.c_void_p()
    _library.check(_library.lib.eff_learner_create(ctypes.byref(options), ctypes.byref(made)))


def checkpoint_is_of_another_learner():
    efferent.Learner(3, 1).save("run.ckpt")
    efferent.Learner(4, 1).restore("run.ckpt")


def swap_of_another_plan():
    policies = [
        efferent.Policy(models.mlp(sizes=sizes).SerializeToString()) for sizes in ((7, 33, 16, 3), (7, 32, 16, 3))
    ]
    policies[0].session().swap(policies[1])


ERRORS = [
    library_is_missing,
    library_of_another_series,
    file_is_missing,
    file_is_no_model,
    pointer_of_git_lfs,
    external_data_is_missing,
    operator_of_somebody_else,
    shape_depends_on_data,
    dimension_has_no_size,
    weights_do_not_fit,
    too_large,
    no_action_is_clear,
    lengths_are_wrong,
    observation_is_not_finite,
    two_callers,
    memory_may_not_be_locked,
    libzmq_is_missing,
    endpoint_is_taken,
    nobody_answers,
    plant_does_not_fit,
    threads_have_no_rights,
    card_has_an_unknown_key,
    robot_lacks_a_joint,
    unit_is_another,
    tick_is_refused,
    policy_is_not_learnable,
    checkpoint_is_of_another_learner,
    swap_of_another_plan,
]


def texts():
    """The errors on the page: blocks that are set in."""
    return [" ".join(block.split()) for block in re.findall(r"(?:^    \S.*\n)+", PAGE.read_text(), re.M)]


def test_the_page_has_twenty_errors_and_none_that_nobody_provokes():
    assert 20 <= len(texts()) <= len(ERRORS)


@pytest.mark.parametrize("provoke", ERRORS, ids=lambda f: f.__name__)
def test_the_page_has_the_error_as_it_reads(provoke, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Exception) as caught:
        provoke()
    if isinstance(caught.value, (ImportError, AttributeError, TypeError, NameError)):
        raise caught.value
    said = " ".join(str(caught.value).split())
    patterns = [".*".join(map(re.escape, text.split("..."))) for text in texts()]
    assert any(re.fullmatch(p, said) for p in patterns), f"not on the page: {said}"


if __name__ == "__main__":
    import tempfile

    for f in ERRORS:
        os.chdir(tempfile.mkdtemp())
        try:
            f()
            print(f.__name__, "NOTHING")
        except Exception as e:
            print(f.__name__, "|", type(e).__name__, "|", e)
