"""A policy card that is being made from sidecar files: its parts, what is still unknown, and what the user says about
it."""
import copy
import math
import re

from .._presets import for_convention, overlay
from ..errors import ArgumentError, FormatError, MismatchError
from .item import Item, same

VELOCITY = {"signal": "command.velocity", "fields": ["lin_vel_x", "lin_vel_y", "ang_vel_z"],
            "units": ["m/s", "m/s", "rad/s"]}

ANSWERS = {
    "joint_names": "names of the joints in the order of the file's indices (a motor table), or names per feature",
    "joint_order": "names of the joints in the order in which the policy was trained",
    "gain_order": "'policy', 'motor' or the names in whose order the gains are written",
    "command_of": "which command feeds a term: {\"generated_commands\": \"velocity\"}",
    "limits": "per joint: {\"lower\": rad, \"upper\": rad, \"velocity\": rad/s, \"effort\": N m}",
    "motion": "the reference motion of a tracking policy, as in a card",
    "chunk_steps": "steps of an action chunk that are played before the policy runs again",
    "joint_units": "unit of the joint values: 'rad'",
    "control_period": "seconds between two ticks",
    "policy_period": "seconds between two runs of the policy",
    "controller": "the controller of a file that holds several",
    "use_quantiles": "whether the policy was trained with quantile statistics",
    "delta_mask": "per action: whether it is added to the state",
    "preset": "the layout of a stack's own code, by name (`efferent card --presets`)",
    "patch": "a JSON merge patch (RFC 7386) on the imported card",
}


class Question:
    """What no file says. Without an answer to one that `blocks` there is no card."""

    def __init__(self, path, text, blocks=True):
        self.path, self.text, self.blocks = path, text, blocks

    def __repr__(self):
        return f"{self.path}: {self.text}"


class Answers:
    """What the user says beside the files. A key that has no meaning is refused."""

    def __init__(self, supplied):
        if supplied is None:
            supplied = {}
        if not isinstance(supplied, dict):
            raise ArgumentError(f"supplied is a {type(supplied).__name__}, expected a dict")
        for key in supplied:
            if key not in ANSWERS:
                raise ArgumentError(f"supplied: '{key}' is no answer; known are {', '.join(ANSWERS)}")
        self.item = Item(supplied, "supplied")
        if self.get("patch") is not None:
            self.get("patch").mapping()

    def get(self, key):
        return self.item.get(key)

    def names(self, key, count=None):
        """A list of names, or None."""
        item = self.get(key)
        if item is None:
            return None
        names = item.names()
        if count is not None and len(names) != count:
            raise MismatchError(f"{item.place} has {len(names)} names, expected {count}")
        return names


class Draft:
    """A card in the making. Keys of the card are in `card`; `questions` are those that the files leave open."""

    def __init__(self, convention, files, supplied):
        self.answers = Answers(supplied)
        self.files = files
        self.questions = []
        self.notes = []
        # what a preset reads: the first file, and which of its parts is used
        self.item = self.chosen = None
        self.card = {
            "efferent_card": 1, "convention": convention, "robot": None, "policy_period": None, "control_period": None,
            "joint_order": [],
            "joints": {}, "models": [], "vectors": {}, "memory": {}, "clocks": {}, "commands": {}, "motion": None,
            "actions": [],
            "startup": None, "safety": None,
        }

    def ask(self, path, text, blocks=True):
        self.questions.append(Question(path, text, blocks))

    def note(self, text):
        """What was read but has no place in a card."""
        self.notes.append(text)

    # ---- parts of a card ----

    def periods(self, policy, control=None):
        self.card["policy_period"] = policy
        self.card["control_period"] = policy if control is None else control

    def joints(self, order, **columns):
        """Joints in policy order. A column is a list in that order, or None where it is unknown."""
        self.card["joint_order"] = list(order)
        for i, name in enumerate(order):
            joint = self.card["joints"].setdefault(name, {})
            for key, values in columns.items():
                if values is not None:
                    joint[key] = values[i]

    @property
    def order(self):
        return self.card["joint_order"]

    def defaults(self, names):
        return [self.card["joints"][n].get("default") for n in names]

    def model(self, inputs, outputs, name="policy"):
        self.card["models"].append({"name": name, "inputs": inputs, "outputs": outputs})

    def vector(self, name, terms, layout="term_major", clip=None):
        if layout == "time_major":
            for t in terms[1:]:
                if t["ages"] != terms[0]["ages"]:
                    raise MismatchError(
                        f"{', '.join(self.files)}: term '{t['name']}' of '{name}' has {len(t['ages'])} frames and "
                        f"'{terms[0]['name']}' has"
                        f" {len(terms[0]['ages'])}: a time_major vector needs the same ages for all")
        self.card["vectors"][name] = {"layout": layout, "clip": clip, "terms": terms}

    def velocity_command(self, bounds=None, clamp=False, **more):
        self.card["commands"]["velocity"] = {**copy.deepcopy(VELOCITY), "range": bounds, "clamp": clamp, **more}

    def action(self, joints, index=None, kind="position", name=None, model="policy", output="actions", clip_raw=None,
               scale=1.0, offset="default",
               clip=None, **more):
        names = {"position": "joint_position", "velocity": "joint_velocity", "effort": "joint_effort"}
        self.card["actions"].append({
            "name": name or names.get(kind, kind), "type": kind, "model": model, "output": output,
            "index": list(range(len(joints))) if index is None else list(index), "joints": list(joints),
            "clip_raw": clip_raw, "scale": scale,
            "offset": offset, "clip": clip, **more})

    def offset(self, values, joints):
        """The offset of an action: "default" where it is the default pose."""
        return "default" if list(values) == self.defaults(joints) else same(values)

    # ---- the end ----

    def finish(self):
        """Applies the user's answers; refuses where the card cannot be used. Returns the card."""
        preset = self.answers.get("preset")
        if preset is not None:
            self.card = merge(self.card, overlay(preset.value, self.card, self.item, self.chosen))
        patch = self.answers.get("patch")
        if patch is not None:
            check_finite(patch)
            self.card = merge(self.card, copy.deepcopy(patch.value))
        for name in self.card.get("joint_order") or []:
            self.card.setdefault("joints", {}).setdefault(name, {})
        self.questions = [q for q in self.questions if not self.answered(q)]
        open_ = [q for q in self.questions if q.blocks]
        if open_:
            known = for_convention(self.card["convention"]) if any(q.path == "vectors" for q in open_) else []
            hint = f". The layout of `preset`: {' or '.join(known)} is that of upstream's code" if known else ""
            raise MismatchError(
                f"{', '.join(self.files)}: the file cannot say everything. Answer in `supplied`: "
                + "; ".join(map(repr, open_)) + hint)
        self.check_joints()
        return self.card

    def answered(self, question):
        """Whether the patched card says what was asked."""
        value = self.card
        head = question.path.split(":")[0].split(".")
        if head[0] in ANSWERS and head[0] not in self.card:
            return False
        if head[0] == "joints":
            joints = value.get("joints") or {}
            return bool(joints) and all(isinstance(j, dict) and j.get(head[1]) is not None
                                        for j in joints.values()) if len(head) > 1 else bool(joints)
        for key in head:
            if isinstance(value, list):
                return bool(value) and all(isinstance(v, dict) and v.get(key) is not None for v in value)
            value = value.get(key) if isinstance(value, dict) else None
            if value in (None, {}, []):
                return False
        return True

    def check_joints(self):
        """Every joint that a term or action names must be one of the card."""
        joints = self.card.get("joints") or {}
        lists = []
        for v, vector in (self.card.get("vectors") or {}).items():
            for t in (vector or {}).get("terms") or []:
                lists.append((f"term '{t.get('name', t.get('op'))}' of vector '{v}'", t.get("joints")))
        for a in self.card.get("actions") or []:
            lists.append((f"action '{a.get('name', a.get('type'))}'", a.get("joints")))
        for what, names in lists:
            for n in names or []:
                if n not in joints:
                    raise MismatchError(
                        f"{', '.join(self.files)}: {what} names {len(names)} joints, the file has {len(joints)}: '{n}' "
                        f"is none of them")


