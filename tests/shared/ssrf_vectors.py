"""Hosts that lead where nobody may send us, the DNS that makes some of them do so, and public ones as controls."""

import socket

from shared.guard import Unreachable

_LITERALS = """
0.0.0.0 0.1.2.3 10.0.0.1 10.255.255.255 100.64.0.1 100.127.255.255 127.0.0.1 127.0.0.2 127.127.127.127 127.255.255.254
168.63.129.16 169.254.0.1 169.254.169.254 169.254.170.2 172.16.0.1 172.31.255.255 192.0.0.1 192.0.0.8 192.0.0.170
192.0.0.192 192.0.2.1 192.88.99.1 192.168.0.1 192.168.255.255 198.18.0.1 198.19.255.255 198.51.100.1 203.0.113.1
224.0.0.1 239.255.255.250 240.0.0.1 255.255.255.255
2130706433 3232235521 2852039166 167772161 0 1
0x7f000001 0x7f.0.0.1 0x7f.1 0xa9fea9fe 0xA9.0xFE.0xA9.0xFE 0xc0a80001 0x0
0177.0.0.1 0177.1 017700000001 00000177.0.0.1 0251.0376.0251.0376 012.0.0.1 0300.0250.0.1
127.1 127.0.1 10.1 192.168.1 172.16.1 169.254.43518 0.0
[::] [::1] [0:0:0:0:0:0:0:1] [0000:0000:0000:0000:0000:0000:0000:0001] [::7f00:1] [::127.0.0.1] [::a00:1]
[::ffff:127.0.0.1] [::ffff:7f00:1] [::ffff:10.0.0.1] [::ffff:169.254.169.254] [::ffff:c0a8:1] [0:0:0:0:0:ffff:7f00:1]
[::ffff:0:127.0.0.1] [64:ff9b::127.0.0.1] [64:ff9b::a9fe:a9fe] [64:ff9b::c0a8:101] [64:ff9b:1::a00:1]
[64:ff9b:1:ffff::7f00:1] [2002:7f00:1::] [2002:a00:1::1] [2002:a9fe:a9fe::] [2002:c0a8:101::1] [100::1]
[2001::1] [2001:0:7f00:1::] [2001:10::1] [2001:20::1] [2001:db8::1] [2620:4f:8000::1] [3fff::1] [5f00::1]
[fc00::1] [fd00:ec2::254] [fd12:3456:789a::1] [fe80::1] [fe80::a9fe:a9fe] [fec0::1] [ff02::1] [ff0e::1]
"""
NAMES = {  # to what the DNS answers, the first time, the second …; the last for ever
    "localhost": [["127.0.0.1", "::1"]],
    "localhost.": [["127.0.0.1"]],
    "LOCALHOST": [["127.0.0.1"]],
    "anything.localhost": [["127.0.0.1"]],
    "127.0.0.1.nip.example": [["127.0.0.1"]],
    "inside.example": [["10.1.2.3"]],
    "metadata.google.internal": [["169.254.169.254"]],
    "six.example": [["::1"]],
    "mapped.example": [["::ffff:10.0.0.1"]],
    "scoped.example": [["fe80::1%eth0"]],
    "nat64.example": [["64:ff9b::a00:1"]],
    "mixed-last.example": [["93.184.216.34", "127.0.0.1"]],
    "mixed-first.example": [["10.0.0.1", "93.184.216.34"]],
    "mixed-families.example": [["93.184.216.34", "fd00::1"]],
    "mixed-six.example": [["2606:2800:220:1::1", "::1"]],
    "xn--bcher-kva.example": [["192.168.0.7"]],
}
SPELLINGS = [  # whole URLs whose host is not what it seems
    "http://93.184.216.34@127.0.0.1/x",
    "http://user:pass@127.0.0.1/x",
    "http://public.example:80@127.0.0.1/x",
    "http://public.example%40127.0.0.1@10.0.0.1/x",
    "http://127.0.0.1:80#@public.example/x",
    "http://127.0.0.1:80?@public.example/x",
    "http://127.0.0.1/@public.example/x",
    "http:\\\\127.0.0.1\\x",
    "http:127.0.0.1/x",
    "http:///127.0.0.1/x",
    "//127.0.0.1/x",
    "http://①②⑦.⓪.⓪.①/x",
    "http://127。0。0。1/x",
    "http://ⓛⓞⓒⓐⓛⓗⓞⓢⓣ/x",
    "http://[::1%25eth0]/x",
    "http://127.0.0.1%00.public.example/x",
    "http://127.0.0.1%2f@public.example@10.0.0.1/x",
    "http://0/x",
    "file:///etc/passwd",
    "gopher://127.0.0.1:6379/_INFO",
    "ftp://127.0.0.1/x",
    "dict://127.0.0.1:11211/stat",
    "unix:///var/run/docker.sock",
]
VECTORS = [
    *(f"http://{host}/x" for host in (*_LITERALS.split(), *NAMES)),
    *(f"https://{host}/x" for host in ("127.0.0.1", "[::1]", "inside.example", "0x7f000001", "[64:ff9b::7f00:1]")),
    *(f"http://{host}:{port}/x" for host in ("127.0.0.1", "169.254.169.254") for port in (22, 80, 4222, 8080)),
    *SPELLINGS,
]
PUBLIC = {
    "public.example": [["93.184.216.34"]],
    "public-six.example": [["2606:2800:220:1::1"]],
    "two.example": [["93.184.216.34", "8.8.8.8"]],
}
CONTROLS = [
    "http://93.184.216.34/x",
    "http://8.8.8.8/x",
    "http://[2606:2800:220:1::1]/x",
    "http://[::ffff:8.8.8.8]/x",
    "http://134744072/x",  # 8.8.8.8
    "http://user:pass@public.example/x",
    "http://127.0.0.1\\@public.example/x",  # a user by RFC 3986, which the client follows throughout
    *(f"http://{host}/x" for host in PUBLIC),
]


class Dns:
    """Answers as `NAMES` and `PUBLIC` say; address literals of all spellings as the system reads them."""

    def __init__(self, names: dict[str, list[list[str]]] | None = None) -> None:
        self._names = {name: list(answers) for name, answers in (NAMES | PUBLIC | (names or {})).items()}

    async def __call__(self, host: str, port: int) -> list[str]:
        """Return the host's addresses this time."""
        answers = self._names.get(host) or self._names.get(host.lower())
        if answers:
            return answers.pop(0) if len(answers) > 1 else answers[0]
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
        except (OSError, ValueError) as error:
            raise Unreachable(f"no such host: {host}") from error
        return [str(entry[4][0]) for entry in found]
