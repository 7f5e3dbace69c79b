"""A controller behind a bridge moves a robot as one in the robot's process does; what the plant has wrong is
refused."""

import json

import efferent
import numpy as np
import pytest
from test_controller import JOINTS, ROBOT, card, network, quaternion, term, width

pytest.importorskip("zmq")

UNITS = {"joint.position": "rad", "joint.velocity": "rad/s", "base.orientation": "quaternion w,x,y,z",
         "command.velocity": "m/s, m/s, rad/s"}
TERMS = [term("projected_gravity", 3), term("joint_position", 3, joints=JOINTS, minus_default=True, ages=[2, 1, 0]),
         term("joint_velocity", 3, joints=JOINTS), term("last_action", 3, of="raw"),
         term("clock", 2, clock="gait", fn=["sin", "cos"]), term("command", 3, command="velocity")]
CLOCK = {"gait": {"period": 0.8, "phases": [0.0], "advance": "before_use", "wrap": "modulo"}}
LADDER = [("hold", 0.1), ("ramp", 0.2, 11.0, 1.5), ("damp", 0.0, -1.0, 2.5)]


def opened(tmp_path, **more):
    content = card(TERMS, control_period=0.01, clocks=CLOCK)
    path = network(tmp_path / "policy.onnx", width(content), gain=0.7, bias=0.1)
    return efferent.Controller(efferent.Card.from_json(json.dumps(content)), {"policy": path}, ROBOT, **more)


def moving(seed):
    """Signals of a robot that moves."""
    generator = np.random.default_rng(seed)
    while True:
        yield {"joint.position": generator.normal(size=4), "joint.velocity": generator.normal(size=4),
               "base.orientation": quaternion(), "command.velocity": generator.normal(size=3)}


def remote(bridge, **more):
    return efferent.RemoteController(bridge.endpoint, more.pop("joints", ROBOT), more.pop("units", UNITS), **more)


@pytest.fixture
def served(tmp_path):
    """(bridge, controller) on a thread of its own."""
    made = []

    def serve(endpoint="tcp://127.0.0.1:*", bridge={}, **more):
        controller = opened(tmp_path, **more)
        made.append(efferent.Bridge(controller, endpoint, **bridge))
        made[-1].start()
        return made[-1], controller

    yield serve
    for bridge in made:
        bridge.close()


@pytest.mark.parametrize("endpoint", ["tcp://127.0.0.1:*", "ipc://{}/link", "unix:{}/link", "shm:{}/link"])
def test_targets_over_the_link_are_those_of_the_robots_process_bit_for_bit(served, tmp_path, endpoint):
    bridge, _ = served(endpoint.format(tmp_path), stale_limit=0.5, guard="position")
    here = opened(tmp_path, stale_limit=0.5, guard="position")
    with remote(bridge) as there:
        assert there.needs == here.needs and there.control_period == pytest.approx(0.01, abs=1e-12)
        assert there.signals == here.signals
        for episode in range(3):
            here.reset()
            there.reset()
            for tick, signals in zip(range(40), moving(episode)):
                now = 0.01 * tick  # the clock begins anew with the episode
                a, b = here.tick(signals, now), there.tick({**signals, "foot.force": [1.0]}, now)
                assert a[:8] == b[:8] and a.period == b.period
                assert here.targets.keys() == there.targets.keys()
                for kind, values in here.targets.items():
                    np.testing.assert_array_equal(values, there.targets[kind], err_msg=f"{kind} in tick {tick}")
        assert here.report.ticks == 120 and here.report.late == 0 and here.report.refused == 0


def test_a_refused_tick_raises_with_its_words_and_brings_the_fallback(served, tmp_path):
    bridge, _ = served(stale_limit=0.05, fallback=LADDER)
    here = opened(tmp_path, stale_limit=0.05, fallback=LADDER)
    bad = {"nan": ({"joint.velocity": [0, 0, 0, np.nan]}, efferent.NumericError,
                   "joint.velocity.*joint 'knee'.*finite"),
           "quaternion": ({"base.orientation": [2.0, 0, 0, 0]}, efferent.NumericError, "base.orientation.*norm.* 2,"),
           "old": ({"stamp": 1.0}, efferent.TimeoutError_, "age is .*at most 0.05")}
    with remote(bridge) as there:
        for name, (change, kind, words) in bad.items():
            for c in (here, there):
                c.reset()
            for tick, signals in zip(range(60), moving(3)):
                now = 2.0 + 0.01 * tick
                if 10 <= tick < 50:
                    signals.update(change)
                    for c in (here, there):
                        with pytest.raises(kind, match=words):
                            c.tick(signals, now)
                else:
                    for c in (here, there):
                        c.tick(signals, now)
                assert (here.report.mode, here.report.fault) == (there.report.mode, there.report.fault), (name, tick)
                for what, values in here.targets.items():
                    np.testing.assert_array_equal(values, there.targets[what], err_msg=f"{name} {what} in tick {tick}")


