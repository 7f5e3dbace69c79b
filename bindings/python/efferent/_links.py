"""The ways from a plant to a bridge: ZeroMQ's sockets here, those of one machine in _local. Each is imported where it
is used."""

from __future__ import annotations

import os

from .wire import BridgeError


def open_link(endpoint, timeout, context, keys=None):
    """The link to an endpoint; raises Absent where nobody listens yet and the way tells so, BridgeError where the
    endpoint is none."""
    scheme, _, path = endpoint.partition(":")
    if scheme not in ("unix", "shm"):
        return ZeroMQ(endpoint, timeout, context, keys)
    from ._local import Shared, Stream

    path = path.removeprefix("//")
    if not path:
        raise BridgeError(f"endpoint '{endpoint}': has no path")
    return (Shared if scheme == "shm" else Stream)(endpoint, path, timeout)


def put(frame, room):
    """Copies a frame to `room`, as much as fits. Its size, or None where it is None."""
    if frame is None:
        return None
    size = len(frame)
    room[:size] = frame[:len(room)]
    return size


class ZeroMQ:
    """A DEALER."""

    def __init__(self, endpoint, timeout, context, keys):
        import zmq

        self._again = zmq.Again
        self._dontwait, self._error = zmq.DONTWAIT, zmq.ZMQError
        self.socket = made = (context or zmq.Context.instance()).socket(zmq.DEALER)
        made.linger = 0
        # a connection that breaks and comes back is the same plant; nobody can guess whose it is
        made.routing_id = b"\x01" + os.urandom(15)
        if keys is not None:
            server, own = keys
            made.curve_serverkey, made.curve_publickey, made.curve_secretkey = (
                k.encode() for k in (server, own.public, own.secret))
        made.sndhwm = made.rcvhwm = 16
        made.reconnect_ivl, made.reconnect_ivl_max = 20, 500
        made.ipv6 = "[" in endpoint
        made.sndtimeo = max(int(timeout * 1000), 1)
        self._seconds = None
        # pyzmq's own socket looks at options that are not used here before each call; those of gevent and others stay
        bare = super(zmq.Socket, made) if type(made) is zmq.Socket else made
        self._send, self._receive = bare.send, bare.recv
        self._receive_into = getattr(bare, "recv_into", None)  # of pyzmq 26.4
        try:
            made.connect(endpoint)
        except zmq.ZMQError as e:
            made.close()
            raise BridgeError(f"endpoint '{endpoint}': {e.strerror}") from None

    def buffers(self, size, answer):
        """Where STEP frames of that size are written."""
        return [bytearray(size)]

    def free(self):
        """Index of the buffer to write next."""
        return 0

    def send(self, frame, again=False):
        """False where the frame could not be sent in time; `again`: it was sent before and may be lost, which waits for
        nothing."""
        try:
            self._send(frame, self._dontwait if again else 0)
        except self._again:
            return False
        return True

    def receive(self, seconds, room=None):
        """The next frame, or None where none comes in time. With `room`, a bytearray: its size, the frame stands
        there."""
        if seconds != self._seconds:
            self.socket.rcvtimeo = max(int(seconds * 1000), 1)
            self._seconds = seconds
        try:
            if room is None:
                return self._receive()
            if self._receive_into is not None:
                return self._receive_into(room)
            return put(self._receive(), room)
        except self._again:
            return None

    def close(self, goodbye=None):
        """Closes, after a last frame; never waits longer than 0.1 s."""
        if goodbye is not None:
            try:
                self.socket.send(goodbye, self._dontwait)
                self.socket.linger = 100
            except self._error:
                pass
        self.socket.close()
