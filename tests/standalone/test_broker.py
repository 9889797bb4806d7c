"""The embedded broker's port."""

import socket

import pytest

from services.standalone.broker import free_port


def test_a_free_port_is_kept_for_whoever_listens_on_it() -> None:
    port = free_port()
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(("127.0.0.1", port))
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))

    with socket.create_server(("127.0.0.1", port)), socket.create_connection(("127.0.0.1", port)) as client:
        assert client.getpeername()[1] == port
