"""Tests/Symbols/abi.py tells a change that breaks programs which are built already from one that does not; C++ refuses
another library."""

import shutil
import subprocess
import sys
from pathlib import Path

import headers
import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "Tests/Symbols"))
import abi  # noqa: E402

KEPT = (ROOT / "Tests/Symbols/abi.txt").read_text().splitlines()
pytestmark = pytest.mark.skipif(not any(map(shutil.which, ("cc", "gcc", "clang"))), reason="no C compiler")


def changed(folder, header, old, new):
    """The interface with one change in one header."""
    shutil.copytree(headers.INCLUDE, folder, dirs_exist_ok=True)
    path = folder / "efferent" / header
    text = path.read_text()
    assert text.count(old) == 1, f"{old!r} is {text.count(old)} times in {header}"
    path.write_text(text.replace(old, new))
    return abi.compare(abi.dump(headers.INCLUDE), abi.dump(folder))


def test_nothing_that_is_built_already_breaks():
    broken, _ = abi.compare(KEPT, abi.dump(headers.INCLUDE))
    assert not broken, "\n".join(broken)


def test_the_text_has_every_function_struct_and_constant():
    text = headers.source() + headers.source(receiver=True)
    for kind, names in (("function", headers.functions(text)), ("struct", headers.structs(text))):
        assert {line.split()[1] for line in abi.dump(headers.INCLUDE) if line.startswith(kind + " ")} == set(names)
    assert any(line == "constant EFF_E_SHAPE -7" for line in KEPT) and any(
        "eff_session_step_n" in line and line.endswith("[RT]") for line in KEPT
    )


BREAKS = {
    "a field of another type": (
        "efferent.h",
        "uint64_t first_row; ",
        "uint32_t first_row; ",
        "field eff_session_options.first_row: at 56, 4 bytes",
    ),
    "a field in between": (
        "efferent.h",
        "void *arena;                     /* kept: memory",
        "int64_t budget; void *arena; /* kept: memory",
        "field eff_session_options.arena: at 24",
    ),
    "two fields that change places": (
        "learner.h",
        "double beta2, moment_epsilon;",
        "double moment_epsilon, beta2;",
        "field eff_learner_options.beta2: at",
    ),
    "a struct without struct_size that grows": (
        "learner.h",
        "} eff_network_update;",
        "double spread; } eff_network_update;",
        "struct eff_network_update: 48 bytes, fixed",
    ),
    "another value": ("efferent.h", "EFF_E_SHAPE = -7", "EFF_E_SHAPE = -17", "constant EFF_E_SHAPE: -17, was -7"),
    "a function that goes": (
        "efferent.h",
        "EFF_API eff_status eff_session_reclaim(eff_session *session);",
        "",
        "function eff_session_reclaim: gone",
    ),
    "an argument more": (
        "efferent.h",
        "eff_session_prewarm(eff_session *session)",
        "eff_session_prewarm(eff_session *session, size_t rows)",
        "function eff_session_prewarm: (eff_session*, size_t) -> eff_status [RT]",
    ),
    "a field of the receiver's": (
        "receiver.h",
        "int32_t retry_ms; ",
        "int64_t retry_ms; ",
        "field eff_receiver_options.retry_ms: at 56, 8 bytes",
    ),
    "no longer real-time": (
        "efferent.h",
        "EFF_API EFF_RT eff_status eff_session_prewarm(",
        "EFF_API eff_status eff_session_prewarm(",
        "function eff_session_prewarm: (eff_session*) -> eff_status, was",
    ),
}


@pytest.mark.parametrize("name", BREAKS)
def test_what_breaks_is_told(tmp_path, name):
    header, old, new, words = BREAKS[name]
    broken, _ = changed(tmp_path, header, old, new)
    assert any(words in text for text in broken), broken


