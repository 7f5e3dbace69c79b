"""Files of Isaac Lab: IO_descriptors.yaml (names and numbers), env.yaml (the training configuration, with patterns),
and deploy_metadata.yaml of the ADVR toolkit, which holds parts of an env.yaml. Terms and actions mean the same in all
three."""
from ..errors import FormatError, MismatchError, ShapeError, UnsupportedError
from .draft import Draft, by_pattern, matching, newest_last, term
from .item import Selection, same

UNITS = {
    "base_lin_vel": {"m/s"}, "base_ang_vel": {"rad/s"}, "joint_pos": {"rad"}, "joint_pos_rel": {"rad"},
    "joint_vel": {"rad/s"},
    "joint_vel_rel": {"rad/s"}, "base_pos_z": {"m"}, "joint_effort": {"N.m", "N*m", "Nm", "N m"},
    # upstream writes m/s^2 for what is a unit vector
    "projected_gravity": {"m/s^2", "m/s²", "1"},
}
POSE = {"signal": "command.pose", "fields": ["x", "y", "z", "qw", "qx", "qy", "qz"], "units": None, "range": None,
        "clamp": False}
ACTIONS = {
    "JointPositionAction": "position", "JointVelocityAction": "velocity", "JointEffortAction": "effort",
    "RelativeJointPositionAction": "position_increment",
}
# what a group of env.yaml holds beside its terms
GROUP_KEYS = {"concatenate_terms", "concatenate_dim", "enable_corruption", "history_length", "flatten_history_dim"}


def function(text):
    """The bare name of `module:function` or `module.function`."""
    return text.replace(":", ".").rsplit(".", 1)[-1]


def vocabulary(d, name, where, joints, actions, command, size=None):
    """Op, size and further keys of an observation function. `where` is the item for messages, `actions` the number of
    actions, `command` names the command behind generated_commands."""
    if name in ("base_lin_vel", "base_ang_vel"):
        return {"base_lin_vel": "base_linear_velocity", "base_ang_vel": "base_angular_velocity"}[name], 3, {}
    if name == "projected_gravity":
        return name, 3, {}
    if name == "base_pos_z":
        return "base_height", 1, {}
    if name in ("joint_pos", "joint_pos_rel"):
        return "joint_position", len(joints), {"joints": list(joints), "minus_default": name == "joint_pos_rel"}
    if name in ("joint_vel", "joint_vel_rel"):
        return "joint_velocity", len(joints), {"joints": list(joints)}
    if name == "joint_effort":
        return "joint_effort", len(joints), {"joints": list(joints)}
    if name == "last_action":
        return "last_action", actions, {"of": "raw"}
    if name == "generated_commands":
        return "command", len(_command(d, command, size, where)["fields"]), {"command": command}
    if name == "height_scan" and size:
        d.ask("vectors:height_scan", "the offset of the height scan is not in the file (Isaac Lab's default is 0.5)",
              blocks=False)
        return "height_scan", size, {}
    raise where.fail(UnsupportedError,
                     f"is the function '{name}', which is not known; describe its term in a patch on `vectors`")


def _command(d, name, size, where):
    """Declares a command of the card."""
    commands = d.card["commands"]
    if name not in commands:
        if name == "velocity" and size in (None, 3):
            d.velocity_command()
        elif name == "pose" and size in (None, 7):
            commands["pose"] = {**POSE, "fields": list(POSE["fields"])}
        elif size:
            commands[name] = {
                "signal": f"command.{name}", "fields": [str(i) for i in range(size)], "units": None, "range": None,
                "clamp": False}
        else:
            raise where.fail(MismatchError, f"takes the command '{name}', whose width the file does not say")
    found = commands[name]
    if size and len(found["fields"]) != size:
        raise where.fail(ShapeError, f"is {size} wide, the command '{name}' has {len(found['fields'])} fields")
    return found


def command_of(d, keys, default, size, where):
    """Which command feeds a term: as the user says under one of `keys`, else `default`."""
    told = d.answers.get("command_of")
    for key in keys:
        if told is not None and told.has(key):
            return told[key].text()
    if default is None:
        width = f"{size} values wide, " if size else ""
        raise where.fail(MismatchError,
                         f"takes the command '{keys[0]}', {width}and the file does not say what it is: answer"
                                        f" {{\"command_of\": {{\"{keys[0]}\": \"velocity\"}}}} (or \"pose\") in "
                                        f"`supplied`")
    return default


