# SPDX-License-Identifier: BSD-2-Clause
"""Captures for the tests of shmap run --pcap: made here, frame by frame."""
import random
import struct


def checksum(data):
    data += b"\0" * (len(data) % 2)
    s = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while s >> 16:
        s = (s & 0xffff) + (s >> 16)
    return ~s & 0xffff


def ipv4(src, dst, proto, payload, fragment=0):
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), 7, fragment, 64, proto, 0, src, dst)
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + payload


def ipv6(src, dst, next_header, payload):
    return struct.pack("!IHBB16s16s", 6 << 28, len(payload), next_header, 64, src, dst) + payload


def tcp(payload):
    return struct.pack("!HHIIBBHHH", 4242, 80, 1, 0, 0x50, 0x10, 512, 0, 0) + payload


def udp(payload):
    return struct.pack("!HHHH", 4242, 53, 8 + len(payload), 0) + payload


def eth(proto, payload, dst=b"\x02\0\0\0\0\2", src=b"\x02\0\0\0\0\1"):
    return dst + src + struct.pack("!H", proto) + payload


def frames(count, seed=1):
    """Traffic of several kinds; sources spread over 10/8 and elsewhere."""
    r = random.Random(seed)
    for _ in range(count):
        src = bytes([r.choice([10, 10, 192, 172, 127]), r.choice([0, 1, 2]), r.randrange(4), r.randrange(256)])
        dst = bytes([10, 9, 8, 7])
        body = r.randbytes(r.choice([0, 1, 20, 100, 400, 1400]))
        kind = r.randrange(10)
        if kind < 3:
            yield eth(0x800, ipv4(src, dst, 6, tcp(body)))
        elif kind < 6:
            yield eth(0x800, ipv4(src, dst, 17, udp(body)))
        elif kind == 6:
            yield eth(0x800, ipv4(src, dst, 1, struct.pack("!BBHHH", 8, 0, 0, 1, 1) + body))
        elif kind == 7:
            yield eth(0x86dd, ipv6(b"\xfe\x80" + b"\0" * 13 + b"\1", b"\xff\2" + b"\0" * 13 + b"\1", 17, udp(body)))
        elif kind == 8:
            yield eth(0x806, struct.pack("!HHBBH6s4s6s4s", 1, 0x800, 6, 4, 1, b"\2\0\0\0\0\1", src, b"\0" * 6, dst),
                      dst=b"\xff" * 6)
        else:
            # what is left of a datagram behind its first fragment; a protocol of its own
            yield eth(0x800, ipv4(src, dst, r.choice([17, 2, 47, 132, 255]), body, fragment=r.choice([0, 100])))


def pcap(frames, link_type=1, snaplen=262144, nano=False, swapped=False):
    e = ">" if swapped else "<"
    yield struct.pack(e + "IHHiIII", 0xa1b23c4d if nano else 0xa1b2c3d4, 2, 4, 0, 0, snaplen, link_type)
    for i, f in enumerate(frames):
        cut = f[:snaplen]
        yield struct.pack(e + "IIII", 1700000000 + i // 1000, i % 1000 * 1000 + i % 7, len(cut), len(f)) + cut


def pcapng_block(kind, body):
    body += b"\0" * (-len(body) % 4)
    n = 12 + len(body)
    return struct.pack("<II", kind, n) + body + struct.pack("<I", n)


def pcapng(frames, link_types=(1,)):
    yield pcapng_block(0x0a0d0d0a, struct.pack("<IHHq", 0x1a2b3c4d, 1, 0, -1))
    for t in link_types:
        yield pcapng_block(1, struct.pack("<HHI", t, 0, 0))
    for i, f in enumerate(frames):
        t = 1700000000 * 1000000 + i * 1001
        yield pcapng_block(6, struct.pack("<IIIII", i % len(link_types), t >> 32, t & 0xffffffff, len(f), len(f)) + f)