NEW = {
    "a field at the end": (
        "efferent.h",
        "} eff_session_options;",
        "double budget; } eff_session_options;",
        "field eff_session_options.budget",
    ),
    "a reserved field in use": (
        "efferent.h",
        "int32_t reserved2; ",
        "int32_t verbose; ",
        "field eff_session_options.verbose has the place of eff_session_options.reserved2",
    ),
    "a function": (
        "efferent.h",
        "EFF_API int32_t eff_version(void);",
        "EFF_API int32_t eff_version(void);\nEFF_API int32_t eff_build(void);",
        "function eff_build",
    ),
    "a status": (
        "efferent.h",
        "EFF_E_MISMATCH = -10 ",
        "EFF_E_MISMATCH = -10, EFF_E_NEW = -11 ",
        "constant EFF_E_NEW: -11",
    ),
}


@pytest.mark.parametrize("name", NEW)
def test_what_is_added_breaks_nothing_and_is_listed(tmp_path, name):
    header, old, new, words = NEW[name]
    broken, added = changed(tmp_path, header, old, new)
    assert not broken and any(words in text for text in added), (broken, added)


def test_the_command_ends_with_one_where_a_field_has_changed(tmp_path):
    shutil.copytree(headers.INCLUDE, tmp_path, dirs_exist_ok=True)
    path = tmp_path / "efferent/controller.h"
    path.write_text(path.read_text().replace("double value, limit; ", "float value, limit; "))
    done = subprocess.run([sys.executable, ROOT / "Tests/Symbols/abi.py", tmp_path], capture_output=True, text=True)
    assert done.returncode == 1 and "BREAKS: field eff_controller_report.value" in done.stdout, done.stdout
    path = tmp_path / "efferent/efferent.h"
    path.write_text(
        path.read_text().replace("EFF_VERSION_MINOR 1", "EFF_VERSION_MINOR 2")
    )  # an interface of its own may differ
    assert (
        subprocess.run([sys.executable, ROOT / "Tests/Symbols/abi.py", tmp_path], capture_output=True).returncode == 0
    )


PROGRAM = """
#include <efferent/card.hpp>
#include <efferent/learner.hpp>
#include <cstdio>
template <class F> static void attempt(F f) {
  try { f(); std::puts("made"); } catch (const efferent::Error &e) { std::printf("%s: %s\\n", e.name(), e.what()); }
}
int main(int, char **argv) {
  attempt([&] { efferent::Policy policy(argv[1]); });
  attempt([&] { efferent::Card card("nothing.json"); });
  attempt([&] { efferent::Learner::defaults(3, 1); });
}
"""


@pytest.mark.parametrize(
    "minor, patch, words",
    [(1, 7, "made"), (9, 0, "EFF_E_MISMATCH: libefferent {found} is loaded, this program was built against 0.9.0")],
)
def test_a_program_in_cpp_refuses_a_library_of_another_series(tmp_path, minor, patch, words):
    prefix = ROOT / ".build/prefix"
    if not (prefix / "lib/libefferent.so").exists() or not shutil.which("c++"):
        pytest.skip("needs bindings/c/install.sh --prefix .build/prefix and a C++ compiler")
    import efferent

    shutil.copytree(headers.INCLUDE, tmp_path / "include")
    for header in (ROOT / "bindings/cpp").glob("*.hpp"):
        shutil.copy(header, tmp_path / "include/efferent")
    path = tmp_path / "include/efferent/efferent.h"
    text = path.read_text()
    series = efferent.version().rsplit(".", 1)[0]
    assert series == "0.1", "the versions of this test are those of a header of 0.1"
    text = text.replace("EFF_VERSION_MINOR 1", f"EFF_VERSION_MINOR {minor}").replace(
        "EFF_VERSION_PATCH 0", f"EFF_VERSION_PATCH {patch}"
    )
    path.write_text(text)
    source, program = tmp_path / "user.cpp", tmp_path / "user"
    source.write_text(PROGRAM)
    subprocess.run(
        [
            "c++",
            "-std=c++17",
            f"-I{tmp_path}/include",
            source,
            f"-L{prefix}/lib",
            f"-Wl,-rpath,{prefix}/lib",
            "-lefferent",
            "-o",
            program,
        ],
        check=True,
    )
    lines = subprocess.run(
        [program, ROOT / "examples/policies/half_cheetah.onnx"], capture_output=True, text=True
    ).stdout.splitlines()
    words = words.format(found=efferent.version())
    assert lines[0].startswith(words) and lines[2].startswith(words), lines
    assert lines[1].startswith("EFF_E_IO" if words == "made" else words), lines
