"""Every single change of a card: each number, truth and order, one at a time. Used by test_preflight."""
import copy


def changes(content):
    """(path, card with one change) of every number, truth and list of a card."""
    for path in _places(content):
        for what, value in _changed(_at(content, path)):
            made = copy.deepcopy(content)
            _at(made, path[:-1])[path[-1]] = value
            yield _text(path) + what, made


def _places(node, path=()):
    if path:
        yield path
    for key, value in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
        yield from _places(value, (*path, key))


def _changed(value):
    if isinstance(value, bool):
        yield "", not value
    elif isinstance(value, int):
        yield "", value + 1
    elif isinstance(value, float):
        yield "", value * 1.1 + 0.0317  # no number of a card stays as it is
    elif isinstance(value, list) and len(value) > 1:
        for what, other in (("<swap>", [value[1], value[0], *value[2:]]), ("<reverse>", value[::-1])):
            if other != value:
                yield what, other


def _at(node, path):
    for key in path:
        node = node[key]
    return node


def _text(path):
    return "".join(f"[{k}]" if isinstance(k, int) else f".{k}" for k in path).lstrip(".")
