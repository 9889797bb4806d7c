"""The OpenAPI document: whatever a client sends by it, or against it, the fault is never ours."""

import asyncio
import re
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from services.api.tokens import new_token
from services.api.waiters import Waiters
from shared.memory import MemoryBus
from tests.api.conftest import TEMPLATE
from tests.api.postgres import new_database
from tests.api.running import Site, running_api
from tests.api.stories import told

Record = Callable[[Waiters, str, float], Awaitable[bytes | None]]
EXAMPLES = 4  # for each operation and phase
NEVER = ("--exclude-path", "/api/events", "--exclude-path", "/api/tokens/{token_id}")  # never ends; takes our rights


def impatient(record: Record) -> Record:
    """Wait no longer than a moment, whatever was asked for."""
    return lambda waiters, request_id, seconds: record(waiters, request_id, min(seconds, 0.05))


async def test_nothing_that_a_client_sends_is_answered_by_a_defect(
    memory_bus: MemoryBus, tmp_path: Path, postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = await new_database(postgres, template=TEMPLATE)  # the stricter of the two
    async with running_api(memory_bus, tmp_path, url, requests_per_minute=10**9) as site:
        await told(site)
        monkeypatch.setattr(Waiters, "record", impatient(Waiters.record))  # nobody is there to answer a poll
        token = await new_token(site.running.api.database, "schemathesis", "admin")
        process = await asyncio.create_subprocess_exec(
            str(Path(sys.executable).with_name("schemathesis")),
            "run",
            f"http://127.0.0.1:{site.running.port}/openapi.json",
            *("--checks", "not_a_server_error", "--max-examples", str(EXAMPLES), "--phases", "coverage,fuzzing"),
            *("--header", f"Authorization: Bearer {token}", "--suppress-health-check", "all", *NEVER),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            cwd=tmp_path,
        )
        try:
            output, _ = await asyncio.wait_for(process.communicate(), 110)
        finally:
            if process.returncode is None:
                process.kill()
                await process.communicate()

    assert process.returncode == 0, output.decode()[-4_000:]


async def test_the_document_is_openapi_3_1_and_its_page_needs_no_other_site(site: Site) -> None:
    document = (await site.client.get("/openapi.json")).json()

    page = (await site.client.get("/docs", headers={"Accept": "text/html"})).text

    assert document["openapi"].startswith("3.1")
    assert all(path in page for path in document["paths"])
    assert all(f"<code>{field}</code>" in page for field in ("interval_s", "folder", "requestId", "scope"))
    assert not re.search(r"""(?:src|href)=["']https?:""", page)
    assert {"/api/fetches", "/api/feeds", "/api/articles", "/api/images/retry"} <= set(document["paths"])
