"""Controllers: every term, clock, history, filter and guard against its formula, on small robots with networks that
hand their input on."""
import ctypes
import json
import math

import efferent
import numpy as np
import onnx
import pytest
from onnx import TensorProto as T
from onnx import helper, numpy_helper

JOINTS = ["hip", "knee", "ankle"]
ROBOT = ["ankle", "spare", "hip", "knee"]  # the robot's order, with a joint that the policy does not know
DEFAULT, KP, KD = {"hip": 0.1, "knee": -0.4, "ankle": 0.3}, {"hip": 20.0, "knee": 30.0,
                                                             "ankle": 40.0}, {"hip": 0.5, "knee": 0.7, "ankle": 0.9}
FIELDS = ["lin_vel_x", "lin_vel_y", "ang_vel_z"]
rng = np.random.default_rng(7)


@pytest.fixture(autouse=True)
def same_numbers_whatever_ran_before():
    rng.bit_generator.state = np.random.default_rng(7).bit_generator.state


def network(path, width, actions=3, gain=1.0, bias=0.0, name="actions"):
    """actions = gain * the first `actions` values of the observation + bias."""
    weight = np.zeros((width, actions), np.float32)
    for i in range(min(width, actions)):
        weight[i, i] = gain
    graph = helper.make_graph(
        [helper.make_node("Gemm", ["obs", "w", "b"], [name])], "test",
        [helper.make_tensor_value_info("obs", T.FLOAT, [1, width])],
        [helper.make_tensor_value_info(name, T.FLOAT, [1, actions])],
        [numpy_helper.from_array(weight, "w"), numpy_helper.from_array(np.full(actions, bias, np.float32), "b")])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def term(op, size, **more):
    return {"name": op, "op": op, "size": size, "scale": 1.0, "ages": [0], "fill": "first", **more}


def card(terms, policy_period=0.02, control_period=0.02, action=None, **more):
    made = {
        "efferent_card": 1, "policy_period": policy_period, "control_period": control_period, "joint_order": JOINTS,
        "joints": {j: {"default": DEFAULT[j], "kp": KP[j], "kd": KD[j]} for j in JOINTS},
        "models": [{"name": "policy", "inputs": {"obs": {"from": "vector:obs"}},
                    "outputs": {"actions": {"to": "action"}}}],
        "vectors": {"obs": {"layout": "term_major", "terms": terms}},
        "commands": {"velocity": {"signal": "command.velocity", "fields": FIELDS, "units": ["m/s", "m/s", "rad/s"],
                                  "clamp": False}},
        "actions": [{
            "name": "joint_position", "type": "position", "model": "policy", "output": "actions", "index": [0, 1, 2],
            "joints": JOINTS, "scale": 0.5,
            "offset": "default", **(action or {})}],
    }
    return {**made, **more}


def width(content):
    return sum(t["size"] * len(t["ages"]) for t in content["vectors"]["obs"]["terms"])


def controller(tmp_path, content, gain=1.0, bias=0.0, **more):
    path = network(tmp_path / "policy.onnx", width(content), gain=gain, bias=bias)
    return efferent.Controller(efferent.Card.from_json(json.dumps(content)), {"policy": path}, ROBOT, **more)