def test_a_plant_that_has_the_robot_wrong_is_refused_by_name(served):
    bridge, _ = served()
    others = {
        "joints\\[0\\]: plant has 'hip', expected 'ankle'": {"joints": ["hip", "spare", "ankle", "knee"]},
        "joints: plant has 3 names, expected 4": {"joints": ROBOT[:3]},
        "'joint.velocity': plant has it in 'deg/s', expected 'rad/s'": {"units": {**UNITS, "joint.velocity": "deg/s"}},
        "'base.orientation': plant has it in 'quaternion x,y,z,w', expected 'quaternion w,x,y,z'":
            {"units": {**UNITS, "base.orientation": "quaternion x,y,z,w"}},
        "'base.orientation': not sent by the plant":
            {"units": {k: v for k, v in UNITS.items() if k != "base.orientation"}},
        "input 'reward': unknown": {"learns": True},
    }
    for words, change in others.items():
        with pytest.raises(efferent.BridgeMismatch, match=words):
            remote(bridge, **change, connect_timeout=2)
    # a plant that says nothing of units and joints is told both
    with pytest.raises(efferent.BridgeMismatch, match="joints: not told by the plant, expected 'ankle', 'spare'"):
        efferent.Client(bridge.endpoint)
    with pytest.raises(efferent.BridgeMismatch, match="units are not told.*'joint.position' in 'rad', .*or the schema"):
        efferent.Client(bridge.endpoint, expect={"joints": ROBOT})
    with remote(bridge) as there:
        schema = there.client.welcome.schema
        assert there.client.welcome.joints == ROBOT
        fields = {f.name: f for f in there.client.outputs}
        assert fields["kd"].unit == "N m s/rad" and fields["kd"].elements == tuple(ROBOT)
    # by the schema it shows that it knows them
    with efferent.Client(bridge.endpoint, aux=True, expect={"schema": schema}) as client:
        assert [f.name for f in client.outputs] == ["position", "kp", "kd", "report", "limits", "counts", "times_ns"]
    with pytest.raises(efferent.BridgeMismatch, match="schema: plant expects"):
        efferent.Client(bridge.endpoint, aux=True, expect={"schema": schema + 1})


def test_spellings_of_a_unit_are_one(served):
    bridge, _ = served()
    with remote(bridge, units={**UNITS, "joint.position": "radians", "base.orientation": "wxyz"}) as there:
        there.tick(next(moving(0)))


def test_a_dead_link_moves_the_robot_by_the_ladder_of_the_controller(served, tmp_path):
    """The same ladder as that of a controller whose signals are old, but on the robot's side."""
    bridge, _ = served("unix:" + str(tmp_path / "link"), fallback=LADDER, blend=0.05)
    here = opened(tmp_path, stale_limit=0.05, fallback=LADDER, blend=0.05)
    with remote(bridge, timeout=0.02, retry=0.01) as there:
        for tick, signals in zip(range(80), moving(4)):
            now = 0.01 * tick
            if tick == 20:
                bridge.stop()
            if tick == 60:
                bridge.start()
            if 20 <= tick < 60:
                with pytest.raises(efferent.BridgeTimeout):
                    there.tick(signals, now)
                with pytest.raises(efferent.TimeoutError_):
                    here.tick({**signals, "stamp": now - 1}, now)
            else:
                there.tick(signals, now)
                here.tick(signals, now)
            assert there.report.mode == here.report.mode, tick
            if tick < 60:
                for what, values in here.targets.items():
                    np.testing.assert_allclose(values, there.targets[what], atol=1e-12, err_msg=f"{what} in {tick}")
            if tick == 60:  # blended in from where the robot really is, as the ladder was limp
                np.testing.assert_allclose(there.targets["position"][[0, 2, 3]], signals["joint.position"][[0, 2, 3]])