def frames(history, flatten, name):
    """Frames of a history: 0 and 1 are the value alone."""
    n = max(1, history.integer(0)) if history is not None else 1
    if n > 1 and flatten is not None and flatten.flag() is False:
        raise flatten.fail(UnsupportedError,
                           f"(flatten_history_dim) is false for '{name}': its history would be an axis of its own; the "
                           f"network takes one"
                                             " row of numbers")
    return newest_last(n)


def scale_of(item, size):
    return 1.0 if item is None else item.per(size)


# ---- IO_descriptors.yaml ----

class IoDescriptors:
    CONVENTION = "isaaclab_io_descriptors"

    @staticmethod
    def recognizes(items):
        return len(items) == 1 and items[0].is_mapping and {"articulations", "observations",
                                                            "actions"} <= set(items[0].value)

    @staticmethod
    def read(items, supplied):
        file = items[0]
        d = Draft(IoDescriptors.CONVENTION, [file.file], supplied)
        _articulation(d, file)
        scene = file["scene"]
        period = scene["dt"].number(positive=True)
        if scene.has("physics_dt") and scene.has("decimation"):
            product = scene["physics_dt"].number(positive=True) * scene["decimation"].integer(1)
            if abs(product - period) > 1e-6 * period:
                raise scene["dt"].fail(MismatchError, f"is {period}, but physics_dt times decimation is {product}")
        d.periods(period)
        total = 0
        outputs = []
        for a in file["actions"].list():
            outputs.append((a, total))
            total += len(a["joint_names"].list())
        for a, at in outputs:
            _described_action(d, a, at)
        _described_terms(d, file, total)
        d.model({"obs": {"from": "vector:obs"}}, {"actions": {"to": "action"}})
        return d


def _articulation(d, file):
    articulations = file["articulations"]
    keys = articulations.keys()
    if len(keys) != 1 and "robot" not in keys:
        raise articulations.fail(MismatchError,
                                 f"holds {', '.join(map(str, keys))}, expected one of them to be called 'robot'")
    robot = articulations["robot"] if "robot" in keys else articulations[keys[0]]
    names = robot["joint_names"].names()
    n = len(names)
    gains = [robot[k].numbers(n) for k in ("default_joint_stiffness", "default_joint_damping")]
    # both 0: an explicit or network actuator, whose gains are not in the file
    unknown = [kp == 0 and kd == 0 for kp, kd in zip(*gains)]
    kp, kd = ([None if u else g for u, g in zip(unknown, column)] for column in gains)
    limits = None
    if robot.has("default_joint_pos_limits"):
        limits = [r.range() for r in robot["default_joint_pos_limits"].list()]
        if len(limits) != n:
            raise robot["default_joint_pos_limits"].fail(FormatError, f"has {len(limits)} pairs, expected {n}")
    d.joints(names, default=robot["default_joint_pos"].numbers(n), kp=kp, kd=kd,
             lower=[r[0] for r in limits] if limits else None,
             upper=[r[1] for r in limits] if limits else None)
    if any(unknown):
        for key in ("kp", "kd"):
            d.ask(f"joints.{key}",
                  f"stiffness and damping of {', '.join(n for n, u in zip(names, unknown) if u)} are both 0 in the "
                  f"file, which means"
                                   " unknown", blocks=False)


def _described_action(d, a, at):
    kind = function(a["full_path"].text())
    if kind not in ACTIONS:
        raise a["full_path"].fail(UnsupportedError, f"is an action of type '{kind}'; known are {', '.join(ACTIONS)}")
    names = a["joint_names"].names()
    for n in names:
        if n not in d.card["joints"]:
            raise a["joint_names"].fail(MismatchError, f"names '{n}', which is no joint of the articulation")
    shape = a["shape"].list() if a.has("shape") else None
    if shape is not None and (not shape or shape[-1].integer() != len(names)):
        raise a["shape"].fail(ShapeError, f"is {a['shape'].value}, but the action has {len(names)} joints")
    scale = scale_of(a.get("scale"), len(names))
    offset = a["offset"].per(len(names)) if a.has("offset") else [0.0] * len(names)
    clip = None
    if a.has("clip"):
        clip = [c.range() for c in a["clip"].list()]
        if len(clip) != len(names):
            raise a["clip"].fail(FormatError, f"has {len(clip)} pairs, expected {len(names)}")
    taken = d.offset(offset, names) if ACTIONS[kind] == "position" else same(offset)
    d.action(names, range(at, at + len(names)), ACTIONS[kind], scale=same(scale) if isinstance(scale, list) else scale,
             offset=taken, clip=clip)


