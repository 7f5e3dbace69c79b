"""What the package needs and offers without being asked for more."""
import ast
import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import efferent
import pytest

ROOT = Path(__file__).resolve().parents[2]


def python(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **environment},
    )


def test_importing_loads_neither_the_library_nor_optional_packages():
    done = python(
        "import efferent, sys; efferent.Error; print([m for m in ('zmq', 'msgpack', 'rich', 'typer', 'onnxruntime', 'efferent._library') if m in sys.modules])",
        EFFERENT_LIBRARY="/no/such/library.so",
    )
    assert done.stdout.strip() == "[]", done.stderr


def test_the_runtime_does_not_import_the_lab():
    code = """
import importlib, pkgutil, sys, efferent
for module in pkgutil.iter_modules(efferent.__path__, "efferent."):
    if module.name not in ("efferent.lab", "efferent.command", "efferent.__main__"):
        importlib.import_module(module.name)
print(sorted(m for m in sys.modules if m.startswith("efferent.lab")), len(sys.modules))
"""
    done = python(code)
    assert done.stdout.startswith("[] "), done.stdout + done.stderr


def test_a_wheel_holds_every_folder_of_the_package():
    package = Path(efferent.__file__).parent
    folders = {".".join(["efferent", *path.parent.relative_to(package).parts]) for path in package.rglob("*.py")}
    project = tomllib.loads((ROOT / "bindings/python/pyproject.toml").read_text())
    assert set(project["tool"]["setuptools"]["packages"]) == folders


def test_every_file_is_read_by_the_oldest_python():
    oldest = tomllib.loads((ROOT / "bindings/python/pyproject.toml").read_text())["project"]["requires-python"]
    major, minor = re.fullmatch(r">=(\d+)\.(\d+)", oldest).groups()
    for path in (ROOT / "bindings/python").rglob("*.py"):
        ast.parse(path.read_text(), str(path), feature_version=(int(major), int(minor)))


def test_every_extra_brings_what_its_messages_promise():
    from efferent.command import INSTALLED_BY

    project = tomllib.loads((ROOT / "bindings/python/pyproject.toml").read_text())["project"]
    extras = {name: {re.match(r"[\w-]+", r).group() for r in requirements}
              for name, requirements in project["optional-dependencies"].items()}
    distributions = {"zmq": "pyzmq", "yaml": "pyyaml"}
    for module, words in INSTALLED_BY.items():
        extra = re.fullmatch(r"'efferent\[(\w+)\]'", words)
        assert not extra or distributions.get(module, module) in extras[extra.group(1)], (module, words)
    assert [r.partition(">")[0] for r in project["dependencies"]] == ["numpy"]
    (everything,) = project["optional-dependencies"]["all"]
    assert sorted(everything.removeprefix("efferent[").removesuffix("]").split(",")) == sorted(set(extras) - {"all"})


def test_a_missing_library_is_explained():
    done = python(
        "import efferent\ntry:\n  efferent.Policy(b'')\nexcept efferent.FileError as e: print(e)",
        EFFERENT_LIBRARY="/no/such/library.so",
    )
    assert "/no/such/library.so" in done.stdout and "EFFERENT_LIBRARY" in done.stdout, done.stderr


def test_the_version_is_that_of_the_header():
    header = (ROOT / "include/efferent/efferent.h").read_text()
    number = ".".join(re.search(rf"EFF_VERSION_{part} (\d+)", header).group(1) for part in ("MAJOR", "MINOR", "PATCH"))
    assert efferent.version() == number
    assert efferent.__version__ == number


def test_no_other_file_of_the_packages_has_a_version_of_its_own():
    for path in (ROOT / "bindings/python").rglob("pyproject.toml"):
        project = tomllib.loads(path.read_text())["project"]
        assert "version" not in project and project["dynamic"] == ["version"], path


