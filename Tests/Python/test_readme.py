"""The programs in README.md do what it says, as written."""
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

root = Path(__file__).resolve().parents[2]
policy = root / "examples/policies/half_cheetah.onnx"
prefix = root / ".build/prefix"


def block(language, index=0):
    return re.findall(rf"^```{language}\n(.*?)^```", (root / "README.md").read_text(), re.M | re.S)[index]


@pytest.mark.parametrize("language, compiler, standard", [("c", "cc", "c11"), ("cpp", "c++", "c++17")])
def test_the_compiled_program_prints_an_action_of_the_example_policy(tmp_path, language, compiler, standard):
    if not (prefix / "lib/libefferent.so").exists() or not shutil.which(compiler):
        pytest.skip("needs bindings/c/install.sh --prefix .build/prefix and a compiler")
    source = tmp_path / f"step.{language}"
    source.write_text(block(language))
    program = tmp_path / "step"
    flags = ["-Wall", "-Wextra", "-Wpedantic", "-Werror", f"-std={standard}", f"-I{prefix}/include", f"-L{prefix}/lib", f"-Wl,-rpath,{prefix}/lib"]
    subprocess.run([compiler, *flags, str(source), "-lefferent", "-o", str(program)], check=True)
    found = subprocess.run([program, policy], check=True, capture_output=True, text=True).stdout.split()
    import efferent
    import numpy as np

    expected = efferent.Policy(policy).session().step(np.zeros(17))
    assert [float(v) for v in found] == pytest.approx([expected[0], expected[5]], rel=1e-4)
    assert subprocess.run([program, "nothing.onnx"], capture_output=True).returncode == 1


def test_the_python_program_runs_as_written():
    code = block("python") + "\nassert action.shape == (6,) and np.array_equal(action, outputs['actions'][0]), (action, outputs)\n"
    run = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, env=os.environ)
    assert run.returncode == 0, run.stderr


def test_the_learner_balances_the_pendulum_as_written():
    pytest.importorskip("mujoco")
    run = subprocess.run([sys.executable, "-c", block("python", 1)], capture_output=True, text=True, env=os.environ)
    assert run.returncode == 0, run.stderr
    returns = [float(r) for r in re.findall(r"return (\d+)", run.stdout)]
    assert returns[0] < 100 and max(returns) > 700, returns


def test_a_policy_goes_on_learning_as_written(tmp_path):
    (tmp_path / "examples").symlink_to(root / "examples")
    code = block("python", 2) + "\nassert np.abs(session.step(np.ones(17)) - learner.infer(np.ones(17))).max() < 1e-5\n"
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path))}  # written from another folder
    run = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, env=env)
    assert run.returncode == 0, run.stderr
    assert (tmp_path / "learned.onnx").stat().st_size > 100_000


def test_every_path_that_the_readme_names_exists():
    text = (root / "README.md").read_text()
    for path in re.findall(r"`?((?:examples|Tests|Sources|bindings)/[\w./+-]*\w)", text):
        assert (root / path).exists() or list(root.glob(path + "*")), path