def _described_terms(d, file, total):
    groups = file["observations"]
    if "policy" not in groups.keys():
        raise groups.fail(FormatError, f"has no group 'policy'; it has {', '.join(map(str, groups.keys()))}")
    for other in groups.keys():
        if other != "policy":
            d.note(f"{file.file}: group '{other}' is not the policy's")
    terms = []
    for t in groups["policy"].list():
        name = t["name"].text()
        func = function(t["full_path"].text()) if t.has("full_path") else name
        extras = t.get("extras")
        if extras and extras.has("modifiers"):
            raise extras["modifiers"].fail(UnsupportedError,
                                           f"change '{name}' before scaling; modifiers have no place in a card")
        units = extras.get("units") if extras else None
        if units is not None and func in UNITS and units.text() not in UNITS[func]:
            raise units.fail(MismatchError,
                             f"of '{name}' is '{units.value}', expected {' or '.join(sorted(UNITS[func]))}")
        joints = t["joint_names"].names() if t.has("joint_names") else d.order
        for j in joints:
            if j not in d.card["joints"]:
                raise t["joint_names"].fail(MismatchError, f"names '{j}', which is no joint of the articulation")
        shape = t["shape"].list() if t.has("shape") else []
        width = shape[-1].integer(1) if shape else None
        command = None
        if func == "generated_commands":
            command = command_of(d, [name, func], "velocity" if width == 3 else None, width, t)
            if width == 3 and d.answers.get("command_of") is None:
                d.ask(f"command_of:{name}",
                      "which command feeds it is not in the file; a velocity is taken, being 3 wide", blocks=False)
        op, size, more = vocabulary(d, func, t, joints, total, command, width)
        if width is not None and width != size:
            raise t["shape"].fail(ShapeError, f"of '{name}' is {width} wide, but the term has {size} values")
        if func == "joint_pos_rel" and t.has("joint_pos_offsets"):
            offsets = t["joint_pos_offsets"].numbers(size)
            if offsets != d.defaults(joints):
                raise t["joint_pos_offsets"].fail(MismatchError,
                                                  f"of '{name}' is not the default pose of the articulation")
        over = t.get("overloads")
        at = (lambda key: over.get(key)) if over else (lambda key: None)
        flat = at("flatten_history_dim")
        terms.append(term(name, op, size, scale=scale_of(at("scale"), size),
                          clip=at("clip").range() if at("clip") else None,
                          ages=frames(at("history_length"), flat, name), **more))
    d.vector("obs", terms)


# ---- env.yaml ----

class EnvYaml:
    CONVENTION = "isaaclab_env_yaml"

    @staticmethod
    def recognizes(items):
        v = items[0].value if len(items) == 1 else None
        return isinstance(v, dict) and {"scene", "observations", "actions", "sim", "decimation"} <= set(v)

    @staticmethod
    def read(items, supplied):
        file = items[0]
        d = Draft(EnvYaml.CONVENTION, [file.file], supplied)
        d.periods(file["sim"]["dt"].number(positive=True) * file["decimation"].integer(1))
        names = d.answers.names("joint_order")
        if names is None:
            raise MismatchError(f"{file.file}: the file has patterns for joints only; answer `joint_order` in "
                                f"`supplied`: the names in the order of the"
                                " articulation")
        robot = file["scene"]["robot"]
        _posed(d, robot, names)
        total = _configured_actions(d, file["actions"], names)
        group = _group(d, file["observations"])
        _configured_terms(d, group, group, names, total, file.get("commands"), lambda t: t)
        d.model({"obs": {"from": "vector:obs"}}, {"actions": {"to": "action"}})
        return d


def _group(d, observations):
    if "policy" not in observations.keys():
        raise observations.fail(FormatError,
                                f"has no group 'policy'; it has {', '.join(map(str, observations.keys()))}")
    for other in observations.keys():
        if other != "policy":
            d.note(f"{observations.file}: group '{other}' is not the policy's")
    return observations["policy"]


