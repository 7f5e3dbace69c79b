"""efferent keys: pairs for bridges that other machines may reach, and who is allowed."""
import platform
import re
import shlex
from pathlib import Path

import typer

from . import keys
from ._command import app

group = typer.Typer(no_args_is_help=True, rich_markup_mode=None,
                    context_settings={"help_option_names": ["-h", "--help"]},
                    help="Keys for bridges that other machines may reach: this one's own, and those that are allowed.")
app.add_typer(group, name="keys")

Folder = typer.Option(None, "--keys", metavar="FOLDER",
                      help="where they are; left out: EFFERENT_KEYS, or ~/.config/efferent")


def _at(folder, name):
    return (folder or keys.folder()) / name


@group.command()
def new(folder: Path = Folder, force: bool = typer.Option(False, "--force", help="replace the pair that is there")):
    """Make this machine's pair, and print the line to paste on the other machine."""
    made = keys.new()
    path = keys.save(made, _at(folder, "key"), force)
    print(f"{path}: key {keys.fingerprint(made.public)}. On the other machine:\n")
    print(_line(made.public))


def _line(public):
    """What is pasted on the other machine. A key may begin with "-", which is no option there."""
    return " ".join(["efferent keys allow", *["--"][: public.startswith("-")], _host(), shlex.quote(public)])


@group.command()
def allow(name: str = typer.Argument(..., help="what the other machine is called here"),
          key: str = typer.Argument(..., help="its public key, in quotes"), folder: Path = Folder):
    """Let another machine connect to bridges here, and know it as a bridge. Bridges that run notice it."""
    path = keys.allow(name, key, _at(folder, "allowed"))
    print(f"{path}: '{name}' is allowed, key {keys.fingerprint(key)}")


@group.command("list")
def list_(folder: Path = Folder):
    """Show this machine's key and those that are allowed."""
    own = _at(folder, "key")
    if own.exists():
        public = keys.load(own).public
        print(f"own key {keys.fingerprint(public)} in {own}; on the other machine:")
        print("  " + _line(public))
    else:
        print(f"no own key in {own}: efferent keys new")
    entries = keys.allowed(_at(folder, "allowed"))
    print(f"{len(entries)} allowed in {_at(folder, 'allowed')}")
    for name, key in entries.items():
        print(f"  {name}  {keys.fingerprint(key)}")


@group.command()
def revoke(name: str = typer.Argument(..., help="as it was allowed"), folder: Path = Folder):
    """Let a machine connect no longer. Bridges that run end its connection."""
    print(f"{keys.revoke(name, _at(folder, 'allowed'))}: '{name}' is no longer allowed")


def _host():
    return re.sub(r"[^\w.@-]", "-", platform.node(), flags=re.ASCII)[:64] or "plant"
