"""Unix sockets, and memory that is shared through them, as ways from a plant to a bridge on its machine."""
from __future__ import annotations

import errno
import fcntl
import mmap
import os
import platform
import socket
import struct
import threading
import time

from ._links import put
from .errors import FormatError
from .wire import Absent, BridgeError, BridgeLost

LENGTH = struct.Struct("<I")
# nanoseconds in which an answer is looked for before the thread sleeps; nothing where the bridge has no other processor
SPIN = 50_000 if len(os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else (0, 1)) > 1 else 0
# stores are seen in their order, and loads done in theirs
_IN_ORDER = platform.machine() in ("x86_64", "AMD64", "i686")
_SEALS, _SHRINK = 1034, 2  # F_GET_SEALS, F_SEAL_SHRINK
_ABSENT = (errno.ENOENT, errno.ECONNREFUSED, errno.EAGAIN)


class Stream:
    """A Unix socket: each frame behind its length of four bytes; a length of 0 is no frame."""

    def __init__(self, endpoint, path, timeout):
        self._endpoint = endpoint
        self._socket = made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._wait = None
        self._buffer, self._filled = bytearray(1 << 16), 0
        self._passed = []
        made.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _interval(timeout))
        try:
            made.connect("\0" + path[1:] if path[0] == "@" else path)
        except OSError as e:
            made.close()
            if e.errno in _ABSENT:
                raise Absent from None
            raise BridgeError(f"endpoint '{endpoint}': {e.strerror or e}") from None

    @property
    def socket(self):
        return self

    def buffers(self, size, answer):
        return [bytearray(size)]

    def free(self):
        return 0

    def send(self, frame, again=False):
        # a stream loses nothing; an answer that the library could not send is lost
        try:
            if len(frame) < 1 << 16:
                # a stream of that little is not cut by any socket's buffer
                self._socket.sendall(LENGTH.pack(len(frame)) + frame)
            else:
                sent = self._socket.sendmsg((LENGTH.pack(len(frame)), frame))
                if sent < 4 + len(frame):
                    self._socket.sendall(memoryview(frame)[sent - 4:])
        except (BlockingIOError, TimeoutError):
            # a part may have gone: nothing that follows could be told from it
            self._socket.shutdown(socket.SHUT_RDWR)
            return False
        except OSError as e:
            raise self._lost(e) from None
        return True

    def receive(self, seconds, room=None):
        if room is not None:
            return put(self.receive(seconds), room)
        frame = self._next()
        deadline = None
        while frame is None:
            now = time.monotonic()
            if deadline is None:
                deadline = now + seconds
            elif now >= deadline:
                return None
            if self._read(deadline - now):
                frame = self._next()
        return frame

    def recv(self):
        """The next frame, however long it takes."""
        while (frame := self.receive(3600.0)) is None:
            pass
        return frame

    def poll(self, milliseconds):
        """Whether a frame is here in time."""
        frame = self._next(keep=True)
        if frame is None and self._read(milliseconds / 1000):
            frame = self._next(keep=True)
        return frame is not None

    def close(self, goodbye=None):
        if goodbye is not None:
            try:
                self._socket.setblocking(False)
                self._socket.sendall(LENGTH.pack(len(goodbye)) + goodbye)
            except OSError:
                pass
        for descriptor in self._passed:
            os.close(descriptor)
        self._passed = []
        self._socket.close()

    def _lost(self, e=None):
        return BridgeLost(f"{self._endpoint}: the connection ended{f': {e.strerror}' if e is not None else ''}")

    def _read(self, seconds):
        """Waits for bytes; whether some came."""
        wait = int(seconds * 1e6)
        if wait > 0 and wait != self._wait:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _interval(wait / 1e6))
            self._wait = wait
        space = memoryview(self._buffer)[self._filled:]
        try:
            count = self._receive_into(space, 0 if wait > 0 else socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except OSError as e:
            raise self._lost(e) from None
        finally:
            space.release()
        if count == 0:
            raise self._lost()
        self._filled += count
        return True

    def _receive_into(self, space, flags):
        return self._socket.recv_into(space, 0, flags)

    def _next(self, keep=False):
        """The next frame, if all of it is here."""
        while self._filled >= 4:
            size, = LENGTH.unpack_from(self._buffer)
            if size == 0:
                self._shift(4)
                continue
            if size > 1 << 30:
                raise FormatError(f"{self._endpoint}: a frame of {size} bytes")
            if 4 + size > len(self._buffer):
                larger = bytearray(4 + size)
                larger[:self._filled] = memoryview(self._buffer)[:self._filled]
                self._buffer = larger
            if self._filled < 4 + size:
                return None
            frame = self._buffer[4:4 + size]
            if not keep:
                self._shift(4 + size)
            return frame
        return None

    def _shift(self, count):
        left = self._filled - count
        if left:
            self._buffer[:left] = self._buffer[count:self._filled]
        self._filled = left


class Shared(Stream):
    """The same with the frames behind the handshake in memory that both share: PROTOCOL.md has the table of its bytes.
    The socket wakes who sleeps."""

    _slots, _page = 4, 4096

    def __init__(self, endpoint, path, timeout):
        self._ring = None
        super().__init__(endpoint, path, timeout)
        lock = threading.Lock()
        lock.acquire()

        def fence(release=lock.release, acquire=lock.acquire):
            release()
            acquire()

        self._fence = fence

    def buffers(self, size, answer):
        """Maps the memory that came with WELCOME; its slots are the buffers."""
        if not self._passed:
            raise FormatError(f"{self._endpoint}: WELCOME came without shared memory")
        descriptor = self._passed.pop()
        try:
            if not fcntl.fcntl(descriptor, _SEALS) & _SHRINK:
                raise FormatError(f"{self._endpoint}: the shared memory could be cut: it is not sealed")
            length = os.fstat(descriptor).st_size
            if length < self._page:
                raise FormatError(f"{self._endpoint}: shared memory of {length} bytes, expected at least {self._page}")
            self._memory = memory = mmap.mmap(descriptor, length)
        finally:
            os.close(descriptor)
        magic, version, slots, _, requests, answers, total = struct.unpack_from("<IIIIQQQ", memory)
        if (magic, version, slots) != (0x53464645, 1, self._slots):
            raise FormatError(
                f"{self._endpoint}: shared memory of form {magic:#x} {version} {slots}, "
                f"expected 0x53464645 1 {self._slots}"
            )
        if (
            requests < size
            or answers < answer
            or total != length
            or total != self._page + self._slots * (requests + answers)
        ):
            raise FormatError(
                f"{self._endpoint}: shared memory has slots of {requests} and {answers} bytes in {length}, "
                f"expected {size} and {answer} or more"
            )
        view = memoryview(memory)
        self._plant, self._library = view[64:128].cast("I"), view[128:192].cast("I")
        places = [self._page + i * requests for i in range(self._slots)]
        self._requests = [view[at:at + requests] for at in places]
        first = self._page + self._slots * requests
        self._answers = [view[first + i * answers:first + (i + 1) * answers] for i in range(self._slots)]
        self._limit, self._room = answers, requests
        self._posted = self._taken = 0
        self._slot, self._sent = 0, None
        # answers that are not looked for without sleeping, since looks were in vain: 1, 2, 4, ... 64
        self._rest = self._vain = 0
        self._ring = True
        # the last one is written where no slot is free: nothing that waits is changed
        self._frames = [*(part[:size] for part in self._requests), bytearray(size)]
        return self._frames

    def free(self):
        taken, posted = self._library[1], self._posted
        if taken == posted:
            return 0
        # a frame that was given up may still stand where the last one was written
        waiting = (posted - taken) & 0xFFFFFFFF
        if waiting >= self._slots:
            if waiting > self._slots:
                raise FormatError(f"{self._endpoint}: the library took frames that were not sent")
            return self._slots
        return (self._slot + 1) % self._slots

    def send(self, frame, again=False):
        if self._ring is None:
            return super().send(frame)
        taken, posted = self._library[1], self._posted
        if taken == posted:
            # where the library took a frame and did not answer, its answer found no place
            slot = self._slot if again else 0
        elif again:
            return True
        elif (posted - taken) & 0xFFFFFFFF >= self._slots:
            # the library stands still, and has enough to do when it goes on
            return False
        else:
            slot = (self._slot + 1) % self._slots
        if again and frame is not self._sent:
            return True
        if frame is not self._frames[slot] and not again:
            if len(frame) > self._room:
                return super().send(frame)
            self._requests[slot][:len(frame)] = frame
        plant = self._plant
        at = 4 + 2 * (posted % self._slots)
        plant[at], plant[at + 1] = slot, len(frame)
        if not _IN_ORDER:
            self._fence()
        self._slot, self._sent = slot, frame
        self._posted = plant[0] = (posted + 1) & 0xFFFFFFFF
        self._fence()
        if self._library[2]:
            try:
                self._socket.sendall(b"\0\0\0\0")
            except OSError as e:
                raise self._lost(e) from None
        return True

    def _take(self, room=None):
        """The next answer, which is there; with `room` as in `receive`."""
        library, taken = self._library, self._taken
        if not _IN_ORDER:
            self._fence()
        at = 4 + 2 * (taken % self._slots)
        slot, size = library[at], library[at + 1]
        if slot >= self._slots or size > self._limit:
            raise FormatError(
                f"{self._endpoint}: an answer of {size} bytes in slot {slot}, "
                f"expected at most {self._limit} in {self._slots} slots"
            )
        answer = self._answers[slot][:size]
        frame = bytearray(answer) if room is None else put(answer, room)
        if not _IN_ORDER:
            self._fence()
        self._taken = self._plant[1] = (taken + 1) & 0xFFFFFFFF
        return frame

    def receive(self, seconds, room=None):
        if self._ring is None:
            return super().receive(seconds, room)
        library, taken = self._library, self._taken
        if library[0] != taken:
            return self._take(room)
        now = time.monotonic_ns()
        deadline = now + int(seconds * 1e9)
        if self._rest:
            self._rest -= 1
        elif SPIN:
            until = now + SPIN
            while now < until:
                for _ in range(16):
                    if library[0] != taken:
                        self._vain = 0
                        return self._take(room)
                now = time.monotonic_ns()
            # a processor that others want is not theirs while it looks
            self._rest = self._vain = min(2 * self._vain or 1, 64)
        plant = self._plant
        while True:
            frame = self._next()
            if frame is not None:
                return frame if room is None else put(frame, room)
            plant[2] = 1
            self._fence()
            try:
                if library[0] != taken:
                    return self._take(room)
                left = deadline - time.monotonic_ns()
                if left <= 0:
                    return None
                self._read(left / 1e9)
            finally:
                plant[2] = 0
            if library[0] != taken:
                return self._take(room)

    def poll(self, milliseconds):
        if self._ring is None:
            return super().poll(milliseconds)
        return self._library[0] != self._taken or super().poll(milliseconds) or self._library[0] != self._taken

    def close(self, goodbye=None):
        # by the socket, whose end says that no more comes
        self._ring = None
        super().close(goodbye)

    def _receive_into(self, space, flags):
        if self._ring is not None:
            return super()._receive_into(space, flags)
        count, ancillary, _, _ = self._socket.recvmsg_into(
            [space], socket.CMSG_SPACE(4 * 4), flags | getattr(socket, "MSG_CMSG_CLOEXEC", 0)
        )
        for level, kind, data in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                self._passed += struct.unpack(f"{len(data) // 4}i", data[:len(data) // 4 * 4])
        return count


def _interval(seconds):
    """A struct timeval."""
    whole = int(seconds)
    return struct.pack("@ll", whole, max(int((seconds - whole) * 1e6), 0 if whole else 1))
