#!/usr/bin/env python3
"""Opens the tun device named by the first argument and discards what is sent to it.

Reads lines of hexadecimal from the file named by the second argument and feeds each to the device as
if it had come from the network; then waits to be ended.
"""
import fcntl
import os
import struct
import sys
import time

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000

name, packets, ready, go = sys.argv[1:5]
device = os.open("/dev/net/tun", os.O_RDWR)
fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI))
open(ready, "w").close()
while not os.path.exists(go):
    time.sleep(0.02)
with open(packets) as lines:
    for line in lines:
        os.write(device, bytes.fromhex(line.strip()))
while True:
    os.read(device, 65536)
