"""A name server for the names below one, all of which lead to one address; other names do not exist."""

import socket
import socketserver
import struct
import threading

_HEADER = struct.Struct("!6H")
_A, _IN = 1, 1
_ANSWER, _NO_SUCH_NAME = 0x8400, 0x8403  # of an authority, with and without the name


class Resolver:
    """Listens on UDP port 53 of an address; see RFC 1035, section 4, for the messages."""

    def __init__(self, address: str, below: str) -> None:
        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                message, own = self.request
                own.sendto(_answer(message, address, below), self.client_address)

        self._server = socketserver.ThreadingUDPServer((address, 53), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()


def _answer(message: bytes, address: str, below: str) -> bytes:
    number = _HEADER.unpack_from(message)[0]
    labels, at = [], _HEADER.size
    while length := message[at]:
        labels.append(message[at + 1 : at + 1 + length].decode("ascii").lower())
        at += length + 1
    kind, _ = struct.unpack_from("!2H", message, at + 1)
    question = message[_HEADER.size : at + 5]
    if not f".{'.'.join(labels)}".endswith(f".{below}"):
        return _HEADER.pack(number, _NO_SUCH_NAME, 1, 0, 0, 0) + question
    if kind != _A:  # there is the name, but not with an address of IPv6
        return _HEADER.pack(number, _ANSWER, 1, 0, 0, 0) + question
    found = struct.pack("!3HIH", 0xC00C, _A, _IN, 0, 4) + socket.inet_aton(address)
    return _HEADER.pack(number, _ANSWER, 1, 1, 0, 0) + question + found