def merge(target, patch):
    """RFC 7386."""
    if not isinstance(patch, dict):
        return patch
    target = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            target.pop(key, None)
        else:
            target[key] = merge(target.get(key), value)
    return target


def check_finite(item):
    if isinstance(item.value, float) and not math.isfinite(item.value):
        raise item.fail(FormatError, f"is {item.value}, expected a finite number")
    if isinstance(item.value, dict):
        for _, v in item.items():
            check_finite(v)
    elif isinstance(item.value, list):
        for v in item.list():
            check_finite(v)


def term(name, op, size, *, scale=1.0, clip=None, ages=(0,), fill="first", **more):
    """A term of a vector. `scale` is a number or a list of `size`."""
    return {"name": name, "op": op, "size": size, "scale": same(scale) if isinstance(scale, list) else scale,
            "clip": clip, "ages": list(ages),
            "fill": fill, **more}


def newest_last(frames):
    """Ages of a history that is laid out from old to new."""
    return list(range(frames - 1, -1, -1))


# ---- patterns: regular expressions that must match a whole name, as Isaac Lab reads them ----

def compiled(pattern, item):
    try:
        return re.compile(pattern)
    except re.error as e:
        raise item.fail(FormatError, f"has the pattern '{pattern}', which is no regular expression: {e}") from None


def matching(item, names):
    """Names that a list of patterns matches, in the order of `names`. A pattern that matches none is refused."""
    found = set()
    for p in item.list() if isinstance(item.value, list) else [item]:
        rule = compiled(p.text(), p)
        hits = [n for n in names if rule.fullmatch(n)]
        if not hits:
            raise p.fail(MismatchError,
                         f"is the pattern '{p.value}', which matches no joint; there are {', '.join(names)}")
        found.update(hits)
    return [n for n in names if n in found]


def by_pattern(item, names, required=True):
    """A number for each name: one for all, or a mapping from patterns. Exactly one pattern per name; None where no
    pattern matches and `required` is false."""
    if not item.is_mapping:
        return {n: item.number() for n in names}
    found = {}
    for pattern, value in item.items():
        rule = compiled(pattern, item)
        hits = [n for n in names if rule.fullmatch(n)]
        if not hits:
            raise item.fail(MismatchError,
                            f"has the pattern '{pattern}', which matches no joint; there are {', '.join(names)}")
        for n in hits:
            if n in found:
                raise item.fail(MismatchError,
                                f"matches joint '{n}' with two patterns, '{found[n][0]}' and '{pattern}'")
            found[n] = (pattern, value.number())
    for n in names:
        if n not in found and required:
            raise item.fail(MismatchError, f"has no pattern that matches joint '{n}'")
    return {n: found[n][1] for n in names if n in found}
