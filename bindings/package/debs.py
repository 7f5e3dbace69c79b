"""Tarball and Debian packages out of an installed prefix."""

import gzip
import io
import os
import tarfile
import tempfile
from email.utils import formatdate
from pathlib import Path

from facts import DEBIAN, EPOCH, ROOT, SUMMARY, fail, licences, newest, run, series, version

MAINTAINER = "The Efferent authors <efferent@localhost>"
LONG = """ Loads the policies that trainers export (ONNX, safetensors) and steps them inside
 a control loop without allocation, keeps learning while it runs, and serves
 simulators and robot controllers over ZeroMQ. Swift is not needed."""


def tarball(arch, prefix, folder):
    """efferent-VERSION-linux-ARCH.tar.gz: what install.sh puts into a prefix, and the licences."""
    top = f"efferent-{version()}-linux-{arch}"
    out = Path(folder) / f"{top}.tar.gz"
    prefix = Path(prefix)
    with (
        out.open("wb") as raw,
        gzip.GzipFile("", "wb", 9, raw, mtime=EPOCH) as packed,
        tarfile.open(mode="w", fileobj=packed, format=tarfile.GNU_FORMAT) as tar,
    ):

        def add(name, data=None, mode=0o644, link=None):
            entry = tarfile.TarInfo(f"{top}/{name}")
            entry.mtime, entry.mode = EPOCH, mode
            if link:
                entry.type, entry.linkname, entry.mode = tarfile.SYMTYPE, link, 0o777
            entry.size = len(data or b"")
            tar.addfile(entry, io.BytesIO(data or b""))

        for path in sorted(p for p in prefix.rglob("*") if p.is_symlink() or p.is_file()):
            name = str(path.relative_to(prefix))
            if path.is_symlink():
                add(name, link=os.readlink(path))
            elif not name.endswith(".debug"):
                add(name, path.read_bytes(), 0o755 if ".so" in name else 0o644)
        for name, text in sorted(licences().items()):
            add(f"share/licenses/efferent/{name}", text.encode())
    return out


def fill(template, arch):
    """A template of bindings/c for Debian's folders."""
    number = version()
    text = (ROOT / "bindings/c" / template).read_text()
    values = {
        "VERSION": number,
        "MAJOR": number.split(".")[0],
        "BRIDGE": "1",
        "SONAME": f"libefferent.so.{series(number)}",
        "PREFIX": "../../..",
        "INCLUDE": "../../../../include",
    }
    for key, value in values.items():
        text = text.replace(f"@{key}@", value)
    return text


def copyright_text():
    texts = licences()
    return f"{texts['LICENSE']}\n{texts['THIRD-PARTY.txt']}\n" + "\n".join(
        f"---- {n} ----\n\n{t}" for n, t in sorted(texts.items()) if n.startswith("LICENSE.")
    )


def package(name, arch, files, links, control, folder, extra=None):
    """Writes one .deb. files: {path: (bytes, mode)}."""
    number = version()
    debian = DEBIAN[arch][0]
    changelog = (
        f"efferent ({number}) unstable; urgency=medium\n\n  * Version {number}.\n\n"
        f" -- {MAINTAINER}  {formatdate(EPOCH)}\n"
    )
    files = {
        **files,
        f"usr/share/doc/{name}/copyright": (copyright_text().encode(), 0o644),
        f"usr/share/doc/{name}/changelog.gz": (gzip.compress(changelog.encode(), 9, mtime=EPOCH), 0o644),
    }
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        root.chmod(0o755)
        for path, (data, mode) in files.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_bytes(data)
            (root / path).chmod(mode)
        for path, target in links.items():
            (root / path).symlink_to(target)
        size = sum(-(-len(d) // 1024) for d, _ in files.values())
        (root / "DEBIAN").mkdir()
        (root / "DEBIAN/control").write_text(
            f"Package: {name}\nSource: efferent\nVersion: {number}\nArchitecture: {debian}\n"
            f"Maintainer: {MAINTAINER}\n"
            f"Installed-Size: {size}\n{control}Priority: optional\nMulti-Arch: same\nDescription: {SUMMARY}\n{LONG}\n"
        )
        for file, text in (extra or {}).items():
            (root / "DEBIAN" / file).write_text(text)
        out = Path(folder) / f"{name}_{number}_{debian}.deb"
        for path in [*root.rglob("*"), root]:  # dpkg-deb clamps newer times alone
            os.utime(path, (EPOCH, EPOCH), follow_symlinks=False)
        run("dpkg-deb", "--root-owner-group", "-Zxz", "--build", root, out)
    return out


def pair(arch, prefix, folder):
    """libefferent0, which programs need, and libefferent-dev, which building them needs."""
    prefix, number = Path(prefix), version()
    soname, lib = f"libefferent.so.{series(number)}", f"usr/lib/{DEBIAN[arch][1]}"
    shared = prefix / f"lib/libefferent.so.{number}"
    if not shared.is_file():
        fail(f"{shared} is missing: install.sh puts it there")
    major, minor = newest(shared)
    low, high = series(number), number.split(".")
    after = f"0.{int(high[1]) + 1}~" if high[0] == "0" else f"{int(high[0]) + 1}~"
    runtime = package(
        "libefferent0",
        arch,
        {f"{lib}/libefferent.so.{number}": (shared.read_bytes(), 0o644)},
        {f"{lib}/{soname}": shared.name},
        f"Depends: libc6 (>= {major}.{minor})\nRecommends: libzmq5\nSection: libs\n",
        folder,
        {
            "shlibs": f"libefferent {low} libefferent0 (>= {low}), libefferent0 (<< {after})\n",
            "triggers": "activate-noawait ldconfig\n",
        },
    )
    files = {
        f"usr/include/efferent/{p.name}": (p.read_bytes(), 0o644)
        for p in sorted((prefix / "include/efferent").iterdir())
    }
    files[f"{lib}/libefferent.a"] = ((prefix / "lib/libefferent.a").read_bytes(), 0o644)
    for name in ("libefferent_receiver.a", "libefferent_receiver_local.a"):
        files[f"{lib}/{name}"] = ((prefix / "lib" / name).read_bytes(), 0o644)
    for path in sorted((prefix / "share/efferent/receiver").iterdir()):
        files[f"usr/share/efferent/receiver/{path.name}"] = (path.read_bytes(), 0o644)
    for name in ("efferent.pc", "efferent-receiver.pc", "efferent-receiver-local.pc"):
        files[f"{lib}/pkgconfig/{name}"] = (fill(f"{name}.in", arch).encode(), 0o644)
    for name in ("efferentConfig.cmake", "efferentConfigVersion.cmake"):
        files[f"{lib}/cmake/efferent/{name}"] = (fill(f"cmake/{name}.in", arch).encode(), 0o644)
    development = package(
        "libefferent-dev",
        arch,
        files,
        {f"{lib}/libefferent.so": soname},
        f"Depends: libefferent0 (= {number}), libc6-dev\nSuggests: libzmq3-dev\nSection: libdevel\n",
        folder,
    )
    return runtime, development
