"""Controllers against the corpus of cards: observation, action and targets of every case over its resets, and the
refusals at open and tick.

The corpus is the folder EFFERENT_CARDS, or ../shared/cards beside the project; without it these tests are skipped. Its
numbers were computed by code per convention that this project has not written.
"""
import json

import efferent
import numpy as np
import pytest
from suites import CARD_MANIFEST, CARDS, supplied

CASES = {c["id"]: c for c in CARD_MANIFEST["cases"]}
NEGATIVES = {n["id"]: n for n in CARD_MANIFEST["negatives"] if n["stage"] in ("open", "tick")}

pytestmark = pytest.mark.skipif(not CASES, reason="no corpus of policy cards here (EFFERENT_CARDS or ../shared/cards)")


def opened(case, card):
    units = {name: s.get("unit") for name, s in case["signals"].items()} | (case.get("bind_units") or {})
    for name in case.get("unbound") or []:
        units.pop(name, None)
    return efferent.Controller(
        efferent.Card.from_json(json.dumps(card)), models={n: CARDS / m for n, m in case["models"].items()},
        joints=case["robot_joints"],
        control_period=case.get("control_period"), units=units, stale_limit=case.get("stale_limit"))


def signals(path):
    with np.load(CARDS / path) as z:
        return {k[3:]: z[k] for k in z.files if k.startswith("in.")}


def assert_close(name, found, expected, tolerance):
    found, expected = np.concatenate([np.ravel(f) for f in found]).astype(float), expected.ravel().astype(float)
    assert found.size == expected.size, f"{name}: {found.size} values, expected {expected.size}"
    commanded = ~np.isnan(expected)
    assert (np.isnan(found) == ~commanded).all(), f"{name}: another set of joints is commanded"
    np.testing.assert_allclose(found[commanded], expected[commanded], rtol=tolerance[1], atol=tolerance[0],
                               err_msg=name)


@pytest.mark.parametrize("name", CASES)
def test_observations_actions_and_targets_are_those_of_the_convention(name):
    case = CASES[name]
    controller = opened(case, json.loads((CARDS / case["card"]).read_text()))
    given, found = signals(case["npz"]), {}
    for k in range(case["control_ticks"]):
        if k and k in case["resets"]:
            controller.reset()
        controller.tick({s: v[k] for s, v in given.items()})
        for kind, arrays in (("obs", controller.observations), ("act", controller.actions),
                             ("out", controller.targets)):
            for tensor, values in arrays.items():
                found.setdefault(f"{kind}.{tensor}", []).append(np.array(values))
    with np.load(CARDS / case["npz"]) as z:
        for key in z.files:
            kind = {"obs": "observation", "act": "action", "out": "target"}.get(key.partition(".")[0])
            if kind:
                assert_close(f"{name}: {key}", found[key], z[key], case["tolerance"][kind])


@pytest.mark.parametrize("name", NEGATIVES)
def test_what_cannot_be_right_is_refused_by_name(name):
    negative = NEGATIVES[name]
    case = {**CASES[negative["base_case"]], **negative}
    source = negative["card"] or CASES[negative["base_case"]]["card"]
    ticks = 0
    card = controller = None
    with pytest.raises(efferent.Error) as refused:
        if negative["convention"] != "card" and negative.get("files"):
            card = json.loads(efferent.Card.load([CARDS / f for f in negative["files"]],
                                                 supplied=supplied(case)).to_json())
        else:
            card = json.loads((CARDS / source).read_text())
        controller = opened(case, card)
        given = signals(negative.get("npz") or CASES[negative["base_case"]]["npz"])
        for ticks in range(case["control_ticks"]):
            controller.tick({s: v[ticks] for s, v in given.items()})
    text = str(refused.value).lower()
    for word in negative["must_name"]:
        assert word.lower() in text, text
    for words in negative["any_of"]:
        assert any(w.lower() in text for w in words), text
    # an importer that refuses earlier may have another reason
    assert card is None or refused.value.status == negative["status"], text
    if negative["stage"] == "open":
        assert controller is None
    else:
        assert ticks == negative["fails_at"]
        # what is handed out is the fallback: the targets of the tick before
        for values in controller.targets.values():
            assert np.isfinite(values).any()
