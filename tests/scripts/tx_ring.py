"""Sends frames from a packet ring: the kernel then builds socket buffers whose linear part ends
behind the Ethernet header, with everything else in page fragments.

    tx_ring.py INTERFACE FILE      FILE: a frame a line, in hexadecimal
"""

import mmap
import socket
import struct
import sys
import time

SOL_PACKET = 263
PACKET_TX_RING = 13
# struct tpacket_hdr, rounded up to 16 octets: where a frame's data begin.
HEADER = 32
FRAME = 4096
FRAMES = 64
BLOCK = 32768
SEND_REQUEST = 1


def main():
    interface, path = sys.argv[1:]
    with open(path) as lines:
        frames = [bytes.fromhex(line.strip()) for line in lines]
    assert max(map(len, frames)) <= FRAME - HEADER
    # Protocol 0: it sends and receives nothing.
    sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    ring = struct.pack("IIII", BLOCK, FRAMES * FRAME // BLOCK, FRAME, FRAMES)
    sender.setsockopt(SOL_PACKET, PACKET_TX_RING, ring)
    memory = mmap.mmap(sender.fileno(), FRAMES * FRAME)
    sender.bind((interface, 0))
    for first in range(0, len(frames), FRAMES):
        send(sender, memory, frames[first : first + FRAMES])


def send(sender, memory, frames):
    for place, frame in enumerate(frames):
        at = place * FRAME
        memory[at + HEADER : at + HEADER + len(frame)] = frame
        memory[at + 8 : at + 12] = struct.pack("I", len(frame))
        memory[at : at + 8] = struct.pack("Q", SEND_REQUEST)
    sender.send(b"")
    deadline = time.monotonic() + 5
    while any(memory[place * FRAME : place * FRAME + 8] != bytes(8) for place in range(len(frames))):
        if time.monotonic() > deadline:
            sys.exit("the ring was not sent")
        time.sleep(0.001)


main()
