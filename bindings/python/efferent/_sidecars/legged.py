"""Files of stacks whose observation layout lives in their code: unitree_rl_gym, LimX, Berkeley Humanoid Lite, Booster,
AgiBot, Spot. The files have joints, gains, scales and periods; the layout is asked for (`vectors` in a patch)."""
from ..errors import FormatError, MismatchError
from .draft import Draft, by_pattern, compiled, matching
from .item import same

LAYOUT = "the observation layout is in upstream's code, not in the file: give it in a patch"


class UnitreeGym:
    CONVENTION = "unitree_rl_gym_yaml"

    @staticmethod
    def recognizes(items):
        v = items[0].value if len(items) == 1 else None
        return isinstance(v, dict) and {"kps", "kds", "default_angles", "action_scale"} <= set(v)

    @staticmethod
    def read(items, supplied):
        file = items[0]
        d = Draft(UnitreeGym.CONVENTION, [file.file], supplied)
        motors = file.get("leg_joint2motor_idx")
        n = file["num_actions"].integer(1) if file.has("num_actions") else len(file["default_angles"].list())
        table = d.answers.names("joint_names")
        if motors is not None:
            ids = motors.indices(len(table) if table else None, "the motor table (joint_names)")
            if len(ids) != n:
                raise motors.fail(FormatError, f"has {len(ids)} entries, expected num_actions {n}")
            names = [table[i] if table else f"motor:{i}" for i in ids]
        else:
            if table is not None and len(table) != n:
                raise d.answers.get("joint_names").fail(MismatchError, f"has {len(table)} names, expected {n}")
            names = table or [f"index:{i}" for i in range(n)]
        if table is None:
            d.ask("joint_names",
                  "the file has no joint names: give them in the order of its "
                  + ("motors" if motors is not None else "lists"))
        d.joints(names, default=file["default_angles"].numbers(n), kp=file["kps"].numbers(n, "gains"),
                 kd=file["kds"].numbers(n, "gains"))
        if file.has("control_dt"):
            d.periods(file["control_dt"].number(positive=True))
        else:
            d.periods(file["simulation_dt"].number(positive=True) * file["control_decimation"].integer(1))
        # upstream's networks keep an LSTM of 64 units inside TorchScript; its re-export has these names
        d.model({"obs": {"from": "vector:obs"}, "h_in": {"from": "memory:h"}, "c_in": {"from": "memory:c"}},
                {"actions": {"to": "action"}, "h_out": {"to": "memory:h"}, "c_out": {"to": "memory:c"}})
        for m in ("h", "c"):
            d.card["memory"][m] = {"shape": [1, 1, 64], "dtype": "f32", "init": 0}
        command = {}
        if file.has("cmd_init"):
            command["init"] = [float(v) for v in file["cmd_init"].numbers(3)]
        top = file["max_cmd"].numbers(3) if file.has("max_cmd") else None
        d.velocity_command([[-m, m] for m in top] if top else None, **command)
        d.action(names, scale=same(file["action_scale"].per(n)))
        if file.has("imu_type") and file["imu_type"].text() == "torso":
            d.ask("vectors:imu",
                  "the IMU is on the torso (imu_type): orientation and angular velocity of the pelvis must be given, "
                  "turned by the waist",
                  blocks=False)
        d.ask("vectors", LAYOUT)
        d.ask("clocks", "the gait clock is in upstream's code: give it in a patch", blocks=False)
        return d


