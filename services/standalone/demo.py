"""`halftone demo`: the sample site mirrored by the whole system, left up to look at."""

import sys
from pathlib import Path

import msgspec

from services.standalone import sample_site
from services.standalone.forever import tell, wait
from services.standalone.once import ask
from services.standalone.system import Options, running


async def run_demo(data: Path, port: int, *, once: bool) -> None:
    """Mirror the sample site; stay up until cancelled, unless `once`.

    Raises:
        FetchFailed: The poll did not work.
        Misconfigured: The system cannot run.
    """
    with sample_site.serving() as site:
        options = Options(data=data, port=port, public_port=port, allow_hosts=site, quiet=True)
        async with running(options) as system:
            record = msgspec.json.decode(await ask(system, f"http://{site}/feed.xml"))
            print(f"\nThe record: {system.url}/api/records/{record['record']['requestId']}", file=sys.stderr)
            for image in record["extra12ImgCdnSuccessResultVector"]:
                print(f"  {image['fixedGithubDest']}", file=sys.stderr)
            if not once:
                tell(system)
                await wait(system)
