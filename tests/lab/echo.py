"""Answers every connection with what it is told, and once that has ended with how many bytes it was.

usage: echo.py IP PORT
"""
import socket
import sys
import threading


def answer(peer: socket.socket) -> None:
    told = 0
    try:
        while piece := peer.recv(65536):
            told += len(piece)
            peer.sendall(piece)
        peer.sendall(f"<{told} bytes>".encode())
    except OSError:
        pass
    finally:
        peer.close()


listener = socket.create_server((sys.argv[1], int(sys.argv[2])), backlog=128)
while True:
    threading.Thread(target=answer, args=[listener.accept()[0]], daemon=True).start()