def test_a_learner_in_the_controller_learns_from_the_plant(served, tmp_path):
    from test_controller_learner import Plant, learner, state

    content = card([term("joint_position", 3, joints=JOINTS, minus_default=True),
                    term("joint_velocity", 3, joints=JOINTS), term("last_action", 3, of="raw")])
    path = network(tmp_path / "policy.onnx", width(content))
    inside, outside = learner(), learner()
    made = [efferent.Controller(efferent.Card.from_json(json.dumps(content)), {"policy": path}, ROBOT, learner=one)
            for one in (inside, outside)]
    units = {"joint.position": "rad", "joint.velocity": "rad/s"}
    with efferent.Bridge(made[0]) as bridge:
        bridge.start()
        with pytest.raises(efferent.BridgeMismatch, match="'reward': not sent by the plant"):
            remote(bridge, units=units)
        with remote(bridge, units=units, learns=True) as there:
            plants = Plant(), Plant()
            for c, plant in zip((there, made[1]), plants):
                c.reset()
                for tick in range(300):
                    c.tick(plant.signals(), 0.02 * tick)
                    reward, fell = plant.step(c.targets["position"])
                    ends = fell or tick % 50 == 49
                    c.reward(reward, terminated=ends and fell, truncated=ends and not fell)
                    if ends:
                        # the observation that follows the last action, then the new episode
                        c.tick(plant.signals(), 0.02 * tick + 0.02)
                        plant.reset()
                        c.reset()
        bridge.stop()
    assert state(inside, tmp_path) == state(outside, tmp_path), "bit for bit"


def test_a_controller_is_served_once_and_is_nobodys_after_its_bridge(served, tmp_path):
    bridge, controller = served()
    with pytest.raises(efferent.StateError, match="another bridge serves it"):
        efferent.Bridge(controller)
    # what cannot be served goes on ticking here
    here = opened(tmp_path)
    for options in ({"rate": 50.0}, {"endpoint": "nowhere"}, {"endpoint": f"unix:{tmp_path}/no/folder"}):
        with pytest.raises(efferent.Error, match="controller's to tell|nowhere|no/folder"):
            efferent.Bridge(here, **options)
    here.tick(next(moving(1)))
    bridge.close()
    with pytest.raises(efferent.StateError):
        controller.tick(next(moving(1)))
    # and may be served again
    with efferent.Bridge(controller) as again:
        again.start()
        with remote(again) as there:
            there.tick(next(moving(1)))
        again.stop()


def test_mujoco_closes_its_loop_over_the_link(tmp_path):
    """The loop of the walk examples with the controller in another thread: the same states, bit for bit."""
    mujoco = pytest.importorskip("mujoco")
    model = mujoco.MjModel.from_xml_string(MODEL)
    content = card([term("joint_position", 3, joints=JOINTS, minus_default=True),
                    term("joint_velocity", 3, joints=JOINTS), term("last_action", 3, of="raw")])
    path = network(tmp_path / "policy.onnx", width(content), gain=-0.3, bias=0.2)
    units = {"joint.position": "rad", "joint.velocity": "rad/s"}

    def controller():
        return efferent.Controller(efferent.Card.from_json(json.dumps(content)), {"policy": path}, ROBOT)

    def run(c):
        loop = efferent.MujocoLoop(model, c)
        for _ in range(50):
            loop.step()
        return loop.data.qpos.copy()

    here = run(controller())
    with efferent.Bridge(controller()) as bridge:
        bridge.start()
        with remote(bridge, units=units) as there:
            np.testing.assert_array_equal(run(there), here)
        bridge.stop()
    assert np.abs(here).max() > 0.05


MODEL = """
<mujoco>
  <option timestep="0.005"/>
  <worldbody>
    <body><joint name="ankle" axis="0 1 0"/><geom size="0.05 0.2" type="capsule"/>
    <body pos="0 0 -0.4"><joint name="spare" axis="0 1 0"/><geom size="0.05 0.1" type="capsule"/>
    <body pos="0 0 -0.4"><joint name="hip" axis="0 1 0"/><geom size="0.05 0.1" type="capsule"/>
    <body pos="0 0 -0.4"><joint name="knee" axis="0 1 0"/><geom size="0.05 0.1" type="capsule"/></body></body></body></body>
  </worldbody>
  <actuator><motor joint="ankle"/><motor joint="hip"/><motor joint="knee"/></actuator>
</mujoco>
"""