def _posed(d, robot, names):
    """Pose, gains and limits from patterns: exactly one pattern per joint."""
    default = by_pattern(robot["init_state"]["joint_pos"], names)
    velocity = robot["init_state"].get("joint_vel")
    if velocity is not None and any(by_pattern(velocity, names).values()):
        raise velocity.fail(UnsupportedError, "gives a joint a default velocity other than 0")
    columns = {k: [None] * len(names) for k in ("kp", "kd", "effort_limit", "velocity_limit")}
    owner = {}
    for group, a in robot["actuators"].items():
        chosen = matching(a["joint_names_expr"], names)
        for n in chosen:
            if n in owner:
                raise a.fail(MismatchError, f"drives joint '{n}', which actuator '{owner[n]}' drives already")
            owner[n] = group
        is_network = "net" in function(a["class_type"].text()).lower() if a.has("class_type") else False
        for key, sources in (("kp", ("stiffness",)), ("kd", ("damping",)),
                             ("effort_limit", ("effort_limit", "effort_limit_sim")),
                             ("velocity_limit", ("velocity_limit", "velocity_limit_sim"))):
            item = next((a.get(s) for s in sources if a.has(s)), None)
            if item is None or (is_network and key in ("kp", "kd")):
                continue
            for n, v in by_pattern(item, chosen, required=key in ("kp", "kd")).items():
                columns[key][names.index(n)] = v
        if is_network:
            d.note(f"{robot.file}: actuator '{group}' is a network: its gains are not in the file")
    for n in names:
        if n not in owner:
            raise robot["actuators"].fail(MismatchError,
                                          f"has no actuator pattern (joint_names_expr) that covers joint '{n}': its "
                                          f"stiffness and damping are"
                                                         " unknown")
    for key in ("kp", "kd"):
        unknown = [n for n, v in zip(names, columns[key]) if v is None]
        if unknown:
            d.ask(f"joints.{key}", f"of {', '.join(unknown)} is not in the file", blocks=False)
    for key in ("effort_limit", "velocity_limit"):
        if all(v is None for v in columns[key]):
            columns[key] = None
    d.joints(names, default=[default[n] for n in names], **columns)


def _chosen(params, names):
    """Joints that a term's asset_cfg takes: by name patterns in articulation order, by index, or all."""
    asset = params.get("asset_cfg") if params else None
    if asset is None:
        return names
    lost = asset.has("joint_ids") and asset["joint_ids"].value == [None, None, None]  # a slice whose tag was lost
    if asset.has("joint_ids") and not lost and not isinstance(asset["joint_ids"].value, Selection):
        return [names[i] for i in asset["joint_ids"].indices(len(names), "the articulation")]
    if asset.has("joint_names"):
        return _ordered(asset["joint_names"], names, asset.get("preserve_order"))
    if asset.has("joint_ids") and not lost:
        return [names[i] for i in asset["joint_ids"].value.of(len(names))]
    return names


def _ordered(patterns, names, preserve):
    if preserve is None or not preserve.flag():
        return matching(patterns, names)
    found = []
    for p in patterns.list() if isinstance(patterns.value, list) else [patterns]:
        found += [n for n in matching(p, names) if n not in found]
    return found


def _configured_actions(d, actions, names, unwrap=lambda a: a, more=None):
    at = 0
    for name, a in actions.items():
        if a.is_null:
            continue
        a = unwrap(a)
        kind = function(a["class_type"].text())
        if kind not in ACTIONS:
            raise a["class_type"].fail(UnsupportedError,
                                       f"is an action of type '{kind}'; known are {', '.join(ACTIONS)}")
        chosen = _ordered(a["joint_names"], names, a.get("preserve_order"))
        n = len(chosen)
        # Isaac Lab lets patterns of scale leave joints out: those keep 1
        scale = [1.0] * n
        if a.has("scale"):
            found = by_pattern(a["scale"], chosen, required=False)
            scale = [found.get(j, 1.0) for j in chosen]
        kind = ACTIONS[kind]
        if kind == "position" and (a["use_default_offset"].flag() if a.has("use_default_offset") else True):
            offset = "default"
        else:
            found = by_pattern(a["offset"], chosen, required=False) if a.has("offset") else {}
            offset = same([found.get(j, 0.0) for j in chosen])
        clip = None
        if a.has("clip"):
            clip = _clips(a["clip"], chosen)
        d.action(chosen, range(at, at + n), kind, name, scale=same(scale), offset=offset, clip=clip,
                 **(more(chosen) if more else {}))
        at += n
    return at


def _clips(item, names):
    """[lower, upper] for each joint, from a mapping of patterns."""
    found = {}
    for pattern, pair in item.items():
        for n in matching(type(item)([pattern], item.file, item.path), names):
            found[n] = pair.range()
    missing = [n for n in names if n not in found]
    if missing:
        raise item.fail(MismatchError, f"has no pattern that matches joint '{missing[0]}'")
    return [found[n] for n in names]


