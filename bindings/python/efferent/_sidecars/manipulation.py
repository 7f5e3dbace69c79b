"""Statistics of manipulation policies: processor pipelines of LeRobot, norm_stats.json of openpi. They hold numbers and
no names: joints, units, periods and the steps that are played of a chunk are asked for."""
from pathlib import Path

import numpy as np

from .._convert import safetensors
from ..errors import FormatError, MismatchError, UnsupportedError
from .draft import Draft, term
from .item import read_bytes

MODES = {
    "MEAN_STD": ("mean_std", {"mean": "mean", "std": "std"}), "MIN_MAX": ("min_max", {"min": "min", "max": "max"}),
    "QUANTILES": ("quantiles", {"q01": "q01", "q99": "q99"}), "IDENTITY": ("identity", {}),
}
# steps that change no number
PASSIVE = {"to_batch_processor", "device_processor", "rename_observations_processor"}


class LeRobot:
    CONVENTION = "lerobot_processors"

    @staticmethod
    def recognizes(items):
        return bool(items) and all(i.is_mapping and isinstance(i.value.get("steps"), list) and "name" in i.value
                                   for i in items)

    @staticmethod
    def read(items, supplied, paths):
        d = Draft(LeRobot.CONVENTION, [i.file for i in items], supplied)
        states = {Path(p).name: p for p in paths}
        inputs, actions = {}, {}
        for item in items:
            for step in item["steps"].list():
                name = step["registry_name"].text()
                if name in PASSIVE:
                    if (
                        name == "rename_observations_processor"
                        and step["config"].has("rename_map")
                        and step["config"]["rename_map"].value
                    ):
                        raise step.fail(UnsupportedError, "renames observations; describe them in a patch")
                elif name == "normalizer_processor":
                    inputs.update(_features(step, states, "STATE"))
                elif name == "unnormalizer_processor":
                    actions.update(_features(step, states, "ACTION"))
                else:
                    raise step["registry_name"].fail(UnsupportedError,
                                                     f"is '{name}', a step that is not known; describe what it does in "
                                                     f"a patch")
        if not actions:
            raise FormatError(f"{', '.join(d.files)}: no unnormalizer_processor with a feature of type ACTION")
        _rates(d)
        units = d.answers.get("joint_units")
        if units is None:
            d.ask("joint_units",
                  "the unit of the joint values is not in the files (LeRobot's arms often use -100 to 100)")
        elif units.text() != "rad":
            raise units.fail(MismatchError, f"is '{units.value}': a card is in rad; convert on the robot's side")
        names = {f: _names(d, f, width) for f, (_, width) in {**inputs, **actions}.items()}
        order = []
        for f in [*actions, *inputs]:
            order += [n for n in names[f] if n not in order]
        d.joints(order)
        for f, (normalize, width) in inputs.items():
            more = {"normalize": normalize} if normalize else {}
            d.vector(f, [term(f, "joint_position", width, joints=list(names[f]), minus_default=False, **more)])
        for f, (unnormalize, width) in actions.items():
            more = {"unnormalize": unnormalize} if unnormalize else {}
            d.action(names[f], output=f, offset=0.0, chunk=_chunk(d), **more)
        d.model({f: {"from": f"vector:{f}"} for f in inputs}, {f: {"to": "action"} for f in actions})
        return d


def _features(step, states, kind):
    """{feature: (normalization or None, width)} of the features of one type."""
    config = step["config"]
    tensors = None
    found = {}
    for name, feature in config["features"].items():
        if feature["type"].text() != kind:
            if feature["type"].text() == "VISUAL":
                raise feature.fail(UnsupportedError, "is an image: bind it to the network as a signal, in a patch")
            continue
        shape = [s.integer(1) for s in feature["shape"].list()]
        if len(shape) != 1:
            raise feature["shape"].fail(UnsupportedError, f"is {shape}, expected one axis")
        word = config["norm_map"][kind].text()
        if word not in MODES:
            raise config["norm_map"][kind].fail(UnsupportedError, f"is '{word}'; known are {', '.join(MODES)}")
        mode, parts = MODES[word]
        if not parts:
            found[name] = (None, shape[0])
            continue
        if tensors is None:
            tensors = _tensors(step, states)
        made = {"mode": mode, "eps": config["eps"].number() if config.has("eps") else 1e-8, "eps_in_inverse": False}
        for key, part in parts.items():
            values = tensors.get(f"{name}.{part}")
            if values is None:
                raise FormatError(f"{step['state_file'].value}: '{name}' has no '{part}', which {word} needs")
            values = np.asarray(values, np.float64).ravel()
            if values.size != shape[0]:
                raise FormatError(f"{step['state_file'].value}: '{name}.{part}' has {values.size} values, expected "
                                  f"{shape[0]}")
            if not np.isfinite(values).all():
                raise FormatError(f"{step['state_file'].value}: '{name}.{part}' holds a value that is not finite")
            made[key] = values.tolist()
        found[name] = (made, shape[0])
    return found


