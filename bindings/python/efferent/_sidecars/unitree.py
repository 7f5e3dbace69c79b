"""deploy.yaml of unitree_rl_lab and unitree_rl_mjlab."""
from ..errors import FormatError, MismatchError, UnsupportedError
from .draft import Draft, newest_last, term
from .item import Selection, same

CONVENTION = "unitree_deploy_yaml"
FLAGS = ("use_gym_history", "scale_first")


def recognizes(items):
    return len(items) == 1 and items[0].is_mapping and {"joint_ids_map", "observations"} <= set(items[0].value)


def read(items, supplied):
    file = items[0]
    d = Draft(CONVENTION, [file.file], supplied)
    names = _joints(d, file)
    d.periods(file["step_dt"].number(positive=True))
    _commands(d, file)
    _actions(d, file, names)
    _observations(d, file, names)
    return d


def _joints(d, file):
    motors = file["joint_ids_map"]
    table = d.answers.names("joint_names")
    ids = motors.indices(len(table) if table else None, "the motor table (joint_names)")
    if not ids:
        raise motors.wrong("the motor index of each joint")
    if table is None:
        d.ask("joint_names",
              "the file has motor indices (joint_ids_map) only; name the joints in the order of the motor table")
    names = [table[i] if table else f"motor:{i}" for i in ids]
    n = len(ids)
    defaults = file["default_joint_pos"].numbers(n, "values")
    d.joints(names, default=defaults, **_gains(d, file, ids, names, table))
    return names


def _gains(d, file, ids, names, table):
    """kp and kd in policy order. The file writes them in motor order."""
    stiffness, damping = file["stiffness"], file["damping"]
    n = len(ids)
    order = d.answers.get("gain_order")
    if order is None:
        if sorted(ids) != list(range(n)):
            d.ask("gain_order",
                  f"joint_ids_map is no permutation of 0 to {n - 1}: say whether the {len(stiffness.list())} gains are "
                  f"in the order of"
                                " 'policy', of 'motor', or give the names in whose order they are")
            return {"kp": None, "kd": None}
        at = ids
    elif isinstance(order.value, list):
        listed = order.names()
        for name in names:
            if table and name not in listed:
                raise order.fail(MismatchError, f"does not name joint '{name}'")
        at = [listed.index(name) for name in names] if table else list(range(n))
        return {"kp": _pick(stiffness, at, len(listed)), "kd": _pick(damping, at, len(listed))}
    elif order.text() == "policy":
        return {"kp": stiffness.numbers(n), "kd": damping.numbers(n)}
    elif order.text() == "motor":
        at = ids
        if sorted(ids) != list(range(n)):
            return {"kp": _pick(stiffness, at, None), "kd": _pick(damping, at, None)}
    else:
        raise order.wrong("'policy', 'motor' or a list of joint names")
    return {"kp": _pick(stiffness, at, n), "kd": _pick(damping, at, n)}


def _pick(item, at, count):
    values = item.numbers(count)
    for i in at:
        if i >= len(values):
            raise item.fail(MismatchError,
                            f"has {len(values)} values in motor order, but joint_ids_map names motor {i}")
    return [values[i] for i in at]


def _commands(d, file):
    commands = file.get("commands")
    base = commands.get("base_velocity") if commands else None
    ranges = base.get("ranges") if base else None
    if ranges:
        d.velocity_command([ranges[k].range() for k in ("lin_vel_x", "lin_vel_y", "ang_vel_z")], clamp=True)
    for key in commands.keys() if commands else []:
        if key not in ("base_velocity", "motion"):
            d.note(f"{file.file}: command '{key}' has no place in the card")


def _selected(item, names):
    """Policy positions that `joint_ids` takes: null and a full slice take all."""
    if item is None:
        return list(range(len(names)))
    if isinstance(item.value, Selection):
        return item.value.of(len(names))
    if item.value == [None, None, None]:  # a slice whose tag was lost
        return list(range(len(names)))
    return item.indices(len(names), "the policy (joint_ids_map)")


def _actions(d, file, names):
    kinds = {"JointPositionAction": "position", "JointVelocityAction": "velocity"}
    at = 0
    for name, a in file["actions"].items():
        if name not in kinds:
            raise a.fail(UnsupportedError, f"is an action of type '{name}'; known are {', '.join(kinds)}")
        chosen = [names[i] for i in _selected(a.get("joint_ids"), names)]
        n = len(chosen)
        scale = a.get("scale").per(n) if a.has("scale") else [1.0] * n
        offset = a.get("offset").per(n) if a.has("offset") else [0.0] * n
        clip = None
        if a.has("clip"):
            clip = [c.range() for c in a["clip"].list()]
            if len(clip) != n:
                raise a["clip"].fail(FormatError, f"has {len(clip)} pairs, expected {n}")
        d.action(chosen, range(at, at + n), kinds[name], scale=same(scale),
                 offset=d.offset(offset, chosen) if kinds[name] == "position" else same(offset), clip=clip)
        at += n
    if not at:
        raise file["actions"].wrong("at least one action")


