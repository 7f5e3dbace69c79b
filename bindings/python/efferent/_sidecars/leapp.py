"""Bundles of LEAPP, as isaac_ros_deploy reads them: a yaml beside the networks, history and last action as feedback."""
import hashlib
from pathlib import Path

from ..errors import FormatError, MismatchError, ShapeError, UnsupportedError
from .draft import Draft
from .item import MOST

CONVENTION = "leapp"
JOINT = {"position": "joint.position", "velocity": "joint.velocity", "effort": "joint.effort", "torque": "joint.effort",
         "torques": "joint.effort"}
BODY = {"angular_velocity": "base.angular_velocity", "linear_velocity": "base.linear_velocity",
        "position": "base.position",
        "rotation": "base.orientation"}
TARGETS = {"position": "position", "velocity": "velocity", "effort": "effort", "torque": "effort", "torques": "effort"}


def recognizes(items):
    v = items[0].value if len(items) == 1 else None
    return isinstance(v, dict) and "models" in v and "pipeline" in v


def read(items, supplied, folder=None):
    file = items[0]
    d = Draft(CONVENTION, [file.file], supplied)
    pipeline = file["pipeline"]
    models = {name: m for name, m in file["models"].items()}
    frequency = pipeline["configs"].get("frequency") if pipeline.has("configs") else None
    if frequency is not None:
        d.periods(1 / frequency.number(positive=True))
    elif d.answers.get("policy_period") is not None:
        d.periods(d.answers.get("policy_period").number(positive=True))
    else:
        d.ask("policy_period", "the bundle has no frequency")
    _joints(d, models)
    # upstream's reader looks for feedback_connections, the writer writes feedback_flow
    flows = [pipeline[k] for k in ("feedback_flow", "feedback_connections") if pipeline.has(k)]
    feedback = _edges([e for f in flows for e in f.items()], models)
    data = _edges(pipeline["data_flow"].items() if pipeline.has("data_flow") else [], models)
    if pipeline.has("initial_values"):
        raise pipeline["initial_values"].fail(UnsupportedError,
                                              "gives the feedback initial values from a file; give `memory` in a patch")
    for name, m in models.items():
        _model(d, name, m, feedback, data)
    if not d.card["actions"]:
        raise file["models"].fail(MismatchError, "has no output of kind target/joint/...")
    for m in models.values():
        _hash(m, folder)
    d.ask("joints.default", "the start pose is not in the bundle", blocks=False)
    return d


def _hash(model, folder):
    parameters = model["parameters"]
    path = Path(folder or ".") / parameters["model_path"].text()
    hashes = [k for k in ("sha256sum", "md5sum") if parameters.has(k)]
    if not path.is_file():
        if hashes:
            raise parameters[hashes[0]].fail(MismatchError, f"cannot be checked: {path.name} is not beside the bundle")
        return
    data = path.read_bytes()
    for key in hashes:
        found = hashlib.new(key[:-3], data).hexdigest()
        if found != parameters[key].text().lower():
            raise parameters[key].fail(MismatchError,
                                       f"is {parameters[key].value}, but {path.name} has {found}: the network is not "
                                       f"the one that the"
                                                      " bundle describes")


def _kind(port):
    return port["kind"].text() if port.has("kind") else ""


def _width(port):
    shape = [s.integer(0) for s in port["shape"].list()]
    n = 1
    for s in shape:
        n *= s
    if n > MOST:
        raise port["shape"].fail(FormatError, f"is {shape}, expected at most {MOST} elements")
    return shape, n


def _elements(port):
    """Names of the elements of the last axis that has some, or None."""
    if not port.has("element_names"):
        return None
    axes = port["element_names"].list()
    shape, _ = _width(port)
    if len(axes) != len(shape):
        raise port["element_names"].fail(ShapeError,
                                         f"of '{port['name'].value}' names {len(axes)} axes of a tensor of rank "
                                         f"{len(shape)}")
    found = None
    for size, axis in zip(shape, axes):
        if axis.is_null or axis.value == []:
            continue
        if isinstance(axis.value, str):
            raise axis.fail(UnsupportedError,
                            f"of '{port['name'].value}' is '{axis.value}': an axis in time has no place in a card")
        names = axis.names()
        if len(names) != size:
            raise axis.fail(ShapeError, f"of '{port['name'].value}' has {len(names)} names for {size} values")
        found = names
    return found


def _ports(model, key):
    return [(p["name"].text(), p) for p in model[key].list()]


def _joints(d, models):
    """Joints in the order of the first target, then what only inputs name."""
    order = []
    for key in ("outputs", "inputs"):
        for m in models.values():
            for _, port in _ports(m, key):
                if "/joint/" in _kind(port) or _kind(port) in ("kp", "kd"):
                    for n in _elements(port) or []:
                        if n not in order:
                            order.append(n)
    unknown = [None] * len(order)
    d.joints(order, default=unknown, kp=unknown, kd=unknown)


def _edges(flow, models):
    """"node/out": ["node/in"] as {(node, in): (node, out)}, checked."""
    edges = {}
    for source, targets in flow:
        for t in targets.list() if isinstance(targets.value, list) else [targets]:
            ends = []
            for text, key in ((source, "outputs"), (t.text(), "inputs")):
                node, _, name = text.partition("/")
                if node not in models or name not in dict(_ports(models[node], key)):
                    raise t.fail(MismatchError, f"joins '{text}', which is no {key[:-1]} of the bundle")
                ends.append((node, name))
            edges[ends[1]] = ends[0]
    return edges