def _tensors(step, states):
    file = step["state_file"].text()
    if file in states:
        path = states[file]
    else:
        raise step["state_file"].fail(FormatError, f"is '{file}', which is not among the files given")
    return safetensors.loads(read_bytes(path), file)[0]


def _names(d, feature, width):
    told = d.answers.get("joint_names")
    if told is None:
        d.ask("joint_names", f"the names of the {width} values of '{feature}' are in the dataset, not in the files")
        return [f"index:{i}" for i in range(width)]
    item = told[feature] if told.is_mapping else told
    names = item.names()
    if len(names) != width:
        raise item.fail(MismatchError, f"has {len(names)} names, expected {width}")
    return names


def _chunk(d):
    item = d.answers.get("chunk_steps")
    return item.integer(1) if item is not None else 1


def _rates(d):
    period = d.answers.get("control_period")
    if period is None:
        d.ask("control_period", "seconds between two actions are not in the files")
    if d.answers.get("chunk_steps") is None:
        d.ask("chunk_steps", "how many steps of a chunk are played is not in the files")
    if period is not None:
        tick = period.number(positive=True)
        d.periods(_chunk(d) * tick, tick)


class OpenPi:
    CONVENTION = "openpi_norm_stats"

    @staticmethod
    def recognizes(items):
        v = items[0].value if len(items) == 1 else None
        return isinstance(v, dict) and isinstance(v.get("norm_stats"), dict)

    @staticmethod
    def read(items, supplied):
        file = items[0]
        d = Draft(OpenPi.CONVENTION, [file.file], supplied)
        stats = file["norm_stats"]
        patch = d.answers.get("patch")
        quantiles = d.answers.get("use_quantiles")
        if quantiles is None and not (patch and patch.has("vectors") and patch.has("actions")):
            d.ask("use_quantiles",
                  "the file has mean and std as well as quantiles: which the policy was trained with is in its "
                  "configuration")
        chosen = quantiles.flag() if quantiles is not None else False
        widths = {}
        made = {}
        for key in ("state", "actions"):
            entry = stats[key]
            mean = entry["mean"].numbers()
            widths[key] = len(mean)
            parts = {"q01": entry["q01"],
                     "q99": entry["q99"]} if chosen else {"mean": entry["mean"], "std": entry["std"]}
            made[key] = {"mode": "quantiles" if chosen else "mean_std", "eps": 1e-6, "eps_in_inverse": True,
                         **{k: v.numbers(len(mean)) for k, v in parts.items()}}
        if patch is None or not patch.has("policy_period"):
            _rates(d)
        covered = patch is not None and patch.has("joint_order") and patch.has("vectors") and patch.has("actions")
        names = {k: [f"index:{i}" for i in range(w)] if covered else _names(d, k, w) for k, w in widths.items()}
        if not covered:
            mask = d.answers.get("delta_mask")
            n = widths["actions"]
            if mask is None:
                d.ask("delta_mask", "which actions are added to the state is in the training configuration")
                add = {}
            else:
                flags = [m.flag() for m in mask.list()]
                if len(flags) != n:
                    raise mask.fail(MismatchError, f"has {len(flags)} entries, expected {n}")
                add = {"add_state": flags} if any(flags) else {}
            order = []
            for k in ("actions", "state"):
                order += [x for x in names[k] if x not in order]
            d.joints(order)
            d.vector("state",
                     [term("state", "joint_position", widths["state"], joints=names["state"], minus_default=False,
                                    normalize=made["state"])])
            d.action(names["actions"], output="actions", offset=0.0, chunk=_chunk(d), unnormalize=made["actions"],
                     **add)
            d.model({"state": {"from": "vector:state"}}, {"actions": {"to": "action"}})
        return d
