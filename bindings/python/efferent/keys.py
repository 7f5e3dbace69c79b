"""Keys for bridges over tcp (CURVE): a pair for each machine, and a list of those that are allowed.

    efferent keys new                    on each machine: makes its pair and prints the line to paste on the other
    efferent keys allow robot 'KEY'      that line, on the other machine

A key is 40 characters of Z85. The folder is EFFERENT_KEYS, or ~/.config/efferent: the file `key` has the machine's own
pair, `allowed` a line NAME KEY for each other machine. Both are refused where others may read or write them. A secret
key may also stand in EFFERENT_SECRET_KEY.
"""
from __future__ import annotations

import os
import re
import stat
import tempfile
from pathlib import Path
from typing import NamedTuple

from .errors import ArgumentError, FileError, FormatError, UnsupportedError

ENVIRONMENT = "EFFERENT_SECRET_KEY"


class Key(NamedTuple):
    """A pair of keys as text."""

    public: str
    secret: str

    def __repr__(self):
        return f"Key({self.public!r}, secret)"


def folder() -> Path:
    """Where keys are kept: EFFERENT_KEYS, or ~/.config/efferent."""
    told = os.environ.get("EFFERENT_KEYS")
    return Path(told) if told else Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "efferent"


def checked(text: str, what: str = "key", secret: bool = False) -> str:
    """The text of a key; ArgumentError where it is none. A secret one is not repeated."""
    if not re.fullmatch(r"[0-9a-zA-Z.\-:+=^!/*?&<>()\[\]{}@%$#]{40}", text):
        found = f"{len(text)} characters" if secret else f"'{text}' of {len(text)} characters"
        raise ArgumentError(f"{what}: {found}, expected 40 characters of Z85")
    return text


def fingerprint(public: str) -> str:
    """The first characters of a public key, for people to compare."""
    return public[:12]


def _supported():
    import zmq  # reading lists and files needs none

    if not zmq.has("curve"):
        raise UnsupportedError("keys: this libzmq is built without CURVE (libsodium): pip install pyzmq")
    return zmq


def new() -> Key:
    """A new pair. Its public key does not begin with "-", which a command line would take for an option."""
    zmq = _supported()
    public, secret = zmq.curve_keypair()
    while public.startswith(b"-"):
        public, secret = zmq.curve_keypair()
    return Key(public.decode(), secret.decode())


def of_secret(secret: str, what: str = "secret key") -> Key:
    """The pair of a secret key."""
    zmq = _supported()
    return Key(zmq.curve_public(checked(secret, what, secret=True).encode()).decode(), secret)


def _lines(path):
    """The words of each line, with its number; FileError where others may read or write the file."""
    path = Path(path)
    try:
        with open(path, encoding="ascii") as file:
            found = os.fstat(file.fileno())
            text = file.read()
    except UnicodeDecodeError:
        raise FormatError(f"{path}: not text, expected lines of NAME KEY") from None
    except OSError as e:
        raise FileError(f"{path}: {e.strerror}") from None
    if found.st_mode & 0o077 or found.st_uid not in (os.geteuid(), 0):
        mode = stat.S_IMODE(found.st_mode)
        raise FileError(f"{path}: mode {mode:04o} of user {found.st_uid}, expected 0600 of this one (chmod 600)")
    lines = enumerate(text.split("\n"), 1)
    return [(i, line.split()) for i, line in lines if line.strip() and not line.startswith("#")]


def _write(path, text):
    """Puts a file of mode 0600 in place by a rename."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=".", delete=False) as file:  # its mode is 0600
        file.write(text)
    os.replace(file.name, path)


def save(key: Key, path: str | Path | None = None, force: bool = False) -> Path:
    """Writes a pair to a file of mode 0600."""
    path = folder() / "key" if path is None else Path(path)
    if path.exists() and not force:
        raise FileError(f"{path} is there already: plants and bridges know it; --force replaces it")
    head = "# made by efferent keys new; the secret one is for this machine alone"
    _write(path, f"{head}\npublic {key.public}\nsecret {key.secret}\n")
    return path


def load(source: str | Path | Key | None = None) -> Key:
    """The machine's own pair: of a file, or EFFERENT_SECRET_KEY, or the file `key` of the folder."""
    if isinstance(source, Key):
        return of_secret(source.secret)
    if source is None and os.environ.get(ENVIRONMENT):
        return of_secret(os.environ[ENVIRONMENT].strip(), ENVIRONMENT)
    path = folder() / "key" if source is None else Path(source)
    if source is None and not path.exists():
        raise FileError(f"{path}: no such file: make a pair with 'efferent keys new', or set {ENVIRONMENT}")
    for number, words in _lines(path):
        if words[0] == "secret" and len(words) == 2:
            return of_secret(words[1], f"{path} line {number}")
    raise FormatError(f"{path}: no line 'secret KEY', expected a file that 'efferent keys new' made")


def allowed(path: str | Path | None = None) -> dict[str, str]:
    """The list of other machines, {name: public key}; empty where there is none yet."""
    path = folder() / "allowed" if path is None else Path(path)
    if not path.exists():
        return {}
    found = {}
    for number, words in _lines(path):
        if len(words) != 2:
            raise FormatError(f"{path} line {number}: {len(words)} words, expected NAME KEY")
        found[words[0]] = checked(words[1], f"{path} line {number}")
    return found


def allow(name: str, public: str, path: str | Path | None = None) -> Path:
    """Adds a machine to the list. One of that name must be revoked first."""
    path = folder() / "allowed" if path is None else Path(path)
    if not re.fullmatch(r"[\w.@-]{1,64}", name, re.ASCII):
        raise ArgumentError(f"name '{name}', expected 1 to 64 letters, digits and . _ @ -")
    checked(public)
    entries = allowed(path)
    if entries.get(name, public) != public:
        found = fingerprint(entries[name])
        raise ArgumentError(f"'{name}' has key {found} already: revoke it first, or take another name")
    _save(path, {**entries, name: public})
    return path


def revoke(name: str, path: str | Path | None = None) -> Path:
    """Takes a machine off the list."""
    path = folder() / "allowed" if path is None else Path(path)
    entries = allowed(path)
    if name not in entries:
        raise ArgumentError(f"'{name}' is not in {path}, which has {', '.join(map(repr, entries)) or 'nobody'}")
    del entries[name]
    _save(path, entries)
    return path


def _save(path, entries):
    head = "# who may connect: NAME KEY, by efferent keys allow and revoke\n"
    _write(path, head + "".join(f"{n} {k}\n" for n, k in entries.items()))


def server(told: str) -> str:
    """The public key of a bridge: as told, or by its name in the list."""
    if len(told) == 40:
        return checked(told, "server_key")
    entries = allowed()
    if told not in entries:
        raise ArgumentError(
            f"server_key '{told}' is neither a key of 40 characters nor a name in {folder() / 'allowed'}, "
            f"which has {', '.join(map(repr, entries)) or 'nobody'}"
        )
    return entries[told]


def is_local(endpoint: str) -> bool:
    """Whether an endpoint is on this machine as far as its text tells."""
    match = re.match(r"tcp://(?:[^;]*;)?(.*):[^:]*$", endpoint)
    if match is None:
        return True
    host = match[1]
    return host in ("localhost", "[::1]") or re.fullmatch(r"127(\.\d{1,3}){3}", host) is not None