def test_a_library_of_another_series_is_refused_with_both_versions(tmp_path):
    (tmp_path / "other.c").write_text("int eff_version(void) { return 900; }")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", tmp_path / "other.so", tmp_path / "other.c"], check=True)
    done = python(
        "import efferent\ntry:\n  efferent.Policy(b'')\nexcept efferent.FileError as e: print(e)",
        EFFERENT_LIBRARY=str(tmp_path / "other.so"),
    )
    assert (
        "other.so is libefferent 0.9.0" in done.stdout and f"this package is {efferent.__version__}" in done.stdout
    ), done.stderr


def command(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "efferent", *map(str, arguments)],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "COLUMNS": "160"},
    )


def test_inspect_prints_inputs_outputs_and_plan(folder):
    done = command("inspect", folder / "lstm.onnx")
    assert (
        done.returncode == 0 and "h_in" in done.stdout and "h_out" in done.stdout and "plan" in done.stdout
    ), done.stderr
    facts = json.loads(command("inspect", folder / "lstm.onnx", "--json").stdout)
    assert facts["state"] == {"h_in": "h_out", "c_in": "c_out"} and facts["inputs"][0] == {
        "name": "obs",
        "shape": [1, 5],
        "dtype": "f32",
        "role": "observation",
        "reason": "only candidate",
    }
    assert facts["opset"] == 17 and facts["ops"]
    assert (
        facts["node_count"] >= facts["unfused_op_count"] >= facts["op_count"] == len(facts["ops"])
        and facts["step_microseconds"] > 0
    )
    hidden = next(t for t in facts["inputs"] if t["name"] == "h_in")["shape"][-1]
    assert (
        facts["state_bytes"] == 2 * 2 * 4 * hidden
        and 0 < facts["peak_bytes"] <= facts["arena_bytes"] - facts["state_bytes"]
    )
    for words in ("nodes in the file", "after fusion", "arena", "at their peak", "cost of a step", "parameters"):
        assert words in done.stdout


def test_fusion_is_counted(folder):
    facts = json.loads(command("inspect", folder / "mlp.onnx", "--json").stdout)
    assert facts["unfused_op_count"] > facts["op_count"]


def test_safetensors_are_inspected_and_not_compared(folder):
    from efferent._convert.safetensors import dumps

    file = folder / "scale.safetensors"
    file.write_bytes(
        dumps(
            {},
            {"robot": "arm"},
            {"efferent": 1, "inputs": [{"name": "obs", "shape": [3]}], "layers": [{"type": "scale", "scale": 2}]},
        )
    )
    done = command("inspect", file)
    assert done.returncode == 0 and "safetensors" in done.stdout and "robot: arm" in done.stdout, done.stderr
    done = command("check", file)
    assert done.returncode == 1 and "which onnxruntime cannot run" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize("name", ["mlp", "lstm", "several", "double", "constant_output", "external"])
def test_check_agrees_with_onnxruntime(folder, name):
    done = command("check", folder / f"{name}.onnx", "--against", "onnxruntime", "--samples", "20")
    assert done.returncode == 0 and "same" in done.stdout and "differs" not in done.stdout, done.stdout + done.stderr


def test_check_sees_a_difference(folder):
    done = command("check", folder / "mlp.onnx", "--weights", "bf16", "--tolerance", "1e-7")
    assert done.returncode == 1 and "differs" in done.stdout, done.stdout + done.stderr
    told = json.loads(
        command("check", folder / "mlp.onnx", "--weights", "bf16", "--tolerance", "1e-7", "--json").stdout
    )
    assert told["same"] is False and told["outputs"][0]["difference"] > 0


def test_the_command_line_explains_errors(folder):
    junk = folder / "junk.onnx"
    junk.write_bytes(b"junk")
    done = command("inspect", junk)
    assert done.returncode == 1 and "EFF_E_FORMAT" in done.stderr and "Traceback" not in done.stderr
    assert command("inspect", folder / "none.onnx").returncode != 0
