"""Programs that run models in a process of their own, so that a crash is an answer too."""
import os
import struct
import subprocess
import sys
import tempfile

import numpy as np
from onnx import helper

NUMBER = struct.Struct("=Q")
CRASH = "crash"


class Answer:
    """What came out: arrays by position, or the text of a refusal, or a crash."""

    def __init__(self, arrays=None, refusal=None, crash=None, unequal=()):
        self.arrays, self.refusal, self.crash, self.unequal = arrays, refusal, crash, unequal


class Efferent:
    """The library at one instruction set."""

    def __init__(self, program, level):
        self.program, self.level = program, level
        self.process = None

    def _start(self):
        # a crash must end the process, not be reported and passed over
        env = os.environ | {"EFFERENT_ISA": self.level, "ASAN_OPTIONS": "detect_leaks=0",
                            "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1"}
        self.said = tempfile.TemporaryFile()
        self.process = subprocess.Popen([self.program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.said,
                                        env=env)

    def close(self):
        if self.process:
            self.process.stdin.close()
            self.process.wait()
            self.process.stdout.close()
            self.said.close()
            self.process = None

    def run(self, model, feeds):
        """`model` as bytes; `feeds` maps inputs to arrays."""
        if self.process is None:
            self._start()
        parts = [NUMBER.pack(len(model)), model, NUMBER.pack(len(feeds))]
        for name, array in feeds.items():
            data = np.ascontiguousarray(array).tobytes()
            parts += [NUMBER.pack(len(name)), name.encode(), NUMBER.pack(len(data)), data]
        try:
            self.process.stdin.write(b"".join(parts))
            self.process.stdin.flush()
            return self._answer()
        except (EOFError, BrokenPipeError):
            self.process.stdout.close()
            code = self.process.wait()
            self.said.seek(0)
            said = self.said.read().decode(errors="replace")
            self.said.close()
            self.process = None
            return Answer(crash=f"ends with status {code}: {said.strip()[-600:]}")

    def _number(self):
        return NUMBER.unpack(self._read(8))[0]

    def _read(self, size):
        data = self.process.stdout.read(size)
        if len(data) < size:
            raise EOFError
        return data

    def _bytes(self):
        return self._read(self._number())

    def _answer(self):
        status, text, arrays, unequal = self._number(), self._bytes().decode(errors="replace"), [], []
        for i in range(self._number()):
            dtype = helper.tensor_dtype_to_np_dtype(self._number())
            shape = np.frombuffer(self._bytes(), np.int64)
            arrays.append(np.frombuffer(self._bytes(), dtype).reshape(shape))
            if not self._number():
                unequal.append(i)
        return Answer(refusal=text or str(status)) if status else Answer(arrays, unequal=unequal)


class Oracles:
    """onnxruntime and the reference evaluator, in a process of their own: empty tensors crash some kernels of
    onnxruntime."""

    def __init__(self):
        self.process = None

    def _start(self):
        self.process = subprocess.Popen([sys.executable, "-m", "zero_extents.oracle"], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)

    def close(self):
        if self.process:
            self.process.stdin.close()
            self.process.wait()
            self.process.stdout.close()
            self.process = None

    def run(self, which, model, feeds):
        """The arrays, or None where `which` refuses or crashes."""
        import pickle

        if self.process is None:
            self._start()
        data = pickle.dumps((which, model, feeds))
        try:
            self.process.stdin.write(NUMBER.pack(len(data)) + data)
            self.process.stdin.flush()
            size = self.process.stdout.read(8)
            if len(size) == 8:
                data = self.process.stdout.read(NUMBER.unpack(size)[0])
                return pickle.loads(data)
        except (BrokenPipeError, EOFError):
            pass
        self.process.wait()
        self.process.stdout.close()
        self.process = None
        return None