class Limx:
    CONVENTION = "limx_params_yaml"

    @staticmethod
    def config(item):
        """The mapping with `control` and `init_state`, wherever the file nests it."""
        for _ in range(4):
            if not item.is_mapping:
                return None
            if item.has("control") and item.has("init_state"):
                return item
            inner = [i for _, i in item.items() if i.is_mapping]
            if len(inner) != 1:
                return None
            item = inner[0]
        return None

    @staticmethod
    def recognizes(items):
        c = Limx.config(items[0]) if len(items) == 1 else None
        return c is not None and c.is_mapping and c.has("control") and c["control"].has("action_scale_pos")

    @staticmethod
    def read(items, supplied):
        file = Limx.config(items[0])
        d = Draft(Limx.CONVENTION, [file.file], supplied)
        names = Limx.names(d, file)
        n = len(names)
        pose = file["init_state"]["default_joint_angle"]
        for key in pose.keys():
            if key not in names:
                raise pose.fail(MismatchError, f"has '{key}', which is no joint of the file")
        control = file["control"]
        kinds = ["wheel" if "wheel" in j.lower() else "ankle" if "ankle" in j.lower() else "leg" for j in names]
        kp = control["stiffness"].per(n)
        kd = control["damping"].per(n)
        for i, kind in enumerate(kinds):
            special = control.get(f"{kind}_joint_damping")
            if special is not None:
                kp[i], kd[i] = 0.0, special.number()
        d.joints(names, default=[pose[j].number() for j in names], kp=kp, kd=kd)
        Limx.periods(d, file, control)
        d.velocity_command()
        bound = file["normalization"]["clip_scales"]["clip_actions"].number(positive=True)
        driven = [i for i in range(n) if control.get(f"{kinds[i]}_joint_damping") is not None]
        legs = [i for i in range(n) if i not in driven]
        shared = {"output": "mlp_output", "clip_raw": [-bound, bound]}
        d.action([names[i] for i in legs], legs, scale=control["action_scale_pos"].number(),
                 post=[{"op": "torque_band", "limit": control["user_torque_limit"].number(positive=True)}],
                 last_of="applied", **shared)
        for kind in ("ankle", "wheel"):
            at = [i for i in driven if kinds[i] == kind]
            if at:
                d.action([names[i] for i in at], at, "velocity", f"{kind}_velocity",
                         scale=control[f"{kind}_joint_damping"].number(), offset=0.0,
                         post=[{"op": "velocity_band",
                                "limit": control[f"{kind}_joint_torque_limit"].number(positive=True)}], **shared)
        if file.has("stand_mode"):
            d.card["startup"] = {
                "kind": "ramp", "to": "default", "seconds": file["stand_mode"]["stand_duration"].number(positive=True),
                "from_": "zero"}
        d.ask("vectors", LAYOUT)
        d.ask("models", "which network takes what is in upstream's code: give it in a patch")
        d.ask("clocks", "the gait clock is in upstream's code: give it in a patch", blocks=False)
        return d

    @staticmethod
    def names(d, file):
        lists = {k: file[k].names() for k in ("joint_names", "joint_names_gym", "joint_names_lab") if file.has(k)}
        if "joint_names" in lists:
            return lists["joint_names"]
        told = d.answers.names("joint_order")
        if told is None:
            if len({tuple(v) for v in lists.values()}) == 1:
                return next(iter(lists.values()))
            raise MismatchError(f"{file.file}: the file has the joint orders {' and '.join(lists) or 'of no list'}: "
                                f"say in `supplied` which `joint_order` the"
                                " policy was trained with")
        if lists and sorted(told) != sorted(next(iter(lists.values()))):
            raise d.answers.get("joint_order").fail(MismatchError, f"does not have the joints of {next(iter(lists))}")
        return told

    @staticmethod
    def periods(d, file, control):
        decimation = control["decimation"].integer(1)
        if file.has("loop_frequency"):
            d.periods(decimation / file["loop_frequency"].number(positive=True),
                      1 / file["loop_frequency"].number(positive=True))
        elif d.answers.get("control_period") is not None:
            tick = d.answers.get("control_period").number(positive=True)
            d.periods(tick * decimation, tick)
        else:
            d.ask("control_period", "the file has no loop_frequency")


class Berkeley:
    CONVENTION = "berkeley_humanoid_lite_yaml"

    @staticmethod
    def recognizes(items):
        v = items[0].value if len(items) == 1 else None
        return isinstance(v, dict) and {"joints", "joint_kp", "joint_kd", "policy_dt", "action_indices"} <= set(v)

    @staticmethod
    def read(items, supplied):
        file = items[0]
        d = Draft(Berkeley.CONVENTION, [file.file], supplied)
        names = file["joints"].names()
        n = len(names)
        if file.has("num_joints") and file["num_joints"].integer() != n:
            raise file["num_joints"].fail(FormatError, f"is {file['num_joints'].value}, but joints has {n} names")
        limits = file["effort_limits"].per(n) if file.has("effort_limits") else None
        d.joints(names, default=file["default_joint_positions"].numbers(n), kp=file["joint_kp"].per(n),
                 kd=file["joint_kd"].per(n), effort_limit=limits)
        d.periods(file["policy_dt"].number(positive=True))
        if file.has("control_dt"):
            d.card["drive_period"] = file["control_dt"].number(positive=True)
        chosen = [names[i] for i in file["action_indices"].indices(n, "joints")]
        if file.has("num_actions") and file["num_actions"].integer() != len(chosen):
            raise file["num_actions"].fail(FormatError,
                                           f"is {file['num_actions'].value}, but action_indices has {len(chosen)} "
                                           f"entries")
        init = {"init": file["command_velocity"].numbers(3)} if file.has("command_velocity") else {}
        d.velocity_command(**init)
        low, high = (file[f"action_limit_{k}"].per(len(chosen)) for k in ("lower", "upper"))
        pairs = [[float(a), float(b)] for a, b in zip(low, high)]
        for a, b in pairs:
            if a > b:
                raise file["action_limit_lower"].fail(FormatError, f"has {a} above {b} of action_limit_upper")
        d.action(chosen, clip_raw=pairs[0] if all(p == pairs[0] for p in pairs) else pairs,
                 scale=same(file["action_scale"].per(len(chosen))))
        d.model({"obs": {"from": "vector:obs"}}, {"actions": {"to": "action"}})
        d.ask("vectors", LAYOUT)
        return d


