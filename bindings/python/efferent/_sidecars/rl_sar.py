"""base.yaml and config.yaml of rl_sar: policy/ROBOT/base.yaml has the robot, policy/ROBOT/NAME/config.yaml overrides it
key by key."""
from ..errors import FormatError, MismatchError, ShapeError, UnsupportedError
from .draft import Draft, term
from .item import Item, same

CONVENTION = "rl_sar"
KEYS = {"rl_kp", "joint_mapping", "num_of_dofs", "observations_history", "fixed_kp", "joint_controller_names"}


def recognizes(items):
    def looks(i):
        body = next(iter(i.value.values())) if i.is_mapping and len(i.value) == 1 else None
        return isinstance(body, dict) and len(KEYS & set(body)) >= 2

    return bool(items) and all(looks(i) for i in items)


class Merged:
    """Keys of config.yaml before those of base.yaml, each with its own file for messages."""

    def __init__(self, bodies):
        self.bodies = bodies

    def get(self, key):
        for b in reversed(self.bodies):
            if b.has(key):
                return b.get(key)
        return None

    def __getitem__(self, key):
        found = self.get(key)
        if found is None:
            raise FormatError(f"{', '.join(b.file for b in self.bodies)}: '{key}' is missing")
        return found


def read(items, supplied):
    if len(items) > 2:
        raise MismatchError(f"rl_sar: {len(items)} files given, expected base.yaml and config.yaml")
    tops = sorted(((next(iter(i.value)), i) for i in items), key=lambda p: str(p[0]).count("/"))
    d = Draft(CONVENTION, [i.file for i in items], supplied)
    robot = str(tops[0][0]).split("/")[0]
    for name, item in tops:
        if str(name).split("/")[0] != robot:
            raise item.fail(MismatchError, f"is for robot '{name}', the other file for '{robot}'")
    c = Merged([i[name] for name, i in tops])
    d.card["robot"] = robot
    names = _joints(d, c)
    d.periods(c["dt"].number(positive=True) * c["decimation"].integer(1))
    wheels = [names[i] for i in c["wheel_indices"].indices(len(names), "the policy")] if c.get("wheel_indices") else []
    d.velocity_command()
    total = _actions(d, c, names, wheels)
    _observations(d, c, names, wheels, total)
    startup = {k: c.get(f"fixed_{k}") for k in ("kp", "kd")}
    if all(startup.values()):
        d.card["startup"] = {
            "kind": "ramp", "to": "default", **{k: v.numbers(len(names), "gains") for k, v in startup.items()},
            "gain_order": "policy"}
    d.model({"obs": {"from": "vector:obs"}}, {"actions": {"to": "action"}})
    return d


def _joints(d, c):
    robot = c["joint_names"]
    listed = robot.names()
    if c.get("num_of_dofs") is not None:
        n = c["num_of_dofs"].integer(1)
    else:
        n = len(c["joint_mapping"].list())
    mapping = c["joint_mapping"]
    if len(mapping.list()) != n:
        raise mapping.fail(FormatError, f"has {len(mapping.list())} entries, expected num_of_dofs {n}")
    names = [listed[i] for i in mapping.indices(len(listed), "joint_names")]
    limits = c.get("torque_limits")
    d.joints(names, default=c["default_dof_pos"].numbers(n), kp=c["rl_kp"].numbers(n, "gains"),
             kd=c["rl_kd"].numbers(n, "gains"),
             effort_limit=limits.numbers(n) if limits else None)
    return names


