"""Read requests at random with our server and with llhttp, h11, Granian (hyper) and nginx; find those read in two ways.

    python bench/request_bytes.py 1000000 [SEED]

A million cases take some fifteen minutes. The cases are those of tests/service/programs/request_fuzz.py.
"""

import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import uvloop

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "service" / "programs"))
from request_fuzz import Read, cases_of, differs, granian, granian_reads, h11_reads, llhttp, nginx, nginx_reads


def main() -> None:
    """Compare with all others, and print the cases that were read in two ways."""
    count, seed = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1
    differences: Counter[str] = Counter()

    def shown(name: str, sent: bytes, read: list[Read]) -> None:
        differences[name] += 1
        if differences[name] <= 5:
            print(name, repr(sent), read, flush=True)

    with granian() as hyper, nginx() as proxy, ThreadPoolExecutor(8) as pool:

        def compare(sent: bytes, read: list[Read]) -> None:
            for name, reader in (("llhttp", llhttp), ("h11", h11_reads)):
                if differs(read, reader(sent)):
                    shown(name, sent, read)
            waiting.append((pool.submit(granian_reads, hyper, sent, read), "granian", sent, read))
            waiting.append((pool.submit(nginx_reads, proxy, sent, read), "nginx", sent, read))

        done: Counter[str] = Counter()
        for number in range(0, count, 1000):
            waiting: list = []
            done += uvloop.run(cases_of(seed * 1_000_003 + number, min(1000, count - number), compare))
            for future, name, sent, read in waiting:
                if future.result():
                    shown(name, sent, read)
            if number % 50_000 == 0:
                print(number, dict(done), dict(differences), flush=True)
    print(sum(done.values()), "cases:", dict(done), "read in two ways:", dict(differences) or 0)
    sys.exit(bool(differences))


if __name__ == "__main__":
    main()