class Booster:
    CONVENTION = "booster_gym_yaml"

    @staticmethod
    def recognizes(items):
        v = items[0].value if len(items) == 1 else None
        return isinstance(v, dict) and {"common", "policy", "mech"} <= set(v)

    @staticmethod
    def read(items, supplied):
        file = items[0]
        d = Draft(Booster.CONVENTION, [file.file], supplied)
        common, policy = file["common"], file["policy"]
        pose = common["default_qpos"].numbers()
        n = len(pose)
        table = d.answers.names("joint_names", n)
        if table is None:
            d.ask("joint_names", f"the file has no names: give those of its {n} motors, in its order")
        names = table or [f"motor:{i}" for i in range(n)]
        columns = {"default": pose, "kp": common["stiffness"].numbers(n, "gains"),
                   "kd": common["damping"].numbers(n, "gains"),
                   "effort_limit": common["torque_limit"].numbers(n) if common.has("torque_limit") else None}
        driven = policy["num_actions"].integer(1)
        if driven > n:
            raise policy["num_actions"].fail(MismatchError, f"is {driven}, but there are {n} motors")
        # the legs stand last
        first = n - driven
        parallel = (
            file["mech"]["parallel_mech_indexes"].indices(n, "the motors")
            if file["mech"].has("parallel_mech_indexes")
            else []
        )
        for motor in parallel:
            # driven by torque: the drive closes no position loop
            columns["kp"][motor] = 0.0
            if motor < first:
                d.note(f"{file.file}: parallel motor {motor} is not driven by the policy")
        d.joints(names[first:], **{k: v[first:] if v else None for k, v in columns.items()})
        tick = common["dt"].number(positive=True)
        d.periods(tick * policy["control"]["decimation"].integer(1), tick)
        d.velocity_command()
        d.model({"obs": {"from": "vector:obs"}}, {"actions": {"to": "action"}})
        prepare = file.get("prepare")
        if prepare:
            d.card["startup"] = {"kind": "pose", "pose": prepare["default_qpos"].numbers(n),
                                 "kp": prepare["stiffness"].numbers(n, "gains"),
                                 "kd": prepare["damping"].numbers(n, "gains"), "order": "motor"}
        d.ask("vectors", LAYOUT)
        d.ask("clocks", "the gait clock is in upstream's code: give it in a patch", blocks=False)
        d.ask("actions",
              "the filter at 500 Hz and the ankles as torque are in upstream's code: give `actions` in a patch")
        return d


