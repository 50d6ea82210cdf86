"""Just enough of the Postgres protocol to ask a server whether it lets us in."""

from __future__ import annotations

import socket
import struct
from pathlib import Path

_PROTOCOL_3_0 = 196608
_TERMINATE = b"X\x00\x00\x00\x04"
_CANNOT_CONNECT_NOW = b"C57P03\0"  # starting up, recovering or shutting down


def answers(path: Path, user: str, database: str, timeout_s: float = 2.0) -> bool:
    """Log in over the Unix socket; True once the server says it is ready for a query.

    A server that refuses for another reason than starting or stopping (all connections taken, say) is up as well.
    """
    parameters = b"\0".join([b"user", user.encode(), b"database", database.encode(), b"", b""])
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(timeout_s)
            connection.connect(str(path))
            connection.sendall(struct.pack("!ii", len(parameters) + 8, _PROTOCOL_3_0) + parameters)
            with connection.makefile("rb") as stream:
                while header := stream.read(5):
                    kind, length = struct.unpack("!ci", header)
                    body = stream.read(length - 4)
                    if kind == b"E":
                        return _CANNOT_CONNECT_NOW not in body
                    if kind == b"Z":
                        connection.sendall(_TERMINATE)
                        return True
    except (OSError, struct.error):  # no socket, nobody listening, too slow, or closed in the middle of a message
        return False
    return False
