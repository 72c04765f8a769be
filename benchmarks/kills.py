"""Kills `thriftune predict` again and again at a random moment, and looks whether its output is whole in the end.

    python benchmarks/kills.py results new.csv --kills 10

Each next command goes on where the killed one was. The output must be the bytes of an undisturbed run: every row once.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def main() -> None:
    """Says how many kills there were; exits with 1 where the outputs differ."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", help="as `thriftune predict` takes it")
    parser.add_argument("file", type=Path)
    parser.add_argument("--kills", type=int, default=10)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="thriftune-kills-") as name:
        whole, out = (Path(name) / f"{each}{args.file.suffix}" for each in ("whole", "out"))
        command = [sys.executable, "-m", "thriftune", "predict", args.source, str(args.file), "--out"]
        started = time.monotonic()
        subprocess.run([*command, str(whole)], check=True)
        took, kills, clock = time.monotonic() - started, 0, random.Random(0)
        while kills < args.kills:
            process = subprocess.Popen([*command, str(out)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(clock.uniform(0.3, 1.0) * took)
            kills += process.poll() is None
            process.kill()
            process.wait()
        subprocess.run([*command, str(out)], check=True)
        same = out.read_bytes() == whole.read_bytes()
    print(f"{kills} kills; the output is {'that of an undisturbed run' if same else 'ANOTHER'}.")
    sys.exit(not same)


if __name__ == "__main__":
    main()