def _command_name(d, t, params, commands):
    """The command behind generated_commands: its name in the file, as the card calls it, and its width."""
    key = params["command_name"].text() if params and params.has("command_name") else "generated_commands"
    declared = commands.get(key) if commands else None
    kind = function(declared["class_type"].text()) if declared is not None and declared.has("class_type") else ""
    width = 3 if "Velocity" in kind else 7 if "Pose" in kind else None
    default = "velocity" if key == "base_velocity" or width == 3 else "pose" if width == 7 else None
    return command_of(d, [key, "generated_commands"], default, width, t), width


def _configured_terms(d, group, flags, names, total, commands, unwrap):
    if flags.mapping().value.get("concatenate_terms") is False:
        raise flags["concatenate_terms"].fail(UnsupportedError, "is false: the network takes one row of numbers")
    terms = []
    for name, t in group.items():
        if name in GROUP_KEYS or t.is_null:
            continue
        t = unwrap(t)
        func = function(t["func"].text())
        if t.has("modifiers"):
            raise t["modifiers"].fail(UnsupportedError,
                                      f"change '{name}' before scaling; modifiers have no place in a card")
        params = t.get("params")
        command, width = _command_name(d, t, params, commands) if func == "generated_commands" else (None, None)
        actions = total
        if func == "last_action" and params and params.has("action_name"):
            wanted = params["action_name"].text()
            found = [a for a in d.card["actions"] if a["name"] == wanted]
            if not found:
                raise params["action_name"].fail(MismatchError, f"is '{wanted}', which is no action of the file")
            actions = len(found[0]["index"])
        op, size, more = vocabulary(d, func, t, _chosen(params, names), actions, command, width)
        # a length at the group overrides those of its terms
        owner = flags if flags.mapping().value.get("history_length") is not None else t
        flat = owner.mapping().value.get("flatten_history_dim")
        terms.append(term(name, op, size, scale=scale_of(t.get("scale"), size),
                          clip=t["clip"].range() if t.has("clip") else None,
                          ages=frames(owner.get("history_length"),
                                      owner["flatten_history_dim"] if flat is not None else None, name), **more))
    d.vector("obs", terms)


# ---- deploy_metadata.yaml of the ADVR toolkit ----

class Advr:
    CONVENTION = "advr_deploy_metadata"

    @staticmethod
    def recognizes(items):
        v = items[0].value if len(items) == 1 else None
        return isinstance(v, dict) and {"joint_names", "ctrl_dt", "joint_stiffness", "observations"} <= set(v)

    @staticmethod
    def read(items, supplied):
        file = items[0]
        d = Draft(Advr.CONVENTION, [file.file], supplied)
        names = file["joint_names"].names()
        n = len(names)
        gains = {}
        for key, source in (("kp", "joint_stiffness"), ("kd", "joint_damping")):
            # -1: the robot keeps its own
            gains[key] = [None if g == -1 else g for g in file[source].numbers(n)]
            kept = [j for j, g in zip(names, gains[key]) if g is None]
            if kept:
                d.ask(f"joints.{key}", f"of {', '.join(kept)} is -1, which means the robot's own", blocks=False)
        d.joints(names, default=file["default_joint_pos"].numbers(n), **gains)
        if file.has("default_joint_vel") and any(file["default_joint_vel"].numbers(n)):
            raise file["default_joint_vel"].fail(UnsupportedError, "gives a joint a default velocity other than 0")
        d.periods(file["ctrl_dt"].number(positive=True))
        limits = d.answers.get("limits")
        if limits is None:
            d.ask("limits",
                  "targets are clamped to the position and velocity limits of the robot's description, which is not "
                  "given")

        def clamps(joints):
            if limits is None:
                return {}
            each = [limits[j] for j in joints]
            return {"limits_position": [_bounds(e) for e in each],
                    "limits_velocity": [e["velocity"].number(positive=True) for e in each]}

        total = _configured_actions(d, file["actions"], names, lambda a: a["cfg"] if a.has("cfg") else a, clamps)
        group = _group(d, file["observations"])
        _configured_terms(d, group, group, names, total, None, lambda t: t["cfg"] if t.has("cfg") else t)
        d.model({"obs": {"from": "vector:obs"}}, {"actions": {"to": "action"}})
        d.card["target_init"] = "measured"
        return d


def _bounds(item):
    low, high = item["lower"].number(), item["upper"].number()
    if low > high:
        raise item.fail(FormatError, f"has lower {low} above upper {high}")
    return [low, high]
