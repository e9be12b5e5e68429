"""A server with one worker, for tests of what a sweep makes of odd ones: `service.py ADDRESS KIND FOLDER`.

`fickle`: makes a system call in each request (umask) that it does not make any more once it was started twice.
`traced`: its worker is traced by its parent, so that nobody else can trace it.
"""

import ctypes
import os
import socket
import sys

address, kind, folder = sys.argv[1:]
host, port = address.rsplit(":", 1)
starts = os.path.join(folder, "starts")
with open(starts, "a") as file:
    file.write("x")
makes_the_call = kind == "fickle" and os.path.getsize(starts) <= 2


def answer(connection):
    request = b""
    while b"\r\n\r\n" not in request:
        part = connection.recv(65536)
        if not part:
            return
        request += part
    number = int(request.split(b"n=", 1)[1].split()[0])
    if makes_the_call:
        os.umask(0o22)
    body = f"{number}*{number}={number ** 2}\n"
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    connection.sendall((head + body).encode())


listener = socket.create_server((host, int(port)))
while True:
    worker = os.fork()
    if worker == 0:
        if kind == "traced":
            ctypes.CDLL(None).ptrace(0, 0, None, None)  # PTRACE_TRACEME
        while True:
            with listener.accept()[0] as connection:
                answer(connection)
    os.waitpid(worker, 0)
