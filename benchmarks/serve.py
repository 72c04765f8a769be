"""`thriftune serve` under load: many clients at once, requests per second, how long answers take, memory over time.

    python benchmarks/serve.py --folder ../shared/data/banking77
    python benchmarks/serve.py --seconds 10

The texts are those of test.csv in the folder (a column text), else the demo's SNLI hypotheses. A model folder with the
demo's encoder and a head of 77 labels that is not trained is served by `thriftune serve` in a process of its own. First
one client asks 200 times for one text, twenty times and then `Classifier.predict_proba([text])` in this process twenty
times: what a request costs beyond the prediction. (One by one, each would find the caches full of the other's weights
and the processors held by the other's threads, which wait for work.) Then the clients (200), each on its own
connection, ask for one text after another for so many seconds. Every answer that is no 200 is an error. The service's
resident set is read every half second: what counts is whether it grows once it is warm, so the first tenth is reported
apart.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import psutil
from compare import save
from predict import stored, texts_of

from thriftune.use.classifier import Classifier

SERVE = [sys.executable, "-W", "ignore", "-c", "from thriftune.cli import main; main()", "serve"]
SINGLES, BLOCK = 200, 20


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, body: bytes) -> int:
    """One request on an open connection; the status of its answer, which is read whole."""
    head = f"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)
    found = await reader.readuntil(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", found, re.IGNORECASE)
    assert length is not None, found
    await reader.readexactly(int(length[1]))
    return int(found.split(b" ", 2)[1])


async def clients_of(url: str, bodies: list[bytes], clients: int, seconds: float) -> tuple[list[float], Counter[str]]:
    """Seconds of every answered request, and how many errors there were of which kind."""
    taken: list[float] = []
    errors: Counter[str] = Counter()
    until = time.perf_counter() + seconds
    place = urlsplit(url)

    async def client(number: int) -> None:
        turn = number
        reader, writer = await asyncio.open_connection(place.hostname, place.port)
        try:
            while time.perf_counter() < until:
                started = time.perf_counter()
                status = await ask(reader, writer, bodies[turn % len(bodies)])
                taken.append(time.perf_counter() - started)
                turn += clients
                if status != 200:
                    errors[str(status)] += 1
        except (OSError, asyncio.IncompleteReadError) as error:
            errors[type(error).__name__] += 1
        finally:
            writer.close()

    await asyncio.gather(*map(client, range(clients)))
    return taken, errors


def load(url: str, requests: list[list[str]], clients: int, seconds: float) -> dict[str, Any]:
    """What so many clients saw: requests, texts per second, milliseconds, errors by kind."""
    bodies = [json.dumps({"texts": texts}).encode() for texts in requests]
    started = time.perf_counter()
    taken, errors = asyncio.run(clients_of(url, bodies, clients, seconds))
    whole = time.perf_counter() - started
    median, late, last = np.percentile(taken, [50, 95, 99]) * 1000
    return {
        "clients": clients,
        "seconds": whole,
        "requests": len(taken),
        "requests_per_second": len(taken) / whole,
        "median_ms": float(median),
        "p95_ms": float(late),
        "p99_ms": float(last),
        "most_ms": max(taken) * 1000,
        "errors": dict(errors),
    }


def singles(process: psutil.Process, url: str, folder: Path, texts: list[str]) -> dict[str, Any]:
    """Milliseconds of one text by a request and by `predict_proba`, twenty each in turn; of clock and processors.

    What the service's process computed for a request counts all of it, HTTP included, and does not depend on what
    else the machine does.
    """
    classifier = Classifier.load(folder, engine="auto")
    place = urlsplit(url)
    direct, served, direct_busy, served_busy = [], [], 0.0, 0.0

    async def both() -> None:
        nonlocal direct_busy, served_busy
        reader, writer = await asyncio.open_connection(place.hostname, place.port)
        for start in range(-BLOCK, SINGLES, BLOCK):  # the first block is warm-up
            block = [texts[index % len(texts)] for index in range(start + BLOCK, start + 2 * BLOCK)]
            busy = time.process_time()
            for text in block:
                started = time.perf_counter()
                classifier.predict_proba([text])
                direct.append(time.perf_counter() - started)
            direct_busy += time.process_time() - busy
            busy = sum(process.cpu_times()[:2])
            for text in block:
                started = time.perf_counter()
                assert await ask(reader, writer, json.dumps({"texts": [text]}).encode()) == 200
                served.append(time.perf_counter() - started)
            served_busy += sum(process.cpu_times()[:2]) - busy
            if start < 0:
                direct.clear(), served.clear()
                direct_busy = served_busy = 0.0
        writer.close()

    asyncio.run(both())
    busy = {"direct_busy_ms": 1000 * direct_busy / SINGLES, "served_busy_ms": 1000 * served_busy / SINGLES}
    ours, theirs = statistics.median(direct) * 1000, statistics.median(served) * 1000
    return {"direct_ms": ours, "served_ms": theirs, "overhead_ms": theirs - ours} | busy


def watched(process: psutil.Process, url: str, texts: list[str], clients: int, seconds: float) -> dict[str, Any]:
    """The load, with the service's resident set at its start, middle and end."""
    command = [sys.executable, "-W", "ignore", __file__, "--load", url, str(clients), str(seconds)]
    sizes: list[int] = []
    with tempfile.TemporaryFile("w+") as given:
        json.dump([[text] for text in texts], given)
        given.seek(0)
        asking = subprocess.Popen(command, stdin=given, stdout=subprocess.PIPE, text=True)
        while asking.poll() is None:
            sizes.append(process.memory_info().rss)
            time.sleep(0.5)
        assert asking.stdout is not None
        found: dict[str, Any] = json.loads(asking.stdout.read().splitlines()[-1])
    warm = sizes[len(sizes) // 10 :]
    found["resident_bytes"] = {"first": sizes[0], "warm": warm[0], "middle": warm[len(warm) // 2], "last": warm[-1]}
    return found | {"grown": warm[-1] / warm[0] - 1}


def main() -> None:
    """Measures, prints and writes benchmarks/results/serve.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="holds test.csv with a column text; else the demo's texts")
    parser.add_argument("--texts", type=int, default=2000)
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--load", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.load:
        url, clients, seconds = args.load
        print(json.dumps(load(url, json.load(sys.stdin), int(clients), float(seconds))))
        return
    texts = texts_of(args.folder, args.texts)
    with tempfile.TemporaryDirectory(prefix="thriftune-serve-") as name:
        folder = stored(Path(name) / "model")
        serving = subprocess.Popen([*SERVE, str(folder), "--port", "0"], stdout=subprocess.PIPE, text=True)
        try:
            assert serving.stdout is not None
            found = re.search(r"http://[\d.]+:\d+", serving.stdout.readline())
            assert found is not None
            single = singles(psutil.Process(serving.pid), found[0], folder, texts)
            row = watched(psutil.Process(serving.pid), found[0], texts, args.clients, args.seconds)
        finally:
            serving.terminate()
            row_code = serving.wait(60)
    print(
        f"One text: {single['direct_ms']:.2f} ms by predict_proba, {single['served_ms']:.2f} ms by a request "
        f"({single['overhead_ms']:.2f} ms more); the processors' time {single['direct_busy_ms']:.2f} and "
        f"{single['served_busy_ms']:.2f} ms."
    )
    sizes = ", ".join(f"{when} {size / 1e6:,.0f} MB" for when, size in row["resident_bytes"].items())
    print(
        f"{row['clients']} clients, {row['seconds']:.0f} s: {row['requests_per_second']:,.0f} requests/s, median "
        f"{row['median_ms']:,.0f} ms, 95th {row['p95_ms']:,.0f}, 99th {row['p99_ms']:,.0f}; errors: "
        f"{row['errors'] or 'none'}; resident {sizes}"
    )
    settings = {**vars(args), "folder": args.folder and args.folder.name, "load": None}
    print(save("serve", settings, [single, row | {"exit_code": row_code}]))


if __name__ == "__main__":
    main()