def _actions(d, c, names, wheels):
    n = len(names)
    scale = c["action_scale"].per(n)
    low = c.get("clip_actions_lower")
    high = c.get("clip_actions_upper")
    if (low is None) != (high is None):
        raise (low or high).fail(FormatError, "is there without its other bound")
    clips = list(zip(low.per(n), high.per(n))) if low else None
    for i, (a, b) in enumerate(clips or []):
        if a > b:
            raise low.fail(FormatError, f"has {a} at {i}, above {b} of clip_actions_upper")
    for kind, name, chosen, offset in (("position", "joint_position", [i for i in range(n) if names[i] not in wheels],
                                        "default"),
                                       ("velocity", "wheel_velocity", [i for i in range(n) if names[i] in wheels],
                                        0.0)):
        if not chosen:
            continue
        clip = [list(clips[i]) for i in chosen] if clips else None
        if clip and all(p == clip[0] for p in clip):
            clip = clip[0]
        d.action([names[i] for i in chosen], chosen, kind, name, clip_raw=clip, scale=same([scale[i] for i in chosen]),
                 offset=offset)
    return n


def _observations(d, c, names, wheels, total):
    n = len(names)
    axis = c.get("ang_vel_axis")
    if axis is not None and axis.text() != "body":
        raise axis.fail(UnsupportedError, f"is '{axis.value}': only angular velocity in the body frame is known")
    history = c.get("observations_history")
    ages = [i.integer(0) for i in history.list()] if history else []
    if len(set(ages)) != len(ages):
        raise history.fail(FormatError, "names one frame twice")
    ages = ages or [0]
    priority = c.get("observations_history_priority")
    layout = {"time": "time_major", "term": "term_major"}.get(priority.text() if priority else "time")
    if layout is None:
        raise priority.wrong("'time' or 'term'")

    def scaled(key):
        item = c.get(key)
        return item.number() if item else 1.0

    terms = []
    for item in c["observations"].list():
        name = item.text()
        more = {}
        if name == "lin_vel":
            op, size, scale = "base_linear_velocity", 3, scaled("lin_vel_scale")
        elif name == "ang_vel":
            op, size, scale = "base_angular_velocity", 3, scaled("ang_vel_scale")
        elif name == "gravity_vec":
            op, size, scale = "projected_gravity", 3, 1.0
        elif name == "commands":
            scale = c["commands_scale"].per(3) if c.get("commands_scale") else 1.0
            op, size, more = "command", 3, {"command": "velocity"}
        elif name == "dof_pos":
            op, size, scale = "joint_position", n, scaled("dof_pos_scale")
            more = {"joints": list(names), "minus_default": True, "zero": list(wheels)}
        elif name == "dof_vel":
            op, size, scale, more = "joint_velocity", n, scaled("dof_vel_scale"), {"joints": list(names)}
        elif name == "actions":
            op, size, scale, more = "last_action", total, 1.0, {"of": "clipped"}
        elif name in ("whole_body_tracking/motion_command", "whole_body_tracking/motion_anchor_ori_b"):
            if name.endswith("motion_command"):
                op, size, scale, more = "reference_joint_position_velocity", 2 * n, 1.0, {"joints": list(names)}
            else:
                op, size, scale = "reference_anchor_orientation_6d", 6, 1.0
            motion = d.answers.get("motion")
            if motion is None:
                d.ask("motion", "the policy tracks a motion: give its file, fps and anchor as in a card")
            else:
                d.card["motion"] = motion.mapping().value
        else:
            raise item.fail(UnsupportedError,
                            f"is '{name}', an observation that is not known; known are lin_vel, ang_vel, gravity_vec, "
                            f"commands, dof_pos,"
                                              " dof_vel, actions and those of whole_body_tracking. Upstream skips it "
                                              "without a word")
        terms.append(term(name, op, size, scale=scale, ages=ages, fill="zero", **more))
    width = sum(t["size"] for t in terms)
    declared = c.get("num_observations")
    if declared is not None and declared.integer() not in (width, width * len(ages)):
        raise declared.fail(ShapeError, f"is {declared.value}, but the observations make {width} values a frame")
    clip = c.get("clip_obs")
    bound = clip.number(positive=True) if clip else None
    d.vector("obs", terms, layout, [-float(bound), float(bound)] if bound else None)
