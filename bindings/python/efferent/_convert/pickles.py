"""Reads pickles without unpickling: a machine of its own for the opcodes that data needs, over a closed table of names.

No class is imported and nothing of the file is called. A name outside the table is refused with its name; what comes
out is plain containers, numbers, texts, arrays and `Record`s (the class by name and its state as data).
"""
import pickletools

import numpy as np

from ..errors import Error, FormatError, UnsupportedError

SCALARS = (str, int, float, bytes, bool, type(None))


class Record:
    """An object of a class that is known by name alone."""

    def __init__(self, kind, args=()):
        self.kind, self.args, self.state = kind, args, {}

    def get(self, *names, default=None):
        """The first of these attributes that the object has."""
        for name in names:
            if name in self.state:
                return self.state[name]
        return default

    def __repr__(self):
        return f"<{self.kind}>"


class Name:
    """A global that may be in a pickle: `make` takes its arguments where it may be called."""

    def __init__(self, text, make=None, new=None):
        self.text, self.make, self.new = text, make, new


class PendingArray:
    """An array between its reconstruction and its state."""

    value = None

    def build(self, state):
        if not isinstance(state, tuple) or len(state) != 5:
            raise FormatError("the state of an array is not what numpy writes")
        _, shape, dtype, fortran, data = state
        self.value = array_of(data, dtype, shape, "F" if fortran else "C")


class PendingType:
    """A dtype between its construction and its state, which holds the byte order."""

    def __init__(self, code):
        code = code.decode("ascii", "replace") if isinstance(code, bytes) else code
        if not isinstance(code, str) or code.lstrip("<>=|") not in {"f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1",
                                                                    "u2", "u4", "u8", "b1"}:
            raise UnsupportedError(f"an array of type {code!r:.40} is refused, expected numbers")
        self.value = np.dtype(code)

    def build(self, state):
        order = state[1] if isinstance(state, tuple) and len(state) > 1 else "|"
        order = order.decode("ascii", "replace") if isinstance(order, bytes) else order
        if order in ("<", ">", "=", "|"):
            self.value = self.value.newbyteorder(order)


def array_of(data, dtype, shape, order="C"):
    dtype = getattr(dtype, "value", dtype)
    if (
        not isinstance(dtype, np.dtype)
        or not isinstance(shape, tuple)
        or not all(type(n) is int and 0 <= n < 1 << 40 for n in shape)
    ):
        raise FormatError("an array has no type or no shape")
    if isinstance(data, str):  # bytes of protocol 2, as latin-1
        data = data.encode("latin-1", "replace")
    count = 1
    for n in shape:
        count *= n
    if not isinstance(data, (bytes, bytearray)) or count * dtype.itemsize != len(data):
        raise FormatError(f"an array of {list(shape)} {dtype} does not have the bytes that it needs")
    return np.frombuffer(data, dtype).reshape(shape, order=order)


def _scalar(dtype, data=b""):
    return array_of(data, dtype, ()).item()


def _frombuffer(data, dtype, shape, order="C"):
    return array_of(data, dtype, shape, order if order in ("C", "F") else "C")


def _encode(text, encoding="latin1"):
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise FormatError("bytes are not written as latin-1")
    return text.encode("latin-1", "replace")


def _pairs(items=()):
    return dict(items) if isinstance(items, (list, tuple)) and all(isinstance(p, (list, tuple)) and len(p) == 2
                                                                   and isinstance(p[0], SCALARS) for p in items) else {}


def names(*modules, **made):
    return {f"{module} {name}": make for module in modules for name, make in made.items()}


def record(text):
    """A class whose objects come out as records, however they were made."""
    return Name(text, make=lambda *args: Record(text, args), new=lambda *args: Record(text, args))