class AgiBot:
    CONVENTION = "agibot_x1_yaml"

    @staticmethod
    def recognizes(items):
        v = items[0].value if len(items) == 1 else None
        return isinstance(v, dict) and "controllers" in v and ("control_frequecy" in v or "control_frequency" in v)

    @staticmethod
    def read(items, supplied):
        file = items[0]
        d = Draft(AgiBot.CONVENTION, [file.file], supplied)
        controllers = file["controllers"]
        networks = [k for k, c in controllers.items() if c.is_mapping and c.has("onnx_conf")]
        told = d.answers.get("controller")
        if told is None and len(networks) != 1:
            raise MismatchError(f"{file.file}: 'controllers' holds {len(networks)} with a network "
                                f"({', '.join(networks)}): answer `controller` in `supplied`")
        name = told.text() if told is not None else networks[0]
        if name not in controllers.keys():
            raise told.fail(MismatchError, f"is '{name}', but the file has {', '.join(controllers.keys())}")
        c = controllers[name]
        d.chosen = name
        names = c["joint_list"].names()
        n = len(names)
        known = file["joint_list"].names() if file.has("joint_list") else names
        for j in names:
            if j not in known:
                raise c["joint_list"].fail(MismatchError, f"names '{j}', which is not in the file's joint_list")
        gains = {"kp": c["stiffness"].numbers(n, "gains"), "kd": c["damping"].numbers(n, "gains")}
        parallel = (
            c["lpf_conf"]["paralle_list"].names() if c.has("lpf_conf") and c["lpf_conf"].has("paralle_list") else []
        )
        for j in parallel:
            if j not in names:
                raise c["lpf_conf"]["paralle_list"].fail(MismatchError, f"names '{j}', which is not in joint_list")
            # driven by torque: the drive closes no loop
            gains["kp"][names.index(j)] = gains["kd"][names.index(j)] = 0.0
        d.joints(names, default=c["init_state"].numbers(n), **gains)
        if not c.has("onnx_conf"):
            raise c.fail(MismatchError, f"has no network (onnx_conf); those that have one are {', '.join(networks)}")
        rate = file["control_frequecy" if file.has("control_frequecy") else "control_frequency"].number(positive=True)
        d.periods(c["walk_step_conf"]["decimation"].integer(1) / rate, 1 / rate)
        offsets = file.get("joint_offset")
        for j, o in offsets.items() if offsets else []:
            if o.number() != 0:
                d.ask(f"joint_offset:{j}",
                      f"the file moves the zero of '{j}' by {o.value} rad: apply it on the robot's side", blocks=False)
        actions = c["onnx_conf"]["actions_size"].integer(1)
        if actions != n:
            raise c["onnx_conf"]["actions_size"].fail(FormatError, f"is {actions}, but joint_list has {n} names")
        d.velocity_command()
        d.model({"input": {"from": "vector:obs"}}, {"output": {"to": "action"}})
        d.ask("vectors", LAYOUT)
        d.ask("clocks", "the gait clock is in upstream's code: give it in a patch", blocks=False)
        d.ask("actions",
              "the filter at 1 kHz and the parallel ankles are in upstream's code: give `actions` in a patch")
        return d


class Spot:
    CONVENTION = "spot_env_json"

    @staticmethod
    def recognizes(items):
        v = items[0].value if len(items) == 1 else None
        if not isinstance(v, dict) or "observations" in v:
            return False
        return {"scene", "actions", "decimation", "sim"} <= set(v)

    @staticmethod
    def read(items, supplied):
        file = items[0]
        d = Draft(Spot.CONVENTION, [file.file], supplied)
        names = d.answers.names("joint_order")
        if names is None:
            raise MismatchError(f"{file.file}: the file has patterns for joints only; answer `joint_order` in "
                                f"`supplied`")
        robot = file["scene"]["robot"]
        default = by_pattern(robot["init_state"]["joint_pos"], names)
        gains = {}
        for group, a in robot["actuators"].items():
            for n in matching(a["joint_names_expr"], names):
                if n in gains:
                    raise a.fail(MismatchError, f"drives joint '{n}', which actuator '{gains[n][0]}' drives already")
                gains[n] = (group, by_pattern(a["stiffness"], [n])[n], by_pattern(a["damping"], [n])[n])
        for n in names:
            if n not in gains:
                raise robot["actuators"].fail(MismatchError,
                                              f"has no actuator pattern that covers joint '{n}': its stiffness and "
                                              f"damping are unknown")
        d.joints(names, default=[default[n] for n in names], kp=[gains[n][1] for n in names],
                 kd=[gains[n][2] for n in names])
        d.periods(file["sim"]["dt"].number(positive=True) * file["decimation"].integer(1))
        (label, action), *others = file["actions"].items()
        if others:
            raise file["actions"].fail(MismatchError, f"holds {1 + len(others)} actions, expected one")
        d.card["robot"] = "spot"
        d.velocity_command()
        for p in action["joint_names"].list() if action.has("joint_names") else []:
            compiled(p.text(), p)
        d.action(names, name=label, scale=same(action["scale"].per(len(names))))
        d.model({"obs": {"from": "vector:obs"}}, {"actions": {"to": "action"}})
        d.ask("vectors", LAYOUT)
        return d
