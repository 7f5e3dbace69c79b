"""Joints that the metadata of a policy names, and every list of as many numbers beside them, whatever stack wrote
it."""
import json
from dataclasses import dataclass

# keys under which exporters write the names of joints, in the order of the action (mjlab, BeyondMimic, holosoma, ...)
NAME_KEYS = ("joint_names", "dof_names", "action_joint_names", "actuator_names")
# keys, or ends of keys, that say how often a policy runs
PERIOD_KEYS = ("period", "control_period", "policy_period", "step_dt", "control_dt", "policy_dt", "dt", "frequency",
               "control_frequency", "policy_frequency", "fps", "control_rate", "rate")


@dataclass(frozen=True)
class Joints:
    key: str       # of the metadata
    names: list
    columns: dict  # key of the metadata -> a number for each joint


def listed(text):
    """A value of metadata as a list: JSON, or parted by commas; None where it is neither."""
    try:
        found = json.loads(text)
        return found if isinstance(found, list) else None
    except ValueError:
        pass
    parts = [p.strip() for p in text.split(",")]
    return parts if len(parts) > 1 and all(parts) else None


def numbers(text):
    """A value of metadata as numbers, or None. A dict of joint -> number is left to the importers of cards."""
    try:
        return [float(x) for x in listed(text) or []] or None
    except (TypeError, ValueError):
        return None


def joints(metadata):
    """What the metadata says of joints; None where it names none."""
    for key in NAME_KEYS:
        names = listed(metadata.get(key, ""))
        if names and all(isinstance(n, str) for n in names):
            others = {k: numbers(v) for k, v in metadata.items() if k != key}
            return Joints(key, names, {k: v for k, v in others.items() if v and len(v) == len(names)})
    return None


def warnings(policy):
    """What a roboticist should know before this policy moves anything."""
    found = []
    if any(op.startswith("random") for op in policy.ops):
        found.append("its outputs are drawn at random, by the seed of the session: export the mean action for a robot")
    action = policy.action
    if action is not None:
        size = 1
        for d in action.shape:
            size *= d
        named = joints(policy.metadata)
        if named is None:
            found.append(f"nothing in the file says which joint each of the {size} elements of '{action.name}' moves: "
                         f"give names with serve --joints, or write a card")
        elif len(named.names) != size:
            found.append(f"'{named.key}' names {len(named.names)} joints, but '{action.name}' has {size} elements")
        # a key may have a prefix: sim.dt, policy/step_dt
        ends = [k.lower().replace("/", ".").rpartition(".")[2] for k in policy.metadata]
        if not any(k in PERIOD_KEYS for k in ends):
            found.append("nothing in the file says at which period it runs")
    return found
