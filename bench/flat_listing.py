"""How long a flat folder of many keys takes to list: by a server that answers as S3 does, each time after 30 ms.

The server is made for this, and lists keys out of memory: the one that the tests use reads its whole disk for each
answer, which S3 does not. Once one answer after the other, and once by ranges side by side; prints keys, requests and
seconds of each.
"""

import argparse
import os
import sys
import time
from bisect import bisect_right
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing import get_context
from multiprocessing.connection import Connection
from urllib.parse import parse_qs, urlsplit

from lakehouse.storage import walk
from lakehouse.storage.folder_rules import FolderRules
from tests.lakehouse.s3server import environment

DELAY = 0.03  # seconds before each answer
PAGE = 1_000
READERS = 32
ROOT = "s3://flat/photographs"
_ENTRY = (
    "<Contents><Key>{}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified><Size>1</Size>"
    "<StorageClass>STANDARD</StorageClass></Contents>"
)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keys", type=int, default=100_000)
    keys = parser.parse_args().keys
    context = get_context("spawn")
    ours, its = context.Pipe()
    server = context.Process(target=_serve, args=(keys, its), daemon=True)
    server.start()
    os.environ.update(environment(ours.recv()))
    try:
        for name, readers in (("one after the other", 1), (f"by ranges, {READERS} threads", READERS)):
            begun = time.perf_counter()
            found = _listed(readers)
            seconds = time.perf_counter() - begun
            ours.send(None)
            print(f"{name:<24} {found:>10,} keys {ours.recv():>6,} requests {seconds:7.1f} s")
            if found != keys:
                raise RuntimeError(f"{found} keys of {keys}: this measures nothing.")
    finally:
        server.kill()
    print(f"{DELAY * 1000:.0f} ms for each answer, {os.cpu_count()} cores, of which the server takes a part")
    return 0


def _listed(readers: int) -> int:
    with ThreadPoolExecutor(readers) as pool:
        rules, ranges = FolderRules(entered=frozenset([ROOT])), pool if readers > 1 else None
        return len({file.path for file in walk(ROOT, rules, recursive=True, required=True, pool=ranges)})


def _serve(count: int, asked: Connection) -> None:
    keys = [f"photographs/IMG_{number:08}.jpg" for number in range(count)]
    entries = [_ENTRY.format(key) for key in keys]
    requests: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            requests.append(self.path)
            query = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
            behind = query.get("continuation-token", query.get("start-after", ""))
            start = bisect_right(keys, behind)
            end = start + PAGE
            more = f"<NextContinuationToken>{keys[end - 1]}</NextContinuationToken>" if end < len(keys) else ""
            body = (
                f"<ListBucketResult><IsTruncated>{str(bool(more)).lower()}</IsTruncated>{more}"
                f"<KeyCount>{len(keys[start:end])}</KeyCount>{''.join(entries[start:end])}</ListBucketResult>"
            ).encode()
            time.sleep(DELAY)
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    def tell() -> None:
        while True:
            asked.recv()
            asked.send(len(requests))
            requests.clear()

    with ThreadPoolExecutor(1) as pool:
        pool.submit(tell)
        asked.send(http.server_address[1])
        http.serve_forever()


if __name__ == "__main__":
    sys.exit(main())
