"""How well bronze hides a store that answers late: a real S3 server whose GETs take 30 ms more.

Reads FRUITS_IMAGES (or FRUITS_TEST_IMAGES), uploads each photograph several times, ingests all through a proxy that
holds each request back, and compares with one reader a core that gets one object after the other from the same proxy.
"""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path

from lakehouse.storage import read_file, write_file
from tests.lakehouse.s3server import S3Server, environment

DELAY = 0.03  # seconds before a GET is handed on
COPIES = 3
ALONE = 400  # objects that the readers of one at a time get: their rate is steady
FACTOR = 8.0  # × one reader a core, at the least


def main() -> int:
    """Measure, print both rates, and return 1 where bronze is not FACTOR times as fast."""
    folder = os.environ.get("FRUITS_IMAGES") or os.environ.get("FRUITS_TEST_IMAGES")
    if folder is None:
        print("Set FRUITS_IMAGES to a folder of photographs.", file=sys.stderr)
        return 2
    cores = os.cpu_count() or 1
    with tempfile.TemporaryDirectory() as work:
        server = S3Server(Path(work))
        server.start()
        uris = _upload(server, Path(folder))
        port, proxy = _start_proxy(server.port)
        os.environ["AWS_ENDPOINT_URL"] = f"http://127.0.0.1:{port}"
        try:
            alone = _one_reader_a_core(uris[:ALONE], cores)
            bronze = _bronze(Path(work) / "lake", len(uris))
        finally:
            proxy.kill()
            server.stop()
    factor = bronze / alone
    print(f"{len(uris):,} objects, {DELAY * 1000:.0f} ms more for each GET, {cores} cores")
    print(f"one reader a core {alone:7.0f} images/s")
    print(f"bronze            {bronze:7.0f} images/s, {factor:.1f} × (at least {FACTOR})")
    return 0 if factor >= FACTOR else 1


def _upload(server: S3Server, folder: Path) -> list[str]:
    os.environ.update(environment(server.port))
    from boto3.session import Session

    Session().client("s3").create_bucket(Bucket="fruits")
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    uris = [f"s3://fruits/photographs/{copy}/{path.relative_to(folder)}" for copy in range(COPIES) for path in files]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda uri, path: write_file(uri, path.read_bytes()), uris, files * COPIES))
    return uris


def _one_reader_a_core(uris: list[str], cores: int) -> float:
    """Objects a second by as many processes as there are cores, each getting one object after the other."""
    with ProcessPoolExecutor(cores, mp_context=get_context("spawn")) as pool:
        list(pool.map(_read_all, [uris[:1]] * cores))  # imports and connections
        begun = time.perf_counter()
        list(pool.map(_read_all, [uris[part::cores] for part in range(cores)]))
        return len(uris) / (time.perf_counter() - begun)


def _read_all(uris: list[str]) -> None:
    for uri in uris:
        read_file(uri)


def _bronze(lake: Path, expected: int) -> float:
    """Photographs a second of the whole bronze job: discovery, reading, decoding, writing."""
    command = [sys.executable, "-m", "fruits", "bronze", "--images", "s3://fruits/photographs", "--lake", str(lake)]
    done = subprocess.run([*command, "--format", "json"], stdout=subprocess.PIPE, check=True, text=True)
    summary = json.loads(done.stdout)
    if summary["bronze"]["ingested"] != expected:
        raise RuntimeError(f"{expected} objects, and {summary['bronze']} of them: this measures nothing.")
    print(summary["seconds"], file=sys.stderr)
    return expected / float(summary["seconds"]["bronze"])


def _start_proxy(target: int) -> tuple[int, SpawnProcess]:
    context = get_context("spawn")
    ours, its = context.Pipe()
    process = context.Process(target=_serve, args=(target, its), daemon=True)
    process.start()
    port: int = ours.recv()
    return port, process


def _serve(target: int, ready: Connection) -> None:
    async def main() -> None:
        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            upstream, out = await asyncio.open_connection("127.0.0.1", target)
            with suppress(ConnectionError):
                await asyncio.gather(_pass_on(reader, out, DELAY), _pass_on(upstream, writer, 0))

        server = await asyncio.start_server(connected, "127.0.0.1", 0)
        ready.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(main())


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay: float) -> None:
    while data := await reader.read(1 << 16):
        if delay and data.startswith(b"GET"):
            await asyncio.sleep(delay)
        writer.write(data)
        await writer.drain()
    writer.close()


if __name__ == "__main__":
    sys.exit(main())
