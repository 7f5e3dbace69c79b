"""A plant on bare pyzmq for one f32 observation and action: python plant.py ENDPOINT [STEPS]"""
import os
import struct
import sys
import time
import zmq

HEADER = struct.Struct("<IBBHIIQQQQQII")  # Sources/Bridge/PROTOCOL.md
HELLO, RESET, STEP, ERR, BYE = 1, 3, 5, 7, 8
socket = zmq.Context().socket(zmq.DEALER)
socket.routing_id = b"\x01" + os.urandom(15)  # a connection that comes back is the same plant
socket.connect(sys.argv[1])
session = episode = 0


def ask(type, body=b"", flags=0):
    now = time.monotonic_ns()  # the number of the frame too: it only grows
    head = HEADER.pack(0x42464645, 2, type, flags, 0, episode, session, now, 0, now, 0, 0, 0)
    for _ in range(50):  # the same bytes every 100 ms
        socket.send(head + body)
        while socket.poll(100):
            answer = socket.recv()
            if answer[32:40] != head[24:32]:
                continue  # a PING, or a late answer
            if answer[5] == ERR and not any(answer[72:76]):
                sys.exit(f"refused: {answer[80:].decode()}")
            return answer
    sys.exit("no answer")


while (welcome := ask(HELLO, struct.pack("<BBHI56x", 2, 2, 4, 1), 0x0100))[5] == ERR:
    time.sleep(0.05)  # until the place is free
session, episode = HEADER.unpack_from(welcome)[6], 1
seen = struct.unpack_from("<I", welcome, 88)[0] // 4 - 16  # of step_size
ask(RESET)
for i in range(int(sys.argv[2]) if len(sys.argv) > 2 else 10):
    answer = ask(STEP, struct.pack(f"<{seen}f", *((i + k) % 5 / 4 for k in range(seen))))  # sensors
    print(*("%.9g" % a for (a,) in struct.iter_unpack("<f", answer[64:])))  # motors
socket.send(HEADER.pack(0x42464645, 2, BYE, 0, 0, 1, session, time.monotonic_ns(), *[0] * 5))
socket.context.destroy(linger=100)