_MULTIARRAY = ("numpy.core.multiarray", "numpy._core.multiarray", "numpy.core.numeric", "numpy._core.numeric", "numpy")
PLAIN = {
    **names(*_MULTIARRAY, _reconstruct=lambda *_: PendingArray(), scalar=_scalar, _frombuffer=_frombuffer, ndarray=None,
            dtype=lambda code="", *_: PendingType(code)),
    **names("collections", OrderedDict=_pairs),
    **names("_codecs", encode=_encode),
    **names("builtins", "__builtin__", set=lambda items=(): list(items), frozenset=lambda items=(): list(items),
            slice=lambda *a: a, list=None, dict=None, float=None, int=None, bool=None, str=None, tuple=None),
}
# numpy's scalar types appear as dtypes by name
PLAIN |= {f"numpy {t}": None
          for t in ("float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32",
                    "uint64", "bool_")}


class Machine:
    """Runs one pickle. `admitted` maps "module name" to what its call gives, or to a `Name`; `persistent` resolves
    persistent ids."""

    def __init__(self, admitted, persistent=None, what="the pickle"):
        self.admitted, self.persistent, self.what = admitted, persistent, what
        self.stack, self.marks, self.memo = [], [], {}

    def run(self, data):
        try:
            for opcode, argument, at in pickletools.genops(data):
                if opcode.name == "STOP":
                    return _settled(self.stack.pop())
                getattr(self, "do_" + opcode.name, self._refuse(opcode.name))(argument)
        except Error as e:
            raise type(e)(f"{self.what}: {e}") from None
        except (ValueError, TypeError, IndexError, KeyError, AttributeError, OverflowError, UnicodeError,
                MemoryError) as e:
            raise FormatError(f"{self.what} is damaged: {type(e).__name__}: {str(e)[:200]}") from None
        raise FormatError(f"{self.what} is cut short")

    def _refuse(self, name):
        def refuse(_):
            raise UnsupportedError(f"it uses {name}, which no checkpoint needs")
        return refuse

    # ---- values ----

    def push(self, value):
        self.stack.append(value)

    def _push_argument(self, argument):
        self.stack.append(argument)

    do_INT = do_BININT = do_BININT1 = do_BININT2 = do_LONG = do_LONG1 = do_LONG4 = do_FLOAT = do_BINFLOAT = (
        _push_argument
    )
    do_STRING = do_BINSTRING = do_SHORT_BINSTRING = do_UNICODE = do_BINUNICODE = do_SHORT_BINUNICODE = (
        do_BINUNICODE8
    ) = _push_argument
    do_BINBYTES = do_SHORT_BINBYTES = do_BINBYTES8 = do_BYTEARRAY8 = _push_argument

    def do_NONE(self, _): self.push(None)
    def do_NEWTRUE(self, _): self.push(True)
    def do_NEWFALSE(self, _): self.push(False)
    def do_EMPTY_LIST(self, _): self.push([])
    def do_EMPTY_DICT(self, _): self.push({})
    def do_EMPTY_TUPLE(self, _): self.push(())
    def do_EMPTY_SET(self, _): self.push([])
    def do_PROTO(self, _): pass
    def do_FRAME(self, _): pass
    def do_POP(self, _): self.stack.pop()
    def do_DUP(self, _): self.push(self.stack[-1])
    def do_MARK(self, _): self.marks.append(len(self.stack))

    def since_mark(self):
        at = self.marks.pop()
        items, self.stack[at:] = self.stack[at:], []
        return items

    def do_POP_MARK(self, _): self.since_mark()
    def do_LIST(self, _): self.push([_settled(v) for v in self.since_mark()])
    def do_TUPLE(self, _): self.push(tuple(_settled(v) for v in self.since_mark()))
    def do_FROZENSET(self, _): self.push(self.since_mark())
    def do_TUPLE1(self, _): self._tuple(1)
    def do_TUPLE2(self, _): self._tuple(2)
    def do_TUPLE3(self, _): self._tuple(3)

    def _tuple(self, n):
        items, self.stack[-n:] = self.stack[-n:], []
        self.push(tuple(_settled(v) for v in items))

    def do_DICT(self, _):
        items = self.since_mark()
        self.push({})
        self._set(items)

    # ---- filling containers ----

    def do_APPEND(self, _): self._extend([self.stack.pop()])
    def do_APPENDS(self, _): self._extend(self.since_mark())
    do_ADDITEMS = do_APPENDS

    def _extend(self, items):
        if not isinstance(self.stack[-1], list):
            raise FormatError("items are added to what is no list")
        self.stack[-1].extend(_settled(v) for v in items)

    def do_SETITEM(self, _):
        value, key = self.stack.pop(), self.stack.pop()
        self._set([key, value])

    def do_SETITEMS(self, _): self._set(self.since_mark())

    def _set(self, items):
        target = self.stack[-1].state if isinstance(self.stack[-1], Record) else self.stack[-1]
        if not isinstance(target, dict) or len(items) % 2:
            raise FormatError("keys are set on what is no dictionary")
        for key, value in zip(items[::2], items[1::2]):
            if not isinstance(key,
                              SCALARS) and not (isinstance(key, tuple) and all(isinstance(k, SCALARS) for k in key)):
                raise FormatError(f"a key is a {type(key).__name__}, expected a text or a number")
            target[key] = _settled(value)

    # ---- the memo ----

    def _get(self, i): self.push(self.memo[int(i)])
    do_GET = do_BINGET = do_LONG_BINGET = _get

    def _put(self, i): self.memo[int(i)] = self.stack[-1]
    do_PUT = do_BINPUT = do_LONG_BINPUT = _put

    def do_MEMOIZE(self, _): self.memo[len(self.memo)] = self.stack[-1]

    # ---- names, calls and state: where a pickle could do harm ----

    def do_GLOBAL(self, argument): self._name(argument)

    def do_STACK_GLOBAL(self, _):
        name, module = self.stack.pop(), self.stack.pop()
        if not isinstance(name, str) or not isinstance(module, str):
            raise FormatError("a name is not a text")
        self._name(f"{module} {name}")

    def _name(self, text):
        if text not in self.admitted:
            module, _, name = text.partition(" ")
            raise UnsupportedError(
                f"it holds '{module}.{name}'"[:300]
                + ", which is refused: only tensors, arrays and plain containers are read, and nothing is called"
            )
        found = self.admitted[text]
        self.push(found if isinstance(found, Name) else Name(text, make=found))

    def _called(self, make, what):
        arguments, callee = self.stack.pop(), self.stack.pop()
        function = getattr(callee, make, None) if isinstance(callee, Name) else None
        if function is None or not isinstance(arguments, tuple):
            name = callee.text.replace(" ", ".") if isinstance(callee, Name) else "something without a name"
            raise UnsupportedError(f"it {what} {name}, which is refused")
        self.push(function(*arguments))

    def do_REDUCE(self, _): self._called("make", "calls")
    def do_NEWOBJ(self, _): self._called("new", "makes an object of")

    def do_BUILD(self, _):
        state, target = _settled(self.stack.pop()), self.stack[-1]
        if isinstance(target, (PendingArray, PendingType)):
            target.build(state)
        elif isinstance(target, Record):
            parts = state if isinstance(state, tuple) else (state,)
            for part in parts:
                if isinstance(part, dict):
                    target.state.update((k, v) for k, v in part.items() if isinstance(k, str))
        elif not isinstance(target, dict):  # torch hangs versions on its dictionaries
            raise FormatError("state is given to what has none")

    def do_PERSID(self, argument): self._persist(argument)
    def do_BINPERSID(self, _): self._persist(self.stack.pop())

    def _persist(self, key):
        if self.persistent is None:
            raise UnsupportedError("it refers to objects outside itself")
        self.push(self.persistent(key))


def _settled(value):
    return value.value if isinstance(value, (PendingArray, PendingType)) and value.value is not None else value


def loads(data, admitted=None, persistent=None, what="the pickle"):
    """The value of a pickle that holds nothing but data."""
    return Machine({**PLAIN, **(admitted or {})}, persistent, what).run(data)
