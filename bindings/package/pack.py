"""bindings/package.sh calls this: pack.py ARCH PREFIX DIST | client DIST | sums DIST."""

import hashlib
import json
import sys
import uuid
from datetime import datetime, timezone
from pathlib import Path

sys.dont_write_bytecode = True

import debs  # noqa: E402
import wheels  # noqa: E402
from facts import EPOCH, SUMMARY, version  # noqa: E402

# what packages contain: name, version, licence, home; the version of what comes with a build is that of its wheel
PARTS = [
    ("Swift runtime parts", "Apache-2.0 WITH Swift-exception", "https://swift.org"),
    ("Unicode data tables", "Unicode-3.0", "https://www.unicode.org"),
    ("libzmq", "MPL-2.0", "https://github.com/zeromq/libzmq"),
    ("libsodium", "ISC", "https://github.com/jedisct1/libsodium"),
]


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def identifier(name):
    return "SPDXRef-" + "".join(c if c.isalnum() or c in ".-" else "-" for c in name)


def spdx(folder, files):
    """SPDX 2.3 of everything in dist/: the packages with their sums, and what is inside of them."""
    number = version()
    sums = {p.name: digest(p) for p in files}
    packages = [
        {
            "SPDXID": "SPDXRef-efferent",
            "name": "efferent",
            "versionInfo": number,
            "summary": SUMMARY,
            "downloadLocation": "NOASSERTION",
            "filesAnalyzed": False,
            "licenseDeclared": "Apache-2.0",
            "licenseConcluded": "Apache-2.0",
            "copyrightText": "The Efferent authors",
        }
    ]
    relations = [("SPDXRef-DOCUMENT", "DESCRIBES", "SPDXRef-efferent")]
    for name, licence, home in PARTS:
        packages.append(
            {
                "SPDXID": identifier(name),
                "name": name,
                "downloadLocation": home,
                "filesAnalyzed": False,
                "licenseDeclared": licence,
                "licenseConcluded": licence,
                "copyrightText": "NOASSERTION",
            }
        )
    for name in sorted(sums):
        packages.append(
            {
                "SPDXID": identifier(name),
                "name": name,
                "versionInfo": number,
                "packageFileName": name,
                "downloadLocation": "NOASSERTION",
                "filesAnalyzed": False,
                "licenseDeclared": "NOASSERTION",
                "licenseConcluded": "NOASSERTION",
                "copyrightText": "NOASSERTION",
                "checksums": [{"algorithm": "SHA256", "checksumValue": sums[name]}],
            }
        )
        relations.append((identifier(name), "GENERATED_FROM", "SPDXRef-efferent"))
        pure = "-py3-none-any" in name
        inside = [] if pure else PARTS if name.endswith(".whl") else PARTS[:2]
        relations += [(identifier(name), "CONTAINS", identifier(part)) for part, _, _ in inside]
    unique = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(sums, sort_keys=True))
    document = {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": f"efferent-{number}",
        "documentNamespace": f"https://spdx.org/spdxdocs/efferent-{number}-{unique}",
        "creationInfo": {
            "created": datetime.fromtimestamp(EPOCH, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "creators": ["Tool: efferent-package"],
        },
        "packages": packages,
        "relationships": [
            {"spdxElementId": a, "relationshipType": r, "relatedSpdxElement": b} for a, r, b in relations
        ],
    }
    out = folder / f"efferent-{number}.spdx.json"
    out.write_text(json.dumps(document, indent=1, sort_keys=True) + "\n")
    return out


def main(what, *arguments):
    if what == "client":
        wheels.client(arguments[0])
    elif what == "sums":
        folder = Path(arguments[0])
        files = sorted(p for p in folder.iterdir() if p.name.endswith((".whl", ".tar.gz", ".deb")))
        files = sorted([*files, spdx(folder, files)])
        (folder / "SHA256SUMS").write_text("".join(f"{digest(p)}  {p.name}\n" for p in files))
    else:
        wheels.native(what, *arguments)
        debs.tarball(what, *arguments)
        debs.pair(what, *arguments)


main(*sys.argv[1:])
