"""The declarations of the Rust crate (bindings/rust/src/sys.rs) are those of the C headers."""
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import headers
import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "Tests/Symbols"))
from rust import c_functions, c_structs, version  # noqa: E402

CRATE = ROOT / "bindings/rust"
SYS = (CRATE / "src/sys.rs").read_text()
TEXT = headers.source()
PREFIX = ROOT / ".build/prefix"
def outside(text):
    """Splits at the commas that are not inside brackets."""
    return [part.strip() for part in headers.split(text) if part.strip()]


def rust_functions():
    found = {}
    for name, arguments, result in re.findall(r"pub fn (eff_\w+)\((.*?)\)(?: -> ([^;]+))?;", " ".join(SYS.split())):
        found[name] = ([a.split(":", 1)[1].strip() for a in outside(arguments)], (result or "()").strip())
    return found


def rust_structs():
    found = {}
    for name, body in re.findall(
        r"#\[repr\(C\)\]\s*(?:#\[[^\]]*\]\s*)*pub struct (eff_\w+) \{(.*?)\n\}", SYS, flags=re.S
    ):
        fields = re.findall(r"pub (\w+): (.*),\n", body + "\n")
        if fields:
            found[name] = fields
    return found


def test_the_headers_are_read_in_words_of_rust():
    functions, structs = c_functions(), c_structs()
    assert functions["eff_session_step"] == (["*mut eff_session", "usize", "*const f32", "*mut f32"], "eff_status")
    assert functions["eff_set_log"][0][0] == 'Option<unsafe extern "C" fn(*mut c_void, i32, *const c_char)>'
    assert (
        functions["eff_last_error"] == ([], "*const c_char")
        and functions["eff_policy_load_file"][0][2] == "*mut *mut eff_policy"
    )
    assert (
        dict(structs["eff_policy_options"])["outputs"] == "*const *const c_char"
        and dict(structs["eff_tensor_spec"])["shape"] == "[i64; EFF_MAX_RANK]"
    )
    assert (
        dict(structs["eff_allocator"])["alloc"]
        == 'Option<unsafe extern "C" fn(*mut c_void, usize, usize) -> *mut c_void>'
    )


def test_every_function_has_the_signature_of_the_header():
    found, wanted = rust_functions(), c_functions()
    assert sorted(found) == sorted(wanted)
    for name, signature in wanted.items():
        assert found[name] == signature, name


def test_every_struct_has_the_fields_of_the_header():
    found, wanted = rust_structs(), c_structs()
    assert sorted(found) == sorted(wanted)
    for name, fields in wanted.items():
        assert found[name] == fields, name


def test_every_constant_has_the_value_of_the_header():
    wanted = {name: int(value, 0) for name, value in re.findall(r"\b(EFF_[A-Z0-9_]+)\s*=\s*(-?\w+)", TEXT)}
    found = {name: int(value, 0) for name, value in re.findall(r"pub const (EFF_\w+): \w+ = (-?\w+);", SYS)}
    wanted["EFF_VERSION"] = version()
    assert found == wanted


def test_the_crate_has_the_version_of_the_header():
    number = re.search(r'^version = "(\d+)\.(\d+)\.(\d+)"', (CRATE / "Cargo.toml").read_text(), re.M).groups()
    assert int(number[0]) * 10000 + int(number[1]) * 100 + int(number[2]) == version()


@pytest.mark.skipif(
    not shutil.which("rustc") or not shutil.which("cc"),
    reason="no rustc here: the declarations are checked as text alone",
)
def test_layouts_are_those_of_a_c_compiler(tmp_path):
    structs = c_structs()
    c = [
        f'printf("{n} . %zu 0\\n", sizeof({n}));'
        + "".join(f'printf("{n} {f} %zu %zu\\n", sizeof((({n} *)0)->{f}), offsetof({n}, {f}));' for f, _ in fields)
        for n, fields in structs.items()
    ]
    names = sorted(h.name for h in (headers.INCLUDE / "efferent").glob("*.h"))
    (tmp_path / "layout.c").write_text(
        "".join(f"#include <efferent/{n}>\n" for n in names)
        + "#include <stdio.h>\nint main(void) {\n"
        + "\n".join(c)
        + "}\n"
    )
    subprocess.run(["cc", f"-I{headers.INCLUDE}", tmp_path / "layout.c", "-o", tmp_path / "c"], check=True)
    # size and offset of each field, out of the struct itself; zeros are a valid value of every field here
    r = [
        f'println!("{n} . {{}} 0", size_of::<{n}>());'
        + "".join(
            f'{{ let x = MaybeUninit::<{n}>::zeroed(); let p = x.as_ptr(); let f = unsafe {{ std::ptr::addr_of!((*p).{f}) }}; '
            f'println!("{n} {f} {{}} {{}}", size_behind(f), f as usize - p as usize); }}'
            for f, _ in fields
        )
        for n, fields in structs.items()
    ]
    (tmp_path / "layout.rs").write_text(
        f'#[path = "{CRATE}/src/sys.rs"]\n#[allow(dead_code)]\nmod sys;\nuse std::mem::{{size_of, MaybeUninit}};\nuse sys::*;\n'
        "fn size_behind<T>(_: *const T) -> usize { size_of::<T>() }\nfn main() {\n" + "\n".join(r) + "\n}\n"
    )
    subprocess.run(["rustc", "--edition", "2021", tmp_path / "layout.rs", "-o", tmp_path / "rust"], check=True)
    run = [subprocess.run([tmp_path / n], check=True, capture_output=True, text=True).stdout for n in ("c", "rust")]
    assert run[0] == run[1] and len(run[0].splitlines()) > 200


@pytest.mark.skipif(not shutil.which("cargo"), reason="no cargo here")
def test_the_crate_builds_without_warnings_and_its_example_steps(tmp_path):
    if not (PREFIX / "lib/libefferent.so").exists():
        pytest.skip("needs bindings/c/install.sh --prefix .build/prefix")
    env = {
        **os.environ,
        "EFFERENT_PREFIX": str(PREFIX),
        "CARGO_TARGET_DIR": str(tmp_path),
        "RUSTFLAGS": "-D warnings",
        "CARGO_NET_OFFLINE": "true",
    }
    policy = ROOT / "examples/policies/half_cheetah.onnx"
    run = subprocess.run(
        ["cargo", "run", "-q", "--example", "step", "--", policy], cwd=CRATE, env=env, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    import efferent
    import numpy as np

    assert [float(v) for v in run.stdout.split()] == pytest.approx(
        efferent.Policy(policy).session().step(np.zeros(17)), rel=1e-5
    )
    tests = subprocess.run(["cargo", "test", "-q"], cwd=CRATE, env=env, capture_output=True, text=True)
    assert tests.returncode == 0 and "0 failed" in tests.stdout, tests.stdout + tests.stderr
    wrong = subprocess.run([tmp_path / "debug/examples/step", "nothing.onnx"], capture_output=True, text=True)
    assert wrong.returncode == 1 and "EFF_E_IO" in wrong.stderr and "nothing.onnx" in wrong.stderr, wrong.stderr
