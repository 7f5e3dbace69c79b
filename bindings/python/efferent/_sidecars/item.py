"""Values of a sidecar file together with the place where they stand, so that every refusal can name it."""
import json
import math
import re
from pathlib import Path

from ..errors import FileError, FormatError, MismatchError

MAXIMUM_BYTES = 16 << 20
MAXIMUM_DEPTH = 64


class Selection:
    """A Python slice as training code writes it. `all` where it takes everything."""

    def __init__(self, start, stop, step):
        self.start, self.stop, self.step = start, stop, step

    @property
    def all(self):
        return self.start is None and self.stop is None and self.step is None

    def of(self, count):
        return list(range(*slice(self.start, self.stop, self.step).indices(count)))


def describe(value):
    """A short text of a value, for messages."""
    if isinstance(value, dict):
        return f"a mapping of {len(value)} keys"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


# elements, frames and steps of a file: no robot has more, and memory is taken by them
MOST = 1 << 20


class Item:
    """One value, the file that it is from and its path in there, such as `observations.base_ang_vel.scale`."""

    def __init__(self, value, file, path=""):
        self.value, self.file, self.path = value, file, path

    # ---- messages ----

    @property
    def place(self):
        return f"{self.file}: '{self.path}'" if self.path else self.file

    def fail(self, kind, text):
        return kind(f"{self.place} {text}")

    def wrong(self, expected):
        return self.fail(FormatError, f"is {describe(self.value)}, expected {expected}")

    # ---- structure ----

    @property
    def is_mapping(self):
        return isinstance(self.value, dict)

    @property
    def is_null(self):
        return self.value is None

    def at(self, key):
        return f"{self.path}.{key}" if self.path else str(key)

    def mapping(self):
        if not self.is_mapping:
            raise self.wrong("a mapping")
        return self

    def has(self, key):
        return self.is_mapping and self.value.get(key) is not None

    def get(self, key):
        """The value of a key, or None where it is missing or null."""
        self.mapping()
        return Item(self.value[key], self.file, self.at(key)) if self.value.get(key) is not None else None

    def __getitem__(self, key):
        self.mapping()
        if key not in self.value:
            raise FormatError(f"{self.file}: '{self.at(key)}' is missing")
        return Item(self.value[key], self.file, self.at(key))

    def keys(self):
        return list(self.mapping().value)

    def items(self):
        """Pairs of key and item. Keys are texts: YAML may have read a number."""
        return [(str(k), Item(v, self.file, self.at(k))) for k, v in self.mapping().value.items()]

    def list(self):
        if not isinstance(self.value, list):
            raise self.wrong("a list")
        return [Item(v, self.file, f"{self.path}[{i}]") for i, v in enumerate(self.value)]

    # ---- values ----

    def number(self, positive=False):
        v = self.value
        if isinstance(v, bool) or not isinstance(v, (int, float)):
            raise self.wrong("a number")
        if not math.isfinite(v):
            raise self.fail(FormatError, f"is {v}, expected a finite number")
        if positive and v <= 0:
            raise self.fail(FormatError, f"is {v}, expected a number above 0")
        return v

    def integer(self, least=None):
        v = self.number()
        if v != int(v) or (least is not None and v < least):
            raise self.wrong("a whole number" + ("" if least is None else f" of at least {least}"))
        if abs(v) > MOST:
            raise self.fail(FormatError, f"is {v}, expected a whole number of at most {MOST}")
        return int(v)

    def flag(self):
        if not isinstance(self.value, bool):
            raise self.wrong("true or false")
        return self.value

    def text(self):
        if not isinstance(self.value, str) or not self.value.strip():
            raise self.wrong("a text")
        return self.value

    def numbers(self, count=None, of="values"):
        """A list of finite numbers, `count` of them where that is known."""
        values = [i.number() for i in self.list()]
        if count is not None and len(values) != count:
            raise self.fail(FormatError, f"has {len(values)} {of}, expected {count}")
        return values

    def per(self, count):
        """One number for each of `count` values: a number for all, or a list."""
        return self.numbers(count) if isinstance(self.value, list) else [self.number()] * count

    def names(self, unique=True):
        names = [i.text() for i in self.list()]
        if unique and len(set(names)) != len(names):
            twice = next(n for n in names if names.count(n) > 1)
            raise self.fail(FormatError, f"names '{twice}' twice")
        return names

    def range(self):
        """A pair of bounds, the lower one first."""
        low, high = self.numbers(2, "bounds")
        if low > high:
            raise self.fail(FormatError, f"is [{low}, {high}]: the lower bound is above the upper one")
        return [low, high]

    def indices(self, count, what, unique=True):
        """Positions below `count` in `what`."""
        found = [i.integer(0) for i in self.list()]
        for i in found:
            if count is not None and i >= count:
                raise self.fail(MismatchError, f"names index {i}, but {what} has {count} entries (0 to {count - 1})")
        if unique:
            for i in found:
                if found.count(i) > 1:
                    raise self.fail(MismatchError, f"names index {i} twice")
        return found


def same(values):
    """One number where all are equal, else the list: both mean the same in a card."""
    return values[0] if values and all(v == values[0] for v in values) else list(values)


# ---- files ----