def _model(d, node, model, feedback, data):
    inputs, outputs = {}, {}
    for name, port in _ports(model, "inputs"):
        if (node, name) in feedback:
            if name in d.card["memory"]:
                raise port.fail(UnsupportedError,
                                f"'{name}' is fed back in two models: their memories would share a name")
            d.card["memory"][name] = {"shape": _width(port)[0], "dtype": _dtype(port), "init": 0}
            inputs[name] = {"from": f"memory:{name}"}
        elif (node, name) in data:
            source = data[(node, name)]
            inputs[name] = {"from": f"model:{source[0]}.{source[1]}"}
        else:
            inputs[name] = _signal(d, name, port)
    for name, port in _ports(model, "outputs"):
        fed = [t for t, source in feedback.items() if source == (node, name)]
        kind = _kind(port)
        if kind in ("kp", "kd"):
            outputs[name] = {"to": kind}
        elif kind.startswith("target/joint/") or kind.endswith("_targets"):
            outputs[name] = {"to": "target"}
        elif fed:
            outputs[name] = {"to": f"memory:{fed[0][1]}"}
        elif any(source == (node, name) for source in data.values()):
            outputs[name] = {"to": "ignore"}
        elif not kind:
            outputs[name] = {"to": "ignore"}
            d.note(f"{port.file}: output '{name}' of '{node}' goes nowhere")
        else:
            raise port["kind"].fail(UnsupportedError, f"of output '{name}' is '{kind}', which is not known")
        if len(fed) > 1 or (fed and outputs[name]["to"] == "target"):
            raise port.fail(UnsupportedError,
                            f"'{name}' feeds {len(fed)} inputs back and is a target as well: one output per memory is "
                            f"known")
    d.model(inputs, outputs, node)
    _actions(d, node, model, outputs)


def _dtype(port):
    kinds = {"float32": "f32", "int32": "i32", "int64": "i64", "float16": "f16", "bool": "bool"}
    text = port["dtype"].text() if port.has("dtype") else "float32"
    if text not in kinds:
        raise port["dtype"].wrong(", ".join(kinds))
    return kinds[text]


def _signal(d, name, port):
    kind, elements = _kind(port), _elements(port)
    _, width = _width(port)
    parts = kind.split("/")
    if kind.startswith("state/joint/") and parts[-1] in JOINT:
        if elements is None:
            raise port.fail(FormatError, f"'{name}' names no joints (element_names)")
        return {"from": f"signal:{JOINT[parts[-1]]}", "joints": elements}
    if kind.startswith("state/body/") and parts[-1] in BODY:
        made = {"from": f"signal:{BODY[parts[-1]]}"}
        if parts[-1] == "rotation":
            last = [e[-1:].lower() for e in elements] if elements else list("xyzw")
            if sorted(last) != sorted("wxyz") or "".join(last) not in ("xyzw", "wxyz"):
                raise port["element_names"].fail(UnsupportedError,
                                                 f"of '{name}' is {elements}, expected a quaternion x,y,z,w or w,x,y,z")
            made["quaternion"] = "".join(last)
        return made
    if kind.startswith("command/"):
        if kind == "command/body/velocity" and width == 3 and (elements is None
                                                               or elements == ["lin_vel_x", "lin_vel_y", "ang_vel_z"]):
            d.velocity_command()
            return {"from": "command:velocity"}
        d.card["commands"][name] = {"signal": f"command.{name}", "fields": elements or [str(i) for i in range(width)],
                                    "units": None, "range": None,
                                    "clamp": False}
        return {"from": f"command:{name}"}
    if kind.startswith("state/"):
        return {"from": f"signal:{name}"}
    if not kind:
        raise port.fail(MismatchError, f"'{name}' has no kind and no feedback reaches it: what feeds it is unknown")
    raise port["kind"].fail(UnsupportedError, f"of input '{name}' is '{kind}', which is not known")


def _actions(d, node, model, outputs):
    ports = dict(_ports(model, "outputs"))
    gains = {k: [n for n, o in outputs.items() if o["to"] == k] for k in ("kp", "kd")}
    for name, o in outputs.items():
        if o["to"] != "target":
            continue
        port = ports[name]
        what = _kind(port).rsplit("/", 1)[-1].replace("joint_pos_targets",
                                                      "position").replace("joint_vel_targets", "velocity")
        joints = _elements(port)
        if what not in TARGETS:
            raise port["kind"].fail(UnsupportedError,
                                    f"of output '{name}' is '{_kind(port)}'; known are "
                                    f"{', '.join(sorted(set(TARGETS)))} of joints")
        if joints is None:
            raise port.fail(FormatError, f"'{name}' names no joints (element_names)")
        more = {}
        if TARGETS[what] == "position":
            for key, found in gains.items():
                if len(found) > 1:
                    raise port.fail(UnsupportedError, f"'{name}' has {len(found)} outputs of kind {key}")
                if found:
                    if _elements(ports[found[0]]) != joints:
                        raise ports[found[0]].fail(MismatchError,
                                                   f"'{found[0]}' is in another joint order than '{name}'")
                    more[f"{key}_from"] = found[0]
        d.action(joints, kind=TARGETS[what], model=node, output=name, offset=0.0, **more)
