"""A server that does one known thing to every n-th connection, and knows how often: `planted.py PORT KIND EVERY FILE`.

It serves one connection after the other. What it did, it writes into the file whenever that changes: how many
connections met with it, and when the first segment of each attempt arrived, in nanoseconds. Whoever was never accepted
is known by that segment, which it sees on the wire: CAP_NET_RAW is needed, which root has, also of a user namespace.
"""

import json
import os
import select
import signal
import socket
import struct
import sys
import threading
import time

REPLY = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n"
ERROR = REPLY.replace(b"200 OK", b"500 Internal Server Error")
CUT = REPLY.replace(b"Length: 3", b"Length: 300")
AT_ONCE = struct.pack("ii", 1, 0)
# Longer than the clients' time-out of 2 s; the second attempt that comes meanwhile is accepted after its first retransmit.
FULL_S = 2.5
KINDS = ("none", "refused", "queue-reset", "closed", "reset", "cut", "status", "mute", "syn-dropped")
# Of these, each costs its client a time-out.
SLOW = ("mute", "syn-dropped")


class Wire:
    """Sees the first segment of each attempt, by address and port, with the kernel's time."""

    def __init__(self, port):
        self.port, self.came, self.fresh = port, {}, threading.Event()
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0800))
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 24)
        self.socket.setsockopt(socket.SOL_SOCKET, 35, 1)  # SO_TIMESTAMPNS
        self.socket.bind(("lo", 0x0800))
        threading.Thread(target=self.look, daemon=True).start()

    def look(self):
        while True:
            packet, notes, *_ = self.socket.recvmsg(128, 128)
            tcp = (packet[0] & 15) * 4
            if packet[9] != socket.IPPROTO_TCP or len(packet) < tcp + 14:
                continue
            source, target = struct.unpack_from("!HH", packet, tcp)
            # SYN without ACK.
            if target == self.port and packet[tcp + 13] & 0x12 == 0x02:
                seconds, nanoseconds = struct.unpack("qq", notes[0][2][:16])
                key = (socket.inet_ntoa(packet[12:16]), source)
                self.came.setdefault(key, seconds * 10**9 + nanoseconds)
                self.fresh.set()


class Server:
    def __init__(self, port, kind, every, file):
        self.port, self.kind, self.every, self.file = port, kind, every, file
        self.wire, self.accepted, self.ours, self.struck, self.kept = Wire(port), set(), set(), 0, []
        self.listen()

    def listen(self):
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", self.port))
        self.listener.listen(0 if self.kind == "syn-dropped" else 128)

    def serve(self):
        count = 0
        while True:
            select.select([self.listener], [], [])
            count += 1
            is_due = self.kind != "none" and count % self.every == 0
            if is_due and self.kind == "queue-reset":
                self.listener.close()
                self.listen()
                self.struck += 1
                continue
            connection, peer = self.listener.accept()
            self.accepted.add(peer)
            request = b""
            while b"\r\n\r\n" not in request and (more := connection.recv(65536)):
                request += more
            if is_due and request:
                self.strike(connection)
            else:
                self.answer(connection, REPLY)

    def answer(self, connection, reply):
        try:
            connection.sendall(reply)
            connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # The client has gone.
        connection.close()

    def strike(self, connection):
        self.struck += self.kind not in ("refused", "syn-dropped")
        if self.kind == "closed":
            connection.close()
        elif self.kind == "reset":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
            connection.close()
        elif self.kind == "cut":
            self.answer(connection, CUT)
        elif self.kind == "status":
            self.answer(connection, ERROR)
        elif self.kind == "mute":
            self.kept.append(connection)
        elif self.kind == "refused":
            self.listener.close()
            self.next_comes(connection)
            self.listen()
        else:
            # One that is not accepted fills a queue of length 0.
            filler = socket.create_connection(("127.0.0.1", self.port))
            self.ours.add(filler.getsockname())
            self.next_comes(connection)
            time.sleep(FULL_S)
            self.listener.accept()[0].close()
            filler.close()

    def next_comes(self, connection):
        """Answers, and waits for the next attempt, for a while."""
        known = len(self.wire.came)
        self.answer(connection, REPLY)
        until = time.monotonic() + 5
        while len(self.wire.came) == known and time.monotonic() < until:
            self.wire.fresh.wait(0.1)
            self.wire.fresh.clear()

    def tell(self):
        came = {key: at_ns for key, at_ns in dict(self.wire.came).items() if key not in self.ours}
        never = [key for key in came if key not in self.accepted]
        met = len(never) if self.kind in ("refused", "syn-dropped") else self.struck
        with open(self.file + ".part", "w") as file:
            json.dump({"kind": self.kind, "attempts": len(came), "met": met, "came_ns": sorted(came.values())}, file)
        os.replace(self.file + ".part", self.file)


def main(port, kind, every, file):
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    server = Server(int(port), kind, int(every), file)
    threading.Thread(target=server.serve, daemon=True).start()
    signal.sigwait({signal.SIGTERM})
    time.sleep(0.2)  # What is on the wire is still to be seen.
    server.tell()
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