def read_bytes(path):
    path = Path(path)
    try:
        size = path.stat().st_size
        if size > MAXIMUM_BYTES:
            raise FormatError(f"{path.name}: {size} bytes, expected a sidecar of at most {MAXIMUM_BYTES}")
        return path.read_bytes()
    except OSError as e:
        raise FileError(f"{path}: cannot be read: {e.strerror or e}") from None


def read(path):
    """The content of a YAML or JSON file as an Item."""
    path = Path(path)
    data = read_bytes(path)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as e:
        raise FormatError(f"{path.name}: not a text in UTF-8 at byte {e.start}") from None
    value = _json(text, path.name) if path.suffix.lower() == ".json" else _yaml(text, path.name)
    _check_depth(value, path.name)
    return Item(value, path.name)


def _check_depth(value, name):
    """Refuses values that nest deeper than any sidecar does, or that contain themselves."""
    level = [value]
    for _ in range(MAXIMUM_DEPTH):
        level = [v for x in {id(x): x for x in level}.values()
                 for v in (x.values() if isinstance(x, dict) else x if isinstance(x, list) else ())]
        level = [v for v in level if isinstance(v, (dict, list))]
        if not level:
            return
    raise FormatError(f"{name}: values are nested more than {MAXIMUM_DEPTH} deep")


def _unique(pairs, name):
    out = {}
    for key, value in pairs:
        if key in out:
            raise FormatError(f"{name}: the key '{key}' is there twice")
        out[key] = value
    return out


def _json(text, name):
    try:
        return json.loads(text, object_pairs_hook=lambda pairs: _unique(pairs, name))
    except RecursionError:
        raise FormatError(f"{name}: values are nested too deep") from None
    except ValueError as e:
        if isinstance(e, FormatError):
            raise
        raise FormatError(f"{name}: not JSON: {e}") from None


def _yaml(text, name):
    try:
        import yaml
    except ImportError:
        raise FileError(f"{name}: reading YAML needs PyYAML: pip install 'efferent[card]'") from None
    try:
        documents = list(yaml.load_all(text, Loader=_loader()))
    except yaml.YAMLError as e:
        raise FormatError(f"{name}: not YAML: {' '.join(str(e).split())}") from None
    except RecursionError:
        raise FormatError(f"{name}: values are nested too deep") from None
    except _Twice as e:
        raise FormatError(f"{name}: the key '{e.key}' is there twice") from None
    if len(documents) != 1:
        raise FormatError(f"{name}: holds {len(documents)} YAML documents, expected one")
    return documents[0]


class _Twice(Exception):
    def __init__(self, key):
        super().__init__(key)
        self.key = key


_cached = None


def _loader():
    """PyYAML's safe loader, for what training code dumps: Python's tuples and slices are lists and Selections, other
    Python tags are ignored and nothing is executed. Numbers are JSON's (YAML 1.1 reads 1e-3 as text and 1:30 as
    ninety). A key may stand only once."""
    global _cached
    if _cached is not None:
        return _cached
    import yaml

    class Loader(yaml.SafeLoader):
        pass

    number = {"tag:yaml.org,2002:float", "tag:yaml.org,2002:int", "tag:yaml.org,2002:timestamp"}
    Loader.yaml_implicit_resolvers = {
        first: [(tag, rule) for tag, rule in rules if tag not in number]
        for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()}
    Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"^(?:[-+]?[0-9]+|0x[0-9a-fA-F]+)$"),
                                 list("-+0123456789"))
    # the first rule that matches wins: whole numbers stand before
    Loader.add_implicit_resolver(
        "tag:yaml.org,2002:float",
        re.compile(
            r"^(?:[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"
        ),
        list("-+0123456789."),
    )

    def whole(loader, node):
        text = loader.construct_scalar(node)
        return int(text, 16) if text.startswith("0x") else int(text)

    def real(loader, node):
        text = loader.construct_scalar(node).lower()
        return float(text.replace(".inf", "inf").replace(".nan", "nan"))

    def mapping(loader, node):
        loader.flatten_mapping(node)
        seen = set()
        for key, _ in node.value:
            k = loader.construct_object(key, deep=True)
            if not isinstance(k, (str, int, float, bool, type(None))):
                raise yaml.YAMLError(f"a key that is no text at line {key.start_mark.line + 1}")
            if k in seen:
                raise _Twice(k)
            seen.add(k)
        made = {}
        yield made
        made.update(yaml.SafeLoader.construct_mapping(loader, node, deep=True))

    def python(loader, suffix, node):
        if suffix == "object/apply:builtins.slice":
            arguments = loader.construct_sequence(node, deep=True)
            if len(arguments) == 3 and all(a is None or isinstance(a, int) for a in arguments):
                return Selection(*arguments)
        if isinstance(node, yaml.SequenceNode):
            return loader.construct_sequence(node, deep=True)
        if isinstance(node, yaml.MappingNode):
            return loader.construct_mapping(node, deep=True)
        return suffix + loader.construct_scalar(node) if suffix.startswith("name:") else loader.construct_scalar(node)

    Loader.add_constructor("tag:yaml.org,2002:int", whole)
    Loader.add_constructor("tag:yaml.org,2002:float", real)
    Loader.add_constructor("tag:yaml.org,2002:map", mapping)
    Loader.add_multi_constructor("tag:yaml.org,2002:python/", python)
    _cached = Loader
    return Loader
