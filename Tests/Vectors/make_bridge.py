"""Writes bridge.txt: frames and fixed bodies of the bridge's protocol, made from Sources/Bridge/PROTOCOL.md with
struct, msgpack and a bitwise CRC alone.

The codecs of Swift, C and Python are all tested with it. One vector a line, words apart by spaces, bytes in
hexadecimal, `-` for none:
    crc BYTES VALUE
    frame NAME TYPE FLAGS STEP_TIME EPISODE SESSION SEQ REF_SEQ MONOTONIC SIMULATION TTL SEALED BODY FRAME
    error NAME REASON STATUS WAIT TEXT BODY
    schema LAYOUT HASH
    hello NAME OLDEST NEWEST OPTIONS ROWS POLICY SCHEMA STEP_SIZE ACT_SIZE BOOT BODY
    hello_refused NAME BODY
    welcome NAME OLDEST NEWEST OPTIONS ROWS POLICY SCHEMA STEP_SIZE ACT_SIZE IDLE_MS MAX_ROWS RATE RECEIVED LIBRARY BODY
"""

import struct
from pathlib import Path

import msgpack


def crc32c(data):
    state = 0xFFFFFFFF
    for byte in data:
        state ^= byte
        for _ in range(8):
            state = state >> 1 ^ (0x82F63B78 if state & 1 else 0)
    return state ^ 0xFFFFFFFF


def fnv1a(data):
    state = 0xCBF29CE484222325
    for byte in data:
        state = (state ^ byte) * 0x100000001B3 % 2**64
    return state


def text(data):
    return data.hex() or "-"


def frame(name, type, flags, step_time, episode, session, seq, ref_seq, monotonic, simulation, ttl, sealed, body):
    head = struct.pack(
        "<IBBHIIQQQQQI",
        0x42464645,
        2,
        type,
        flags,
        step_time,
        episode,
        session,
        seq,
        ref_seq,
        monotonic,
        simulation,
        ttl,
    )
    made = head + struct.pack("<I", crc32c(head + body) if sealed else 0) + body
    fields = (type, flags, step_time, episode, session, seq, ref_seq, monotonic, simulation, ttl, int(sealed))
    return " ".join(["frame", name, *map(str, fields), text(body), made.hex()])


def hello(name, oldest, newest, options, rows, policy, schema, step_size, act_size, boot):
    body = struct.pack("<BBHIQQII16s16x", oldest, newest, options, rows, policy, schema, step_size, act_size, boot)
    return f"hello {name} {oldest} {newest} {options} {rows} {policy} {schema} {step_size} {act_size} {boot.hex()} {body.hex()}"


def welcome(name, *fields):
    return " ".join(["welcome", name, *map(str, fields), struct.pack("<BBHIQQIIIIdQI4x", *fields).hex()])


def refused(name, change):
    body = bytearray(struct.pack("<BBHIQQII16s16x", 2, 2, 0, 1, 0, 0, 0, 0, bytes(16)))
    body = change(body) or body
    return f"hello_refused {name} {text(bytes(body))}"


# the target of the Swift tests: obs f32 [3], mask bool [1, 2] -> action f32 [3], value f32 []
LAYOUT = {"rows": 1, "step_size": 130, "act_size": 132,
          "inputs": [{"name": "obs", "role": "observation", "dtype": "f32", "shape": [3], "offset": 64},
                     {"name": "mask", "role": "observation", "dtype": "bool", "shape": [1, 2], "offset": 128}],
          "outputs": [{"name": "action", "role": "action", "dtype": "f32", "shape": [3], "offset": 64},
                      {"name": "value", "role": "aux", "dtype": "f32", "shape": [], "offset": 128}]}
BIG = 2**64 - 1
packed = msgpack.packb(LAYOUT)
lines = [f"crc {text(data)} {crc32c(data)}" for data in (b"", b"123456789", bytes(32), bytes(range(256)) * 5)]
lines += [
    frame(
        "hello",
        1,
        0x0100,
        0,
        0,
        0,
        1,
        0,
        5_000_000_000,
        0,
        2_000_000,
        True,
        struct.pack("<BBHIQQII32x", 2, 2, 4, 1, 0, 0, 0, 0),
    ),
    frame("reset", 3, 0, 0, 1, 0x0123456789ABCDEF, 2, 0, 5_001_000_000, 0, 0, True, b""),
    frame("reset_rows", 3, 0, 0, 2, 0x0123456789ABCDEF, 3, 0, 5_002_000_000, 0, 0, True, b"\x00\x01"),
    frame(
        "step",
        5,
        0,
        20_000,
        2,
        0x0123456789ABCDEF,
        4,
        0,
        5_003_000_000,
        40_000_000,
        10_000,
        True,
        struct.pack("<3f52x2?", 1.0, -2.5, 3.25, True, False),
    ),
    frame("step_unsealed", 5, 0x0001, 0, 2, 0x0123456789ABCDEF, 5, 0, 5_004_000_000, 60_000_000, 0, False, bytes(66)),
    frame(
        "act",
        6,
        0,
        0,
        2,
        0x0123456789ABCDEF,
        4,
        4,
        7,
        40_000_000,
        0,
        True,
        struct.pack("<3f52xf", 0.5, 0.25, -1.0, 8.0),
    ),
    frame("bye", 8, 0, 0, 2, 0x0123456789ABCDEF, 6, 0, 5_005_000_000, 0, 0, False, b""),
    frame("ping", 9, 0, 0, 2, 0x0123456789ABCDEF, 5, 0, 8, 0, 0, True, b""),
    frame("largest", 255, 0xFFFF, 2**32 - 1, 2**32 - 1, BIG, BIG, BIG, BIG, BIG, 2**32 - 1, True, bytes(range(256))),
]
for name, reason, status, wait, words in (
    ("busy", 9, 0, 50, "busy: another plant is connected"),
    ("run", 11, -8, 0, "run: the session gave status -8"),
):
    lines.append(
        f"error {name} {reason} {status} {wait} {text(words.encode())} {text(struct.pack('<IiII', reason, status, wait, 0) + words.encode())}"
    )
lines.append(f"schema {packed.hex()} {fnv1a(packed)}")
lines += [
    hello("least", 2, 2, 0, 1, 0, 0, 0, 0, bytes(16)),
    hello("all", 1, 9, 3, 2, 77, fnv1a(packed), 130, 132, bytes(range(16))),
    hello("without_checksum", 2, 3, 4, 4, BIG, BIG, 2**32 - 1, 2**32 - 1, bytes([255] * 16)),
    refused("short", lambda b: b[:63]), refused("long", lambda b: b + b"\0"), "hello_refused empty -",
    refused("unknown_option", lambda b: b.__setitem__(2, 8)), refused("both_checksums", lambda b: b.__setitem__(2, 6)),
    refused("last_byte", lambda b: b.__setitem__(63, 1)), refused("byte_48", lambda b: b.__setitem__(48, 1)),
    welcome("sealed", 2, 2, 2 | 8, 1, 77, fnv1a(packed), 130, 132, 2000, 2, 50.0, 123_456_789, 100),
    welcome("bare", 2, 2, 4, 1, 77, fnv1a(packed), 130, 132, 0, 2, 0.0, BIG, 2**32 - 1),
]
Path(__file__).with_name("bridge.txt").write_text("\n".join(lines) + "\n")
