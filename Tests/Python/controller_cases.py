"""Lists for Tests/C/controller_test: a small card of the tests, and every card of the corpus of EFFERENT_CARDS or
../shared/cards. The small card, its network and a recording of it are what Tests/C/preflight_test reads.

    python Tests/Python/controller_cases.py FOLDER     writes FOLDER/controllers.txt, card.json, controller.onnx,
                                                       robot.npz
"""

import json
import sys
from pathlib import Path

from suites import CARD_MANIFEST, CARDS


def small(folder):
    import test_controller as t

    terms = [t.term("base_angular_velocity", 3, ages=[4, 3, 2, 1, 0]), t.term("projected_gravity", 3),
             t.term("joint_position", 3, joints=t.JOINTS),
             t.term("clock", 2, clock="gait", fn=["sin", "cos"]), t.term("last_action", 3, of="applied"),
             t.term("command", 3, command="velocity")]
    content = t.card(terms, control_period=0.002,
                     clocks={"gait": {"period": 0.8, "phases": [0.0], "advance": "before_use", "wrap": "modulo"}},
                     action={"post": [{"op": "torque_band", "limit": 2.0},
                                      {"op": "first_order", "alpha": 0.3, "init": "measured"}], "last_of": "applied"})
    (folder / "card.json").write_text(json.dumps(content))
    network = t.network(folder / "controller.onnx", t.width(content))
    import efferent

    c = efferent.Controller(efferent.Card.load(folder / "card.json"), {"policy": network}, t.ROBOT)
    efferent.preflight.record(c).save(folder / "robot.npz", force=True)
    return [folder / "card.json", ",".join(t.ROBOT), f"policy={network}"]


def main():
    folder = Path(sys.argv[1]).resolve()
    lines = [small(folder)]
    for case in CARD_MANIFEST["cases"]:
        lines.append([CARDS / case["card"], ",".join(case["robot_joints"]),
                      *[f"{n}={(CARDS / m).resolve()}" for n, m in case["models"].items()]])
    (folder / "controllers.txt").write_text("".join("\t".join(map(str, line)) + "\n" for line in lines))


if __name__ == "__main__":
    main()
