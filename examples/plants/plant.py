"""A plant on bare pyzmq: connects to a bridge, steps a policy of one f32 observation and one f32 action, prints the actions.

python plant.py tcp://127.0.0.1:5555 [STEPS]
"""
import os
import struct
import sys
import time

import zmq

HEADER = struct.Struct("<IBBHIIQQQQQII")  # magic, version, type, flags, step time, episode, session, seq, ref_seq, monotonic, simulation, ttl, crc
HELLO, WELCOME, RESET, ACK, STEP, ACT, ERR, BYE = range(1, 9)
socket = zmq.Context().socket(zmq.DEALER)
socket.routing_id = b"\x01" + os.urandom(15)  # the connection that comes back is the same plant
socket.linger = 100
socket.connect(sys.argv[1])
session = episode = seq = 0


def frame(type, body=b"", flags=0):
    global seq
    seq += 1
    return HEADER.pack(0x42464645, 2, type, flags, 0, episode, session, seq, 0, time.monotonic_ns(), 0, 0, 0) + body


def ask(wanted, *what, timeout=5.0):
    """Sends a frame, the same bytes every 100 ms, until it is answered."""
    sent, deadline = frame(*what), time.monotonic() + timeout
    while time.monotonic() < deadline:
        socket.send(sent)
        while socket.poll(100):
            answer = socket.recv()
            kind, ref_seq = answer[5], HEADER.unpack_from(answer)[8]
            if ref_seq != seq:
                continue  # a PING, or a late answer
            if kind == wanted:
                return answer
            wait = struct.unpack_from("<IiII", answer, 64)[2]
            if not wait:
                sys.exit(f"refused: {answer[80:].decode()}")
            time.sleep(wait / 1000)  # another plant is connected
            sent = frame(*what)
            break
    sys.exit("no answer")


welcome = ask(WELCOME, HELLO, struct.pack("<BBHI56x", 2, 2, 4, 1), 0x0100)  # versions, no checksum, one row; the fixed body
session, step_size = HEADER.unpack_from(welcome)[6], struct.unpack_from("<I", welcome, 64 + 24)[0]
episode = 1
ask(ACK, RESET)
for i in range(int(sys.argv[2]) if len(sys.argv) > 2 else 10):
    observation = [(i + k) % 5 / 4 for k in range((step_size - 64) // 4)]  # your sensors
    answer = ask(ACT, STEP, struct.pack(f"<{len(observation)}f", *observation))
    print(*("%.9g" % a for a in struct.unpack_from(f"<{(len(answer) - 64) // 4}f", answer, 64)))  # your motors
socket.send(frame(BYE))
