"""A real moto server in auth mode on loopback: it checks every signature."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager

import httpx
import msgspec

BUCKET = "images"
EVERYTHING = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}'
UNSIGNED_CALLS = "4"  # those of `prepare`; everything later must be signed by the user made there


class S3Server(msgspec.Struct, frozen=True):
    """Where it listens and who may use it."""

    endpoint: str
    access_key_id: str
    secret_access_key: str


@contextmanager
def running_s3() -> Generator[S3Server]:
    """Run the server; it has the one bucket `BUCKET`."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        env={**os.environ, "INITIAL_NO_AUTH_ACTION_COUNT": UNSIGNED_CALLS},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for_port(port)
        yield prepare(f"http://127.0.0.1:{port}")
    finally:
        process.kill()
        process.wait()


def wait_for_port(port: int) -> None:
    """Return once somebody listens there."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise TimeoutError(f"nobody listens on {port}")


def prepare(endpoint: str) -> S3Server:
    """Make a user who may use S3, and the bucket."""
    iam(endpoint, Action="CreateUser", UserName="halftone")
    key = iam(endpoint, Action="CreateAccessKey", UserName="halftone")
    iam(endpoint, Action="PutUserPolicy", UserName="halftone", PolicyName="s3", PolicyDocument=EVERYTHING)
    httpx.put(f"{endpoint}/{BUCKET}", trust_env=False).raise_for_status()
    return S3Server(endpoint, text_of(key, "AccessKeyId"), text_of(key, "SecretAccessKey"))


def iam(endpoint: str, **call: str) -> str:
    """Call IAM; the header says only which service is meant."""
    meant = {"Authorization": "AWS4-HMAC-SHA256 Credential=any/20200101/us-east-1/iam/aws4_request"}
    answer = httpx.post(endpoint, data=call, headers=meant, trust_env=False)
    return answer.raise_for_status().text


def text_of(xml: str, tag: str) -> str:
    """Return the text of the first such element."""
    return xml.partition(f"<{tag}>")[2].partition("<")[0]
