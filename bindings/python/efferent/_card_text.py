"""A policy card as a roboticist reads it: joints, terms with formula, unit and place in the vector, actions, periods;
and two cards compared."""
from typing import NamedTuple

UNITS = {
    "base_linear_velocity": "m/s", "base_angular_velocity": "rad/s", "projected_gravity": "1", "base_euler_xyz": "rad",
    "base_height": "m",
    "joint_position": "rad", "joint_velocity": "rad/s", "joint_effort": "N m", "last_action": "1",
    "previous_target": "rad", "clock": "1",
    "height_scan": "m", "reference_joint_position_velocity": "rad, rad/s", "reference_anchor_position": "m",
    "reference_anchor_orientation_6d": "1",
}
SYMBOLS = {
    "base_linear_velocity": "v", "base_angular_velocity": "w", "projected_gravity": "g",
    "base_euler_xyz": "roll, pitch, yaw", "base_height": "z",
    "joint_velocity": "qd", "joint_effort": "tau", "previous_target": "last target", "height_scan": "height scan",
    "reference_joint_position_velocity": "q_ref, qd_ref", "reference_anchor_position": "R^T (p_ref - p)",
    "reference_anchor_orientation_6d": "R^T R_ref, two columns",
}


class Row(NamedTuple):
    """A term of a vector: where it stands in the vector, what it is and how it is made."""

    vector: str
    slice: str
    name: str
    formula: str
    unit: str
    history: str
    joints: str


def number(x):
    """A number as short as it can be without loss; a list where not all are equal."""
    if isinstance(x, list):
        return (
            number(x[0])
            if x and all(v == x[0] for v in x)
            else "[" + ", ".join(number(v) for v in x) + "]"
            if len(x) <= 4
            else f"[{len(x)} numbers]"
        )
    return "?" if x is None else repr(int(x)) if isinstance(x, float) and x.is_integer() and abs(x) < 1e15 else repr(x)


def bounds(pair):
    if not pair:
        return ""
    if isinstance(pair[0], list):
        return f"clip [{len(pair)} pairs]"
    return f"clip {number(pair[0])} to {number(pair[1])}"


def formula(term):
    """The value of a term, in the order in which it is made."""
    op = term["op"]
    if op == "joint_position":
        value = "q - q0" if term.get("minus_default") else "q"
    elif op == "last_action":
        value = f"a ({term.get('of') or 'raw'})"
    elif op == "command":
        value = ", ".join(term.get("fields") or [term.get("command", "?")])
        value = f"command {value}"
    elif op == "clock":
        value = ", ".join(f"{f} {term.get('clock')}" for f in term.get("fn") or [])
    elif op == "constant":
        value = number(term.get("value"))
    elif op == "signal":
        value = f"signal {term.get('signal')}"
    elif op == "model_output":
        value = f"{term.get('model')}.{term.get('output')}"
    elif op == "vector":
        value = f"vector {term.get('vector')}"
    else:
        value = SYMBOLS.get(op, op)
    if term.get("normalize"):
        value = f"normalized({value})"
    steps = []
    scale = term.get("scale")
    if scale is not None and scale != 1 and not (isinstance(scale, list) and all(s == 1 for s in scale)):
        steps.append(f"x {number(scale)}")
    clip = bounds(term.get("clip"))
    if clip:
        steps.insert(len(steps) if term.get("scale_first") else 0, clip)
    if term.get("zero_when"):
        steps.append(f"0 where |{term['zero_when'].get('command')}| < {number(term['zero_when'].get('below'))}")
    return " ".join([value, *steps])


def rows(card):
    """The terms of all vectors, with the slice of the vector that each fills."""
    made = []
    for name, vector in (card.get("vectors") or {}).items():
        terms = vector.get("terms") or []
        is_time_major = vector.get("layout") == "time_major"
        frame = sum(t.get("size", 0) for t in terms)
        at = 0
        for t in terms:
            ages, size = t.get("ages") or [0], t.get("size", 0)
            if is_time_major and len(ages) > 1:
                place = f"{at}:{at + size} + k {frame}"
                at += size
            else:
                place = f"{at}:{at + size * len(ages)}"
                at += size * len(ages)
            history = (
                ""
                if ages == [0]
                else f"{len(ages)} frames, {'old to new' if ages[0] > ages[-1] else 'new to old'}, first: "
                     f"{t.get('fill', 'zero')}"
            )
            if len(ages) > 1 and sorted(ages) != list(range(len(ages))):
                history = f"ages {ages}, first: {t.get('fill', 'zero')}"
            joints = t.get("joints") or []
            order = (
                ""
                if not joints
                else "policy order"
                if joints == card.get("joint_order")
                else ", ".join(joints)
                if len(joints) <= 4
                else f"{len(joints)} joints"
            )
            made.append(Row(name, place, t.get("name") or t["op"], formula(t), unit(card, t), history, order))
    return made


def unit(card, term):
    """The unit of a term before it is scaled; of a command those of its fields."""
    if term["op"] != "command":
        return UNITS.get(term["op"], "")
    command = (card.get("commands") or {}).get(term.get("command")) or {}
    known = dict(zip(command.get("fields") or [], command.get("units") or []))
    return ", ".join(dict.fromkeys(known[f] for f in term.get("fields") or known if f in known))


def action(a):
    """One action as a formula."""
    joints = a.get("joints") or []
    steps = []
    if a.get("clip_raw"):
        steps.append(bounds(a["clip_raw"]))
    if a.get("unnormalize"):
        steps.append("unnormalized")
    steps.append(f"x {number(a.get('scale', 1.0))}")
    offset = a.get("offset")
    if offset == "default":
        steps.append("+ q0")
    elif isinstance(offset, dict):
        steps.append(f"+ command {offset.get('command')}")
    elif offset not in (None, 0, 0.0):
        steps.append(f"+ {number(offset)}")
    if a.get("clip"):
        steps.append(bounds(a["clip"]))
    steps += [key.replace("_", " ") for key in ("limits_position", "limits_velocity") if a.get(key)]
    steps += [p["op"].replace("_", " ") for p in a.get("post") or []]
    chunk = f", {a['chunk']} steps of a chunk" if a.get("chunk") else ""
    return f"{a.get('type')} of {len(joints)} joints = a {' '.join(steps)}{chunk}"


def differences(a, b, path=""):
    """Where two cards differ: (path, value in a, value in b). A key that is missing and null are the same."""
    if isinstance(a, dict) and isinstance(b, dict):
        found = []
        for key in [*a, *(k for k in b if k not in a)]:
            found += differences(a.get(key), b.get(key), f"{path}.{key}" if path else key)
        return found
    if (
        isinstance(a, list)
        and isinstance(b, list)
        and len(a) == len(b)
        and any(isinstance(v, (dict, list)) for v in a + b)
    ):
        return [d for i, (x, y) in enumerate(zip(a, b)) for d in differences(x, y, f"{path}[{i}]")]
    empty = (None, {}, [])
    same = a == b and isinstance(a, bool) == isinstance(b, bool) or (a in empty and b in empty)
    return [] if same else [(path, a, b)]
