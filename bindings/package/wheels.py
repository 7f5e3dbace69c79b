"""Wheels, written byte by byte so that the same files give the same wheel."""

import base64
import hashlib
import tempfile
import time
import tomllib
import zipfile
from pathlib import Path
from typing import NamedTuple

from facts import EPOCH, ROOT, fail, licences, newest, run, version

PYTHON = ROOT / "bindings/python"
CLIENT_MODULES = ("client", "keys", "receiver", "plant", "remote", "wire", "errors", "_closes", "_ladder", "_links",
                  "_local", "_reports", "_rows", "_spaces")


class Bundle(NamedTuple):
    """libzmq for a wheel."""

    files: dict  # {file name: bytes}
    licences: dict  # {file name: text}
    source: str


def libzmq(arch):
    """libzmq and libsodium of the pyzmq wheel that libzmq.txt names, which pip fetches and checks."""
    import sys

    with tempfile.TemporaryDirectory() as folder:
        run(
            sys.executable,
            "-m",
            "pip",
            "download",
            "-q",
            "--disable-pip-version-check",
            "--no-deps",
            "--only-binary",
            ":all:",
            "--require-hashes",
            "--python-version",
            "3.12",
            "--platform",
            f"manylinux_2_28_{arch}",
            "-d",
            folder,
            "-r",
            ROOT / "bindings/package/libzmq.txt",
        )
        (path,) = Path(folder).glob("*.whl")
        with zipfile.ZipFile(path) as wheel:
            names = wheel.namelist()
            libraries = {
                n.rsplit("/", 1)[1]: wheel.read(n) for n in names if n.startswith("pyzmq.libs/") and ".so" in n
            }
            texts = {
                n.rsplit("/", 1)[1]: wheel.read(n).decode()
                for n in names
                if n.endswith(("LICENSE.zeromq.txt", "LICENSE.libsodium.txt"))
            }
    zmq = [n for n in libraries if n.startswith("libzmq")]
    if len(zmq) != 1 or len(libraries) != 2 or len(texts) != 2:
        fail(
            f"{path.name}: libzmq, libsodium and their licences expected, found {sorted(libraries)} and {sorted(texts)}"
        )
    libraries["libzmq.so.5"] = libraries.pop(zmq[0])  # the name that libefferent looks for beside itself
    return Bundle(libraries, texts, path.name)


def metadata(project, number, files, expression):
    """Core metadata 2.4 out of pyproject's [project] table."""
    lines = [
        "Metadata-Version: 2.4",
        f"Name: {project['name']}",
        f"Version: {number}",
        f"Summary: {project['description']}",
        f"License-Expression: {expression}",
        *(f"License-File: {n}" for n in sorted(files)),
        f"Requires-Python: {project['requires-python']}",
        *(f"Requires-Dist: {r}" for r in project["dependencies"]),
    ]
    for extra, requirements in project.get("optional-dependencies", {}).items():
        lines += [f"Provides-Extra: {extra}", *(f'Requires-Dist: {r}; extra == "{extra}"' for r in requirements)]
    return "\n".join([*lines, "Description-Content-Type: text/markdown", "", project["text"]])


def write(folder, project, tag, pure, contents, licence_files, expression):
    """One wheel. `contents`: {path: bytes}; shared objects are executable. Returns its path."""
    number = version()
    name = project["name"].replace("-", "_")
    info = f"{name}-{number}.dist-info"
    contents = dict(contents)
    contents[f"{info}/METADATA"] = metadata(project, number, licence_files, expression).encode()
    contents[f"{info}/WHEEL"] = (
        f"Wheel-Version: 1.0\nGenerator: efferent\nRoot-Is-Purelib: {str(pure).lower()}\nTag: {tag}\n".encode()
    )
    if scripts := project.get("scripts"):
        contents[f"{info}/entry_points.txt"] = (
            "[console_scripts]\n" + "".join(f"{a} = {b}\n" for a, b in scripts.items())
        ).encode()
    contents |= {f"{info}/licenses/{n}": t.encode() for n, t in licence_files.items()}
    record = ""
    for path, data in sorted(contents.items()):
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        record += f"{path},sha256={digest},{len(data)}\n"
    contents[f"{info}/RECORD"] = (record + f"{info}/RECORD,,\n").encode()
    out = Path(folder) / f"{name}-{number}-{tag}.whl"
    stamp = time.gmtime(max(EPOCH, 315532800))[:6]  # zip knows no time before 1980
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as wheel:
        for path in sorted(contents, key=lambda p: (".dist-info/" in p, p)):
            entry = zipfile.ZipInfo(path, stamp)
            entry.external_attr = (0o100755 if ".so" in path else 0o100644) << 16
            entry.create_system, entry.compress_type = 3, zipfile.ZIP_DEFLATED
            wheel.writestr(entry, contents[path])
    return out


def project_of(folder):
    project = tomllib.loads((folder / "pyproject.toml").read_text())
    found = project["project"]
    found["text"] = (folder / found["readme"]).read_text()
    return found


def native(arch, prefix, folder):
    """The wheel `efferent` with libefferent and libzmq in it. Its tag is the newest glibc that one of them asks for."""
    project, bundle = project_of(PYTHON), libzmq(arch)
    contents = {f"efferent/{n}": d for n, d in bundle.files.items()}
    contents["efferent/libefferent.so"] = (Path(prefix) / "lib/libefferent.so").read_bytes()
    with tempfile.TemporaryDirectory() as scratch:
        needed = []
        for path, data in contents.items():
            at = Path(scratch) / Path(path).name
            at.write_bytes(data)
            needed.append(newest(at))
    major, minor = max(needed)
    for path in (PYTHON / "efferent").rglob("*"):  # with the data files of its packages
        if path.is_file() and "__pycache__" not in path.parts and ".so" not in path.name:
            contents[str(path.relative_to(PYTHON))] = path.read_bytes()
    return write(
        folder,
        project,
        f"py3-none-manylinux_{major}_{minor}_{arch}",
        False,
        contents,
        licences(bundle),
        "Apache-2.0 AND MPL-2.0 AND ISC AND Unicode-3.0",
    )


def client(folder):
    """The wheel `efferent-client`: the plant's end of a bridge as the package efferent_client, pure Python."""
    home = PYTHON / "client"
    contents = {f"efferent_client/{m}.py": (PYTHON / f"efferent/{m}.py").read_bytes() for m in CLIENT_MODULES}
    contents["efferent_client/__init__.py"] = (home / "__init__.py").read_bytes()
    texts = {
        "LICENSE": (ROOT / "LICENSE").read_text(),
        "LICENSE.Apache-2.0.txt": (ROOT / "bindings/package/LICENSE.Apache-2.0.txt").read_text(),
    }
    return write(folder, project_of(home), "py3-none-any", True, contents, texts, "Apache-2.0")