def _observations(d, file, names):
    observations = file["observations"]
    mappings = [i for _, i in observations.items() if i.is_mapping]
    if not mappings:
        raise observations.wrong("terms, or groups of terms")
    # upstream's rule: a first entry without params is a group
    groups = observations.items() if "params" not in mappings[0].value else [("obs", observations)]
    groups = [(g, item) for g, item in groups if g not in FLAGS]
    is_gym = any(item.is_mapping and item.value.get("use_gym_history") is True
                 for _, item in [*groups, ("", observations)])
    inputs = {}
    for group, item in groups:
        first = bool(item.get("scale_first") and item["scale_first"].flag())
        terms = [_term(d, name, t, names, first) for name, t in item.items() if name not in FLAGS]
        frames = max((len(t["ages"]) for t in terms), default=1)
        d.vector(group, terms, "time_major" if is_gym and frames > 1 else "term_major")
        inputs[group] = {"from": f"vector:{group}"}
    d.model(inputs, {"actions": {"to": "action"}})


def _term(d, name, t, names, scale_first):
    n = len(names)
    params = t.get("params")
    motion = {"motion_command", "motion_anchor_ori_b"}
    chosen = names
    asset = params.get("asset_cfg") if params else None
    if asset and asset.has("joint_ids"):
        chosen = [names[i] for i in _selected(asset["joint_ids"], names)]
    more = {}
    if name in ("base_ang_vel", "projected_gravity"):
        op, size = {"base_ang_vel": "base_angular_velocity"}.get(name, name), 3
    elif name in ("joint_pos", "joint_pos_rel"):
        op, size, more = "joint_position", len(chosen), {"joints": list(chosen),
                                                         "minus_default": name == "joint_pos_rel"}
    elif name in ("joint_vel", "joint_vel_rel"):
        op, size, more = "joint_velocity", len(chosen), {"joints": list(chosen)}
    elif name == "last_action":
        op, size, more = "last_action", sum(len(a["index"]) for a in d.card["actions"]), {"of": "raw"}
    elif name in ("velocity_commands", "keyboard_velocity_commands"):
        op, size, more = "command", 3, {"command": "velocity"}
        if "velocity" not in d.card["commands"]:
            d.velocity_command()
    elif name in ("gait_phase", "gait_phase_my"):
        if params is None:
            raise t["params"].wrong("the period of the gait")
        op, size, more = "clock", 2, {"clock": _clock(d, params["period"].number(positive=True)), "fn": ["sin", "cos"]}
        if name == "gait_phase_my":
            more["zero_when"] = {"command": "velocity", "norm": "l2", "below": 0.1}
            if "velocity" not in d.card["commands"]:
                d.velocity_command()
    elif name in motion:
        op, size = {"motion_command": ("reference_joint_position_velocity",
                                       2 * n)}.get(name, ("reference_anchor_orientation_6d", 6))
        more = {"joints": list(names)} if name == "motion_command" else {}
        _motion(d)
    else:
        raise t.fail(UnsupportedError,
                     f"is an observation term that is not known; known are base_ang_vel, projected_gravity, joint_pos, "
                     f"joint_pos_rel,"
                                       " joint_vel_rel, last_action, velocity_commands, gait_phase, gait_phase_my, "
                                       "motion_command and"
                                       " motion_anchor_ori_b")
    scale = t["scale"].per(size) if t.has("scale") else [1.0] * size
    frames = max(1, t.get("history_length").integer(0)) if t.has("history_length") else 1
    return term(name, op, size, scale=scale, clip=t["clip"].range() if t.has("clip") else None,
                ages=newest_last(frames), fill="reset",
                scale_first=scale_first, **more)


def _clock(d, period):
    clock = {"period": period, "phases": [0.0], "init": 0.0, "advance": "before_use", "advances_at_reset": 1,
             "wrap": "modulo"}
    for name, known in d.card["clocks"].items():
        if known == clock:
            return name
    name = "gait" if not d.card["clocks"] else f"gait_{len(d.card['clocks']) + 1}"
    d.card["clocks"][name] = clock
    return name


def _motion(d):
    motion = d.answers.get("motion")
    if motion is None:
        d.ask("motion", "the policy tracks a motion: give its file, fps and anchor as in a card")
    else:
        d.card["motion"] = motion.mapping().value
