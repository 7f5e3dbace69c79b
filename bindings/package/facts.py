"""What every package says of itself: version, time, licences, symbol versions. Errors end the run with one line."""

import os
import re
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
EPOCH = int(os.environ["SOURCE_DATE_EPOCH"])
DEBIAN = {"x86_64": ("amd64", "x86_64-linux-gnu"), "aarch64": ("arm64", "aarch64-linux-gnu")}
SUMMARY = "Embeddable runtime that puts trained policies on robots"


def fail(text):
    raise SystemExit(f"[package] error: {text}")


def run(*command, **options):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, **options)
    if done.returncode != 0:
        fail(f"{command[0]}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def version():
    """The version of the header, "0.1.0"."""
    header = (ROOT / "include/efferent/efferent.h").read_text()
    return ".".join(
        re.search(rf"^#define EFF_VERSION_{part} (\d+)$", header, re.M).group(1) for part in ("MAJOR", "MINOR", "PATCH")
    )


def series(number):
    """The part of a version within which the interface stays: "0.1" below 1.0, then "1"."""
    major, minor, _ = number.split(".")
    return f"{major}.{minor}" if major == "0" else major


def newest(path, family="GLIBC"):
    """The newest version of a symbol family that an object asks for, such as (2, 17)."""
    found = re.findall(rf"\b{family}_(\d+)\.(\d+)", run("readelf", "-V", "-W", path))
    if not found:
        fail(f"{path}: no {family} version")
    return max((int(a), int(b)) for a, b in found)


def swift_license():
    swift = shutil.which("swift", path=os.environ.get("PATH", "") + ":/opt/swift/usr/bin:/usr/local/swift/usr/bin")
    path = Path(os.path.realpath(swift)).parents[1] / "share/swift/LICENSE.txt" if swift else None
    if path is None or not path.is_file():
        fail(f"Swift's licence was not found (expected {path}): packages carry its text")
    return path.read_text()


NOTICES = """Efferent {version} is under the Apache License 2.0 (LICENSE).
Its text is the first part of LICENSE.Swift.txt.

The library contains
  parts of the Swift runtime   https://swift.org
                               Apache License 2.0 with Runtime Library Exception (LICENSE.Swift.txt)
  tables of Unicode data       https://www.unicode.org
                               Unicode License v3 (LICENSE.Unicode.txt)
"""
BUNDLED = """
Beside the library lie, unchanged, as the pyzmq project builds them ({source}):
  libzmq                       https://github.com/zeromq/libzmq
                               Mozilla Public License 2.0 (LICENSE.zeromq.txt)
  libsodium                    https://github.com/jedisct1/libsodium
                               ISC License (LICENSE.libsodium.txt)
"""


def licences(bundle=None):
    """{file name: text} of the licences and notices of a package. `bundle`: the libzmq in it (wheels.Bundle)."""
    texts = {
        "LICENSE": (ROOT / "LICENSE").read_text(),
        "LICENSE.Swift.txt": swift_license(),
        "LICENSE.Unicode.txt": (ROOT / "bindings/package/LICENSE.Unicode.txt").read_text(),
        "THIRD-PARTY.txt": NOTICES.format(version=version()),
    }
    if bundle:
        texts["THIRD-PARTY.txt"] += BUNDLED.format(source=bundle.source)
        texts |= bundle.licences
    return texts