def rotation(q):
    w, x, y, z = q
    return np.array([[1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
                     [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
                     [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)]])


def quaternion():
    q = rng.normal(size=4)
    return q / np.linalg.norm(q)


def signals(**more):
    made = {
        "joint.position": rng.normal(size=4), "joint.velocity": rng.normal(size=4), "joint.effort": rng.normal(size=4),
        "base.orientation": quaternion(), "base.angular_velocity": rng.normal(size=3),
        "base.linear_velocity": rng.normal(size=3),
        "base.position": rng.normal(size=3), "command.velocity": rng.normal(size=3),
    }
    return {**made, **{k.replace("__", "."): np.asarray(v, float) for k, v in more.items()}}


def of(values, joints=JOINTS):
    """Values in the robot's order as the card's."""
    return np.array([values[ROBOT.index(j)] for j in joints])


def default(joints=JOINTS):
    return np.array([DEFAULT[j] for j in joints])


def seen(c, s, **more):
    c.tick(s, **more)
    return c.observations["policy.obs"][0].astype(float)


# ---- terms ----


def euler(q):
    r = rotation(q)
    return [math.atan2(r[2, 1], r[2, 2]), math.asin(-r[2, 0]), math.atan2(r[1, 0], r[0, 0])]


TERMS = {
    "base_linear_velocity": (3, {}, lambda s: s["base.linear_velocity"]),
    "base_angular_velocity": (3, {}, lambda s: s["base.angular_velocity"]),
    "projected_gravity": (3, {}, lambda s: rotation(s["base.orientation"]).T @ [0, 0, -1]),
    "base_euler_xyz": (3, {}, lambda s: euler(s["base.orientation"])),
    "base_height": (1, {}, lambda s: s["base.position"][2:]),
    "joint_position": (3, {"joints": JOINTS, "minus_default": True}, lambda s: of(s["joint.position"]) - default()),
    "joint_velocity": (2, {"joints": ["ankle", "hip"]}, lambda s: of(s["joint.velocity"], ["ankle", "hip"])),
    "joint_effort": (3, {"joints": JOINTS, "zero": ["knee"]}, lambda s: of(s["joint.effort"]) * [1, 0, 1]),
    "command": (2, {"command": "velocity", "fields": ["ang_vel_z", "lin_vel_x"]},
                lambda s: s["command.velocity"][[2, 0]]),
    "constant": (2, {"value": [3.0, -1.0]}, lambda s: [3, -1]),
    "signal": (2, {"signal": "goal"}, lambda s: s["goal"]),
}


@pytest.mark.parametrize("op", TERMS)
def test_a_term_is_its_formula(tmp_path, op):
    size, keys, formula = TERMS[op]
    c = controller(tmp_path, card([term(op, size, **keys), term("constant", 3, value=[0.0, 0.0, 0.0])]))
    for _ in range(3):
        s = signals(goal=rng.normal(size=2))
        np.testing.assert_allclose(seen(c, s)[:size], formula(s), rtol=1e-6, atol=1e-6)


def test_clip_comes_before_scale_unless_the_card_says_otherwise(tmp_path):
    keys = {"command": "velocity", "clip": [-0.5, 0.25], "scale": [2.0, 3.0, 4.0]}
    first = {**term("command", 3, **keys), "name": "clip_first"}
    other = {**term("command", 3, **keys), "name": "scale_first", "scale_first": True}
    c = controller(tmp_path, card([first, other]))
    x = np.array([0.1, -2.0, 0.2])
    s = seen(c, signals(command__velocity=x))
    np.testing.assert_allclose(s[:3], np.clip(x, -0.5, 0.25) * [2, 3, 4], rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(s[3:], np.clip(x * [2, 3, 4], -0.5, 0.25), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("layout", ["term_major", "time_major"])
@pytest.mark.parametrize("fill", ["first", "zero"])
@pytest.mark.parametrize("ages", [[3, 2, 1, 0], [0, 1, 3], [2, 0]])
def test_histories_hold_the_frames_of_their_ages(tmp_path, layout, fill, ages):
    terms = [term("base_angular_velocity", 3, ages=ages, fill=fill),
             term("base_linear_velocity", 3, ages=ages, fill=fill)]
    content = card(terms)
    content["vectors"]["obs"]["layout"] = layout
    c = controller(tmp_path, content)
    frames = []
    for k in range(9):
        if k == 5:
            c.reset()
            frames = []
        s = signals()
        frames.append([s["base.angular_velocity"], s["base.linear_velocity"]])
        blank = frames[0] if fill == "first" else [np.zeros(3)] * 2
        past = [frames[len(frames) - 1 - a] if a < len(frames) else blank for a in ages]
        expected = [f[i] for f in past
                    for i in range(2)] if layout == "time_major" else [f[i] for i in range(2) for f in past]
        np.testing.assert_allclose(seen(c, s), np.concatenate(expected), rtol=1e-6, atol=1e-6)


def test_a_frame_is_clipped_before_it_is_remembered(tmp_path):
    content = card([term("command", 3, command="velocity", ages=[1, 0]), term("constant", 1, value=[5.0], ages=[1, 0])])
    content["vectors"]["obs"]["clip"] = [-1.0, 1.0]
    c = controller(tmp_path, content)
    seen(c, signals(command__velocity=[3, 0.5, -7]))
    np.testing.assert_allclose(seen(c, signals(command__velocity=[0.1, 0, 0])), [1, 0.5, -1, 0.1, 0, 0, 1, 1],
                               rtol=1e-6, atol=1e-6)


def test_last_actions_are_raw_clipped_and_as_old_as_asked(tmp_path):
    names = [("raw", 0), ("clipped", 0), ("raw", 1)]
    terms = [term("command", 3, command="velocity")] + [{**term("last_action", 3, of=o, age=a), "name": f"{o}{a}"}
                                                        for o, a in names]
    c = controller(tmp_path, card(terms, action={"clip_raw": [-1.0, 1.0]}), gain=2.0)
    past = [np.zeros(3), np.zeros(3)]
    for _ in range(4):
        s = signals()
        np.testing.assert_allclose(seen(c, s)[3:], np.concatenate([past[-1], np.clip(past[-1], -1, 1), past[-2]]),
                                   rtol=1e-6, atol=1e-6)
        past.append(2 * s["command.velocity"])


# ---- clocks ----


def clock_of(tmp_path, functions=("sin", "cos"), **clock):
    """A function that makes a tick and gives what a clock shows."""
    size = len(functions) * len(clock.setdefault("phases", [0.0]))
    content = card([term("clock", size, clock="gait", fn=list(functions)), term("command", 3, command="velocity")],
                   clocks={"gait": clock})
    c = controller(tmp_path, content)
    return lambda command=(1, 0, 0), **more: seen(c, signals(command__velocity=list(command)), **more)[:size]


def sc(*phases):
    return [f(2 * math.pi * p) for f in (math.sin, math.cos) for p in phases]


def test_a_clock_that_is_advanced_before_use_and_at_reset_begins_with_two_steps(tmp_path):
    show = clock_of(tmp_path, period=0.8, phases=[0.0], init=0.0, advance="before_use", advances_at_reset=1,
                    wrap="modulo")
    for k in range(50):
        np.testing.assert_allclose(show(), sc((k + 2) * 0.02 / 0.8), atol=1e-5)


def test_a_clock_that_is_advanced_after_use_begins_at_its_phase_and_runs_on_while_it_shows_the_stand(tmp_path):
    stand = {"command": "velocity", "norm": "l2", "below": 0.01, "phases": [0.5, 0.5], "resume": "continue"}
    show = clock_of(tmp_path, frequency=1.5, phases=[0.0, 0.5], init=0.0, advance="after_use", wrap="modulo",
                    stand=stand)
    for k in range(40):
        p = k * 0.02 * 1.5
        small = 10 <= k < 15
        np.testing.assert_allclose(show((0, 0, 0) if small else (1, 0, 0)), sc(0.5, 0.5) if small else sc(p, p + 0.5),
                                   atol=1e-5)


def test_a_clock_that_restarts_stands_and_begins_anew(tmp_path):
    parts = [["lin_vel_x", "lin_vel_y"], ["ang_vel_z"]]
    stand = {"command": "velocity", "norm": "parts", "parts": parts, "below": 0.01, "phases": [0.5],
             "resume": "restart"}
    show = clock_of(tmp_path, period=0.7, phases=[0.0], init=0.25, advance="before_use", wrap="modulo", stand=stand)
    step = 0.02 / 0.7
    np.testing.assert_allclose(show(), sc(0.25 + step), atol=1e-5)
    np.testing.assert_allclose(show(), sc(0.25 + 2 * step), atol=1e-5)
    np.testing.assert_allclose(show((0.0, 0.005, 0.0)), sc(0.5), atol=1e-5)
    np.testing.assert_allclose(show((0.0, 0.005, 0.5)), sc(0.25), atol=1e-5)
    np.testing.assert_allclose(show(), sc(0.25 + step), atol=1e-5)


def test_a_clock_can_begin_at_zero_above_one_instead_of_taking_the_remainder(tmp_path):
    show = clock_of(tmp_path, frequency=13.0, init=0.0, advance="before_use", wrap="zero_above_one")
    phase = 0.0
    for _ in range(30):
        phase += 0.02 * 13.0
        if phase > 1:
            phase = 0.0
        np.testing.assert_allclose(show(), sc(phase), atol=1e-5)


def test_a_clock_of_time_follows_the_callers_clock_and_stops_after_a_small_command(tmp_path):
    show = clock_of(tmp_path, kind="time", frequency=1.25, advance="none",
                    zero_frequency_after={"command": "velocity", "norm": "l2", "below": 0.1})
    np.testing.assert_allclose(show(now=10.1), sc(10.1 * 1.25), atol=1e-5)
    np.testing.assert_allclose(show((0, 0, 0), now=10.12), sc(10.12 * 1.25), atol=1e-5)
    np.testing.assert_allclose(show(now=10.14), sc(0), atol=1e-5)
    np.testing.assert_allclose(show(now=10.16), sc(10.16 * 1.25), atol=1e-5)


def test_fill_reset_takes_the_clock_at_the_reset_itself(tmp_path):
    content = card([term("clock", 2, clock="gait", fn=["sin", "cos"], ages=[2, 1, 0], fill="reset"),
                    term("command", 3, command="velocity")], clocks={"gait": {
        "period": 0.5, "phases": [0.0], "init": 0.0, "advance": "before_use", "advances_at_reset": 1,
        "wrap": "modulo"}})
    c = controller(tmp_path, content)
    for _ in range(2):
        first = seen(c, signals())[:6]
        np.testing.assert_allclose(first, sc(0.04) + sc(0.04) + sc(0.08), atol=1e-5)
        c.reset()


# ---- motions ----


@pytest.mark.parametrize("end", ["hold", "loop"])
def test_a_motion_in_a_file_plays_at_its_own_rate_and_is_laid_over_the_robot(tmp_path, end):
    frames, fps = 7, 25.0
    motion = {"joint_pos": rng.normal(size=(frames, 3)), "joint_vel": rng.normal(size=(frames, 3)),
              "body_pos_w": rng.normal(size=(frames, 2, 3)),
              "body_quat_w": np.stack([[quaternion(), quaternion()] for _ in range(frames)])}
    np.savez(tmp_path / "motion.npz", **motion)
    entries = "r00,r01,r10,r11,r20,r21"
    terms = [term("reference_joint_position_velocity", 4, joints=["ankle", "hip"]),
             term("reference_anchor_position", 3),
             term("reference_anchor_orientation_6d", 6, layout=entries), term("constant", 3, value=[0.0] * 3)]
    content = card(terms, motion={"kind": "file", "file": "motion.npz", "fps": fps, "bodies": ["pelvis", "torso"],
                                  "anchor": {"robot": "torso", "body_index": 1}, "align": "yaw_and_position",
                                  "quaternion": "wxyz", "reference_age": 0,
                                  "end": end})
    c = controller(tmp_path, content)

    def yaw(r):
        a = math.atan2(r[1, 0], r[0, 0])
        return np.array([[math.cos(a), -math.sin(a), 0], [math.sin(a), math.cos(a), 0], [0, 0, 1]])

    for _ in range(2):
        for k in range(20):
            f = int(k * 0.02 * fps + 1e-6)
            f = f % frames if end == "loop" else min(f, frames - 1)
            q, p = quaternion(), rng.normal(size=3)
            given = signals(body__torso__orientation=q, body__torso__position=p)
            robot, ref, at = rotation(q), rotation(motion["body_quat_w"][f, 1]), motion["body_pos_w"][f, 1]
            if k == 0:
                turn = yaw(robot) @ yaw(ref).T
                shift = p - turn @ at
            x = seen(c, given)
            np.testing.assert_allclose(x[:4], [*motion["joint_pos"][f][[2, 0]], *motion["joint_vel"][f][[2, 0]]],
                                       rtol=1e-5, atol=1e-6)
            np.testing.assert_allclose(x[4:7], robot.T @ (turn @ at + shift - p), rtol=1e-4, atol=1e-5)
            np.testing.assert_allclose(x[7:13], (robot.T @ turn @ ref)[:, :2].ravel(), rtol=1e-4, atol=1e-5)
        c.reset()


# ---- commands ----


def test_commands_are_clamped_where_the_card_says_so_and_slewed_at_the_policy_rate(tmp_path):
    content = card([term("command", 3, command="velocity")], control_period=0.01)
    content["commands"]["velocity"] |= {"range": [[-0.5, 1.0], [-0.4, 0.4], [-1.0, 1.0]], "clamp": True,
                                        "slew": [10.0, 10.0, 100.0]}
    c = controller(tmp_path, content)
    x = np.zeros(3)
    for k in range(12):
        s = signals(command__velocity=[3.0, -3.0, 0.7])
        if k % 2 == 0:
            x += np.clip(np.array([1.0, -0.4, 0.7]) - x, -0.02 * np.array([10, 10, 100]),
                         0.02 * np.array([10, 10, 100]))
            np.testing.assert_allclose(seen(c, s), x, rtol=1e-6, atol=1e-6)
        else:
            c.tick(s)
            assert c.observations == {} and not c.report.ran


# ---- actions ----


def test_targets_are_scattered_by_name_and_other_joints_stay_untouched(tmp_path):
    c = controller(tmp_path, card([term("command", 3, command="velocity")]))
    s = signals()
    c.tick(s)
    np.testing.assert_allclose(of(c.targets["position"]), default() + 0.5 * s["command.velocity"], rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(of(c.targets["kp"]), [20, 30, 40])
    np.testing.assert_allclose(of(c.targets["kd"]), [0.5, 0.7, 0.9])
    assert all(np.isnan(v[ROBOT.index("spare")]) for v in c.targets.values()) and "velocity" not in c.targets


def ticks(c, n, s=None):
    """Targets of n ticks, in the card's order."""
    for _ in range(n):
        given = s or signals()
        c.tick(given)
        yield given, {k: of(v) for k, v in c.targets.items()}


def test_an_action_is_clipped_scaled_moved_and_limited_in_that_order(tmp_path):
    action = {"clip_raw": [-1.0, 1.5], "scale": [1.0, 2.0, 3.0], "offset": [0.1, 0.2, 0.3],
              "clip": [[-2, 2], [-2, 2], [-4, 4]],
              "limits_position": [[-0.5, 0.6], [-9, 9], [-9, 9]], "limits_velocity": [50.0, 50.0, 20.0]}
    c = controller(tmp_path, card([term("command", 3, command="velocity")], action=action, target_init="measured"),
                   gain=3.0)
    last = None
    for s, t in ticks(c, 5):
        last = of(s["joint.position"]) if last is None else last
        x = np.clip(3 * s["command.velocity"], -1, 1.5) * [1, 2, 3] + [0.1, 0.2, 0.3]
        x = np.clip(np.clip(x, [-2, -2, -4], [2, 2, 4]), [-0.5, -9, -9], [0.6, 9, 9])
        last = last + np.clip(x - last, -np.array([1, 1, 0.4]), np.array([1, 1, 0.4]))
        np.testing.assert_allclose(t["position"], last, rtol=1e-5, atol=1e-6)


def test_increments_add_to_the_last_target(tmp_path):
    c = controller(tmp_path,
                   card([term("command", 3, command="velocity")], action={"type": "position_increment", "offset": 0.0},
                        target_init="default",
                                  control_period=0.01))
    x = default()
    for k, (s, t) in enumerate(ticks(c, 8)):
        if k % 2 == 0:
            x = x + 0.5 * s["command.velocity"]
        np.testing.assert_allclose(t["position"], x, rtol=1e-5, atol=1e-6)


def test_a_torque_band_changes_the_action_in_place_and_applied_actions_show_it(tmp_path):
    terms = [term("command", 3, command="velocity"), term("last_action", 3, of="applied")]
    c = controller(tmp_path,
                   card(terms, control_period=0.01,
                        action={"post": [{"op": "torque_band", "limit": 2.0}], "last_of": "applied"}), gain=4.0)
    kp, kd = np.array([20, 30, 40.0]), np.array([0.5, 0.7, 0.9])
    a = np.zeros(3)
    for k in range(8):
        s = signals()
        if k % 2 == 0:
            np.testing.assert_allclose(seen(c, s)[3:], a, rtol=1e-4, atol=1e-5)
            a = 4 * s["command.velocity"]
        else:
            c.tick(s)
        q, qd = of(s["joint.position"]), of(s["joint.velocity"])
        x = np.clip(default() + 0.5 * a, q + (kd * qd - 2) / kp, q + (kd * qd + 2) / kp)
        a = (x - default()) / 0.5
        np.testing.assert_allclose(of(c.targets["position"]), x, rtol=1e-4, atol=1e-5)


def test_filters_run_at_the_control_rate_from_where_they_start(tmp_path):
    post = [{"op": "first_order", "alpha": 0.3, "init": "given", "value": [0.5, 0.6, 0.7]},
            {"op": "second_order_lowpass", "omega": 40.0, "sample_period": 0.005, "init": "measured"}]
    c = controller(tmp_path,
                   card([term("command", 3, command="velocity")], control_period=0.005, action={"post": post}))
    y = np.array([0.5, 0.6, 0.7])
    k, w = 2 / 0.005, 40.0
    norm = k * k + math.sqrt(2) * w * k + w * w
    x1 = x2 = y1 = y2 = None
    for i, (s, t) in enumerate(ticks(c, 20)):
        if i % 4 == 0:
            goal = default() + 0.5 * s["command.velocity"]
        if x1 is None:
            x1 = x2 = y1 = y2 = of(s["joint.position"])
        y = 0.3 * goal + 0.7 * y
        out = (w * w * (y + 2 * x1 + x2) - (2 * w * w - 2 * k * k) * y1
               - (k * k - math.sqrt(2) * w * k + w * w) * y2) / norm
        x2, x1, y2, y1 = x1, y, y1, out
        np.testing.assert_allclose(t["position"], out, rtol=1e-4, atol=1e-5)


def test_effort_by_pd_is_computed_at_the_control_rate_and_limited(tmp_path):
    post = [{"op": "pd_torque", "kp": [10.0, 20.0, 30.0], "kd": [1.0, 2.0, 3.0], "limit": [4.0, 50.0, 50.0]}]
    c = controller(tmp_path,
                   card([term("command", 3, command="velocity")], control_period=0.01,
                        action={"type": "effort_pd", "post": post}))
    for i, (s, t) in enumerate(ticks(c, 6)):
        if i % 2 == 0:
            goal = default() + 0.5 * s["command.velocity"]
        tau = np.array([10, 20, 30]) * (goal - of(s["joint.position"])) - np.array([1, 2, 3]) * of(s["joint.velocity"])
        np.testing.assert_allclose(t["effort"], np.clip(tau, [-4, -50, -50], [4, 50, 50]), rtol=1e-4, atol=1e-5)
        assert "position" not in t


def test_actions_fade_in_from_the_default_pose(tmp_path):
    c = controller(tmp_path,
                   card([term("command", 3, command="velocity")],
                        action={"post": [{"op": "blend_from_default", "per_tick": 0.25}]}))
    for _ in range(2):
        for k, (s, t) in enumerate(ticks(c, 6)):
            np.testing.assert_allclose(t["position"], default() + min(0.25 * (k + 1), 1) * 0.5 * s["command.velocity"],
                                       rtol=1e-5, atol=1e-6)
        c.reset()


# ---- what a robot must have ----


def refused(tmp_path, content, kind, *words, **more):
    with pytest.raises(kind) as e:
        controller(tmp_path, content, **more)
    for word in words:
        assert word in str(e.value), str(e.value)


def test_joints_are_found_by_name_only(tmp_path):
    content = card([term("command", 3, command="velocity")])
    path = network(tmp_path / "p.onnx", 3)
    for robot, words in ((["ankle", "Hip", "knee"], ("'hip'", "'Hip'")), (["hip", "knee"], ("'ankle'",)),
                         (["hip", "knee", "ankle", "knee"], ("'knee'", "twice"))):
        with pytest.raises(efferent.MismatchError) as e:
            efferent.Controller(efferent.Card.from_json(json.dumps(content)), {"policy": path}, robot)
        assert all(w in str(e.value) for w in words), str(e.value)


def test_widths_periods_units_and_gains_are_refused_by_name(tmp_path):
    content = card([term("command", 3, command="velocity")])
    refused(tmp_path, content, efferent.MismatchError, "0.02", "0.003", control_period=0.003)
    refused(tmp_path, content, efferent.MismatchError, "command.velocity", "deg/s",
            units={"command.velocity": "m/s, m/s, deg/s"})
    refused(tmp_path, content, efferent.MismatchError, "command.velocity", units={})
    content["joints"]["knee"]["kp"] = None
    refused(tmp_path, content, efferent.MismatchError, "knee", "kp")
    content = card([term("command", 3, command="velocity")])
    wide = network(tmp_path / "wide.onnx", 5)
    with pytest.raises(efferent.ShapeError) as e:
        efferent.Controller(efferent.Card.from_json(json.dumps(content)), {"policy": wide}, ROBOT)
    assert all(w in str(e.value) for w in ("policy", "obs", "3", "5"))
    more = network(tmp_path / "more.onnx", 3, actions=4)
    with pytest.raises(efferent.ShapeError) as e:
        efferent.Controller(efferent.Card.from_json(json.dumps(content)), {"policy": more}, ROBOT)
    assert all(w in str(e.value) for w in ("actions", "4", "3"))


# ---- guard and fallback ----


def test_a_signal_that_is_not_finite_is_named_and_its_tick_moves_nothing(tmp_path):
    terms = [term("joint_position", 3, joints=JOINTS), term("command", 3, command="velocity")]
    c = controller(tmp_path, card(terms), fallback=[("hold", 0.05), ("damp", 0)], blend=0)
    c.tick(signals())
    before = {k: v.copy() for k, v in c.targets.items()}
    bad = signals()
    bad["joint.position"][ROBOT.index("knee")] = math.nan
    with pytest.raises(efferent.NumericError, match="joint.position.*knee.*nan"):
        c.tick(bad)
    for k, v in c.targets.items():
        np.testing.assert_array_equal(v, before[k])
    assert c.report.mode == "hold" and c.report.fault == "finite" and c.report.refused == 1 and c.observations == {}
    bad["joint.position"][:] = [0, math.nan, 0, 0]  # a joint that the policy does not know
    c.tick(bad)
    assert c.report.mode == "run"


def test_the_ladder_goes_down_by_time_and_is_left_by_a_clean_tick_with_a_blend(tmp_path):
    terms = [term("joint_position", 3, joints=JOINTS), term("command", 3, command="velocity"),
             term("last_action", 3, of="raw")]
    c = controller(tmp_path, card(terms), fallback=[("hold", 0.04), ("ramp", 0.1, 5.0, 0.3), ("damp", 0, -1, 2.5)],
                   blend=0.1)
    c.tick(signals(), now=0.0)
    held = of(c.targets["position"]).copy()
    bad = {**signals(), "command.velocity": [0, math.inf, 0]}
    modes = []
    for k in range(1, 12):
        with pytest.raises(efferent.NumericError):
            c.tick(bad, now=0.02 * k)
        modes.append(c.report.mode)
        if c.report.mode == "ramp":
            share = (0.02 * k - 0.06) / 0.1
            np.testing.assert_allclose(of(c.targets["position"]), held + share * (default() - held), atol=1e-6)
            np.testing.assert_allclose(of(c.targets["kp"]), 5)
    assert modes == ["hold"] * 2 + ["ramp"] * 5 + ["damp"] * 4
    np.testing.assert_allclose(of(c.targets["kp"]), 0)
    np.testing.assert_allclose(of(c.targets["kd"]), 2.5)
    s = signals()
    c.tick(s, now=0.3)
    # limp before: the blend starts where the joints are, with the card's gains, and the policy has begun anew
    np.testing.assert_allclose(of(c.targets["position"]), of(s["joint.position"]), atol=1e-6)
    np.testing.assert_allclose(of(c.targets["kp"]), [20, 30, 40])
    np.testing.assert_allclose(c.observations["policy.obs"][0][6:], 0)
    for k in range(1, 7):
        c.tick(s, now=0.3 + 0.02 * k)
    np.testing.assert_allclose(of(c.targets["position"]), default() + 0.5 * of(s["joint.position"]),
                               rtol=1e-5, atol=1e-6)


def test_old_data_bad_quaternions_attitude_and_late_ticks_are_told_apart(tmp_path):
    terms = [term("projected_gravity", 3), term("command", 3, command="velocity")]
    c = controller(tmp_path, card(terms), stale_limit=0.05, roll_limit=0.5, pitch_limit=0.6, deadline=0.5)
    good = signals(base__orientation=[1, 0, 0, 0])
    c.tick({**good, "stamp": 0.0}, now=0.0)
    c.tick({**good, "stamp": 0.0}, now=0.05)
    with pytest.raises(efferent.TimeoutError_, match="age.*0.07"):
        c.tick({**good, "stamp": 0.0}, now=0.07)
    with pytest.raises(efferent.NumericError, match="base.orientation.*norm"):
        c.tick({**good, "base.orientation": np.zeros(4)}, now=0.09)
    with pytest.raises(efferent.StateError, match="roll"):
        c.tick({**good, "base.orientation": [math.cos(0.4), math.sin(0.4), 0, 0]}, now=0.11)
    with pytest.raises(efferent.StateError, match="pitch"):
        c.tick({**good, "base.orientation": [math.cos(0.4), 0, -math.sin(0.4), 0]}, now=0.13)
    late = c.report.late
    c.tick(good, now=0.17)
    assert c.report.late == late + 1
    with pytest.raises(efferent.TimeoutError_, match="0.6"):
        c.tick(good, now=0.77)
    with pytest.raises(efferent.StateError, match="before the last tick"):
        c.tick(good, now=0.7)
    c.tick(good, now=0.79)


def test_the_guards_clamps_are_counted_and_not_remembered(tmp_path):
    content = card([term("command", 3, command="velocity"), term("last_action", 3, of="raw")])
    content["joints"]["hip"] |= {"lower": -0.2, "upper": 0.2}
    c = controller(tmp_path, content, guard=["position"], slew_limit=10.0, blend=0)
    big = signals(command__velocity=[5.0, 0.0, 0.0])
    c.tick(big)
    assert of(c.targets["position"])[0] == pytest.approx(0.2)
    assert of(c.clamps.astype(float)).tolist() == [1, 0, 0] and c.report.clamped == 1
    far = signals(command__velocity=[0.0, 4.0, 0.0])
    knee = of(c.targets["position"])[1]
    c.tick(far)
    np.testing.assert_allclose(c.observations["policy.obs"][0][3:], big["command.velocity"])
    assert of(c.targets["position"])[1] == pytest.approx(knee + 10.0 * 0.02)


def test_an_action_that_is_not_finite_is_refused_and_the_policy_begins_anew(tmp_path):
    c = controller(tmp_path, card([term("command", 3, command="velocity"), term("last_action", 3, of="raw")]),
                   gain=1e38, blend=0)
    c.tick(signals(command__velocity=[1e-38, 0, 0]))
    held = c.targets["position"].copy()
    with pytest.raises(efferent.NumericError, match="policy.*actions.*hip"):
        c.tick(signals(command__velocity=[1e30, 0, 0]))
    np.testing.assert_array_equal(c.targets["position"], held)
    c.tick(signals(command__velocity=[0, 0, 0]))
    np.testing.assert_allclose(c.observations["policy.obs"][0][3:], 0)


def test_modes_hold_ramp_and_damp_the_robot_and_run_begins_anew(tmp_path):
    terms = [term("joint_position", 3, joints=JOINTS), term("last_action", 3, of="raw")]
    c = controller(tmp_path, card(terms), ramp=0.1, blend=0)
    s = signals()
    c.mode("ramp")
    for k in range(8):
        c.tick(s)
        share = min(k * 0.02 / 0.1, 1)
        q = of(s["joint.position"])
        np.testing.assert_allclose(of(c.targets["position"]), q + share * (default() - q), atol=1e-6)
    assert c.report.mode == "ramp" and not c.report.ran
    c.mode("hold")
    c.tick(signals())
    np.testing.assert_allclose(of(c.targets["position"]), default(), atol=1e-6)
    c.mode("damp")
    c.tick(signals())
    np.testing.assert_allclose(of(c.targets["kp"]), 0)
    c.mode("run")
    c.tick(signals())
    assert c.report.ran
    np.testing.assert_allclose(c.observations["policy.obs"][0][3:], 0)
    np.testing.assert_allclose(of(c.targets["kp"]), [20, 30, 40])


def test_a_startup_and_every_step_of_a_ladder_have_gains_of_their_own_for_each_joint(tmp_path, log):
    terms = [term("command", 3, command="velocity")]
    startup = {
        "kind": "ramp",
        "to": "given",
        "pose": [0.3, 0.1, -0.2],
        "seconds": 0.1,
        "kp": [11.0, 12.0, 13.0],
        "kd": [1.1, 1.2, 1.3],
    }
    ladder = [{"kind": "ramp", "seconds": 0.1, "kp": [5.0, 6.0, 7.0], "kd": [0.5, 0.6, 0.7]},
              {"kind": "damping", "kd": [2.0, 3.0, 4.0]}]
    c = controller(tmp_path, card(terms, startup=startup, safety={"fallback": ladder}), blend=0)
    c.mode("ramp")
    for _ in range(7):
        c.tick(signals())
        np.testing.assert_allclose(of(c.targets["kp"]), [11, 12, 13])
        np.testing.assert_allclose(of(c.targets["kd"]), [1.1, 1.2, 1.3])
    np.testing.assert_allclose(of(c.targets["position"]), [0.3, 0.1, -0.2], atol=1e-6)
    c.mode("run")
    c.tick(signals(), now=1.0)
    np.testing.assert_allclose(of(c.targets["kp"]), [20, 30, 40])
    bad = {**signals(), "command.velocity": [0, math.inf, 0]}
    for now, kp, kd in ((1.02, [5, 6, 7], [0.5, 0.6, 0.7]), (1.2, [0, 0, 0], [2, 3, 4])):
        with pytest.raises(efferent.NumericError):
            c.tick(bad, now=now)
        np.testing.assert_allclose(of(c.targets["kp"]), kp)
        np.testing.assert_allclose(of(c.targets["kd"]), kd)
    assert not log

    # in the robot's order: by its names
    inverse = {name: k for k, name in enumerate(ROBOT)}
    def in_robot_order(values):
        laid = [99.0] * len(ROBOT)
        for name, v in zip(JOINTS, values):
            laid[inverse[name]] = v
        return laid
    robot = {**startup, "order": "robot", **{k: in_robot_order(startup[k]) for k in ("pose", "kp", "kd")}}
    c = controller(tmp_path, card(terms, startup=robot))
    c.mode("ramp")
    for _ in range(7):
        c.tick(signals())
    np.testing.assert_allclose(of(c.targets["kp"]), [11, 12, 13])
    np.testing.assert_allclose(of(c.targets["position"]), [0.3, 0.1, -0.2], atol=1e-6)
    assert not log

    # motors have no names in a card: the joints' own are used, and that is said
    c = controller(tmp_path, card(terms, startup={**startup, "order": "motor"}))
    c.mode("ramp")
    c.tick(signals())
    np.testing.assert_allclose(of(c.targets["kp"]), [20, 30, 40])
    said = [text for _, text in log]
    assert len(said) == 3 and all("order of motors" in text for text in said)
    assert [text.split()[0] for text in said] == ["startup.kp", "startup.kd", "startup.pose"]


def test_a_refused_run_is_made_at_the_next_clean_tick_and_the_phase_stays(tmp_path):
    c = controller(tmp_path, card([term("command", 3, command="velocity")], control_period=0.005), blend=0)
    bad = {**signals(), "command.velocity": [math.nan] * 3}
    ran = []
    for k in range(12):
        if k == 4:
            with pytest.raises(efferent.NumericError):
                c.tick(bad)
            ran.append(False)
        else:
            ran.append(c.tick(signals()).ran)
    assert [k for k, r in enumerate(ran) if r] == [0, 5, 8]


# ---- the networks behind it ----


def test_a_swap_changes_the_weights_of_a_running_controller(tmp_path):
    content = card([term("command", 3, command="velocity")])
    c = controller(tmp_path, content)
    c.tick(signals())
    c.swap("policy", efferent.Policy(network(tmp_path / "other.onnx", 3, gain=2.0), state={}))
    s = signals()
    c.tick(s)
    np.testing.assert_allclose(of(c.targets["position"]), default() + s["command.velocity"], rtol=1e-5, atol=1e-6)
    c.reclaim("policy")
    c.prewarm("policy")
    np.testing.assert_allclose(of(c.targets["position"]), default() + s["command.velocity"], rtol=1e-5, atol=1e-6)


def test_memory_is_carried_between_runs_and_begins_where_the_card_says(tmp_path):
    graph = helper.make_graph(
        [helper.make_node("Add", ["h_in", "obs"], ["h_out"]), helper.make_node("Identity", ["h_out"], ["actions"])],
        "test",
        [helper.make_tensor_value_info(n, T.FLOAT, [1, 3]) for n in ("obs", "h_in")],
        [helper.make_tensor_value_info(n, T.FLOAT, [1, 3]) for n in ("actions", "h_out")])
    path = tmp_path / "state.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    content = card([term("command", 3, command="velocity")],
                   memory={"h": {"shape": [1, 3], "dtype": "f32", "init": [1.0, 2.0, 3.0]}})
    content["models"][0]["inputs"]["h_in"] = {"from": "memory:h"}
    content["models"][0]["outputs"]["h_out"] = {"to": "memory:h"}
    # whether the policy carries the state itself or not: the card decides
    for policy in (path, efferent.Policy(path)):
        c = efferent.Controller(efferent.Card.from_json(json.dumps(content)), {"policy": policy}, ROBOT)
        for _ in range(2):
            h = np.array([1.0, 2, 3])
            for _ in range(4):
                s = signals()
                c.tick(s)
                np.testing.assert_allclose(c.observations["policy.h_in"][0], h, rtol=1e-5, atol=1e-6)
                h = h + s["command.velocity"]
                np.testing.assert_allclose(of(c.targets["position"]), default() + 0.5 * h, rtol=1e-5, atol=1e-6)
            c.reset()


def test_models_that_run_less_often_keep_their_outputs(tmp_path):
    content = card([term("command", 3, command="velocity")])
    content["models"][0]["every"] = 2
    c = controller(tmp_path, content)
    last = None
    for k in range(5):
        s = signals()
        c.tick(s)
        last = s["command.velocity"] if k % 2 == 0 else last
        np.testing.assert_allclose(of(c.targets["position"]), default() + 0.5 * last, rtol=1e-5, atol=1e-6)


# ---- preflight ----


def test_preflight_names_the_first_term_that_is_not_as_recorded(tmp_path):
    terms = [term("base_angular_velocity", 3, ages=[1, 0]),
             term("joint_position", 3, joints=JOINTS, minus_default=True), term("last_action", 3, of="raw")]
    content = card(terms)
    c = controller(tmp_path, content)
    recording = {}
    for _ in range(6):
        s = signals()
        c.tick(s)
        for kind, arrays in (("in", s), ("obs", c.observations), ("act", c.actions), ("out", c.targets)):
            for k, v in arrays.items():
                recording.setdefault(f"{kind}.{k}", []).append(np.array(v))
    recording = {k: np.stack(v) for k, v in recording.items()}
    np.savez(tmp_path / "run.npz", **recording)
    controller(tmp_path, content).preflight(tmp_path / "run.npz")
    content["vectors"]["obs"]["terms"][1]["scale"] = 0.9
    with pytest.raises(efferent.MismatchError, match="joint_position.*value 0"):
        controller(tmp_path, content).preflight(recording)
    content["vectors"]["obs"]["terms"][1]["scale"] = 1.0
    content["actions"][0]["scale"] = 0.25
    with pytest.raises(efferent.MismatchError, match="target 'position' of joint"):
        controller(tmp_path, content).preflight(recording)


# ---- bindings ----


def test_signals_and_targets_lie_where_the_robot_keeps_them(tmp_path):
    from efferent import _library, _table_controller as table

    class Motor(ctypes.Structure):
        _fields_ = [("id", ctypes.c_int32), ("q", ctypes.c_float), ("qd", ctypes.c_float), ("kp", ctypes.c_double),
                    ("target", ctypes.c_double)]

    content = card([term("joint_position", 3, joints=JOINTS, minus_default=True), term("projected_gravity", 3)])
    lib, made = _library.lib, ctypes.c_void_p()
    policy = efferent.Policy(network(tmp_path / "policy.onnx", 6), state={})
    loaded = efferent.Card.from_json(json.dumps(content))
    o = table.eff_controller_options()
    lib.eff_controller_options_default(ctypes.byref(o), ctypes.sizeof(o))
    o.joints, o.joint_count = (ctypes.c_char_p * 4)(*[j.encode() for j in ROBOT]), 4
    o.models, o.model_count = (table.eff_controller_model * 1)((b"policy", policy._handle.value)), 1
    size = ctypes.c_size_t()
    _library.check(lib.eff_controller_arena_size(loaded._handle.value, ctypes.byref(o), ctypes.byref(size)))
    block = np.zeros(size.value + 64, np.uint8)
    o.arena, o.arena_size = block.ctypes.data + (-block.ctypes.data % 64), size.value
    _library.check(lib.eff_controller_create(loaded._handle.value, ctypes.byref(o), ctypes.byref(made)))
    motors = (Motor * 4)()
    imu = np.array([0.0, 0.0, 0.0, 1.0])  # x, y, z, w
    offsets = (ctypes.c_ssize_t * 4)(*[i * ctypes.sizeof(Motor) for i in range(4)])

    def bind(name, field, unit, **more):
        b = table.eff_signal_binding.sized()
        b.name, b.unit, b.count, b.dtype = name, unit, 4, 1
        b.data = ctypes.addressof(motors) + getattr(Motor, field).offset if field else imu.ctypes.data
        for k, v in more.items():
            setattr(b, k, v)
        return lib.eff_controller_bind(made, ctypes.byref(b))

    assert bind(b"joint.position", "q", b"deg", stride=ctypes.sizeof(Motor)) == -10
    assert lib.eff_controller_start(made) == -10 and b"joint.position" in lib.eff_last_error()
    assert bind(b"joint.position", "q", b"rad", offsets=offsets) == 0
    assert bind(b"base.orientation", None, b"quaternion", dtype=11, layout=b"xyzw") == 0
    for what, field in ((0, "target"), (3, "kp")):
        t = table.eff_target_binding.sized()
        t.what, t.dtype, t.count, t.stride = what, 11, 4, ctypes.sizeof(Motor)
        t.data = ctypes.addressof(motors) + getattr(Motor, field).offset
        assert lib.eff_controller_bind_target(made, ctypes.byref(t)) == 0
    r = table.eff_controller_report.sized()
    assert lib.eff_controller_tick(made, 0, ctypes.byref(r)) == -2, "not started"
    assert lib.eff_controller_start(made) == 0
    q = rng.normal(size=4).astype(np.float32)
    for i in range(4):
        motors[i].q, motors[i].target, motors[i].kp = q[i], 77.0, 77.0
    assert lib.eff_controller_tick(made, 0, ctypes.byref(r)) == 0 and r.ran == 1
    found = np.array([m.target for m in motors])
    np.testing.assert_allclose(of(found), default() + 0.5 * (of(q) - default()), rtol=1e-5, atol=1e-6)
    assert found[ROBOT.index("spare")] == 77.0 and motors[ROBOT.index("hip")].kp == 20.0
    count = ctypes.c_size_t()
    values = lib.eff_controller_vector(made, b"obs", ctypes.byref(count))
    np.testing.assert_allclose(np.frombuffer(ctypes.string_at(values, 4 * count.value), np.float32)[3:], [0, 0, -1],
                               atol=1e-6)
    lib.eff_controller_destroy(made)
    assert lib.eff_controller_tick(made, 0, None) == -1
