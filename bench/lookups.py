"""Measure costs inside the authorizer that are invisible from outside: cached tokens, finding an endpoint.

python bench/lookups.py memory|matching FOLDER [--database ADDRESS]    # the folder is for a database
"""

import argparse
import asyncio
import gc
import math
import time
import tracemalloc
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import psutil
from stock import stock, stock_postgresql, token

from private_integrations.contract import digest_of
from private_integrations_service.catalogue.endpoints import Catalogue, Endpoint
from private_integrations_service.operations.live_grants import LiveGrants
from private_integrations_service.server.clock import utc_now
from private_integrations_service.storage.engine import StorageEngine
from private_integrations_service.storage.grants import GrantReader
from private_integrations_service.storage.postgresql.engine import open_postgresql
from private_integrations_service.storage.sqlite.engine import open_database

CACHED = 100_000
REPEATS, CALLS = 100, 100


def memory(folder: Path, address: str | None) -> None:
    """Measure the megabytes of 100,000 cached tokens: as objects, and as the process grows."""
    data = folder / "cached"
    with closing(stocked(data, address)) as database, closing(GrantReader(database)) as reader:
        database.begin()
        resident = psutil.Process()
        before = resident.memory_info().rss
        kept = filled(LiveGrants(reader, database.epoch, CACHED))
        grown = resident.memory_info().rss - before
        assert len(kept) == CACHED
        del kept
        gc.collect()
        tracemalloc.start()
        kept = filled(LiveGrants(reader, database.epoch, CACHED))
        objects, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert len(kept) == CACHED
    print("| 100,000 cached tokens | MB | bytes per token |\n|---|---|---|")
    for name, size in (("objects (tracemalloc)", objects), ("the process grows by (RSS)", grown)):
        print(f"| {name} | {size / 1e6:.1f} | {size / CACHED:.0f} |")


def stocked(data: Path, address: str | None) -> StorageEngine:
    if address is None:
        stock(data, CACHED)
        return open_database(data, utc_now)
    stock_postgresql(address, data, CACHED)
    return open_postgresql(address, data)


def filled(grants: LiveGrants) -> LiveGrants:
    now = utc_now()

    async def fill() -> None:
        for number in range(1, CACHED + 1):
            await grants.find(digest_of(token(number)), now)

    asyncio.run(fill())
    return grants


def matching(_: Path, __: str | None) -> None:
    """Measure finding the endpoint of a request, for each of the catalogue's: cheapest, median and dearest."""
    catalogue = Catalogue.load()
    paths = {endpoint: path_to(endpoint) for endpoint in catalogue.endpoints}
    assert all(catalogue.match(endpoint.method, path) for endpoint, path in paths.items())
    costs = dict.fromkeys(paths, math.inf)
    # Interleaved, so that a busy second of the machine falls on all alike.
    for _ in range(REPEATS):
        for endpoint, path in paths.items():
            costs[endpoint] = min(costs[endpoint], cost(catalogue, endpoint.method, path))
    ranked = sorted(costs, key=costs.__getitem__)
    cheapest = costs[ranked[0]]
    print(f"| finding one of {len(ranked)} endpoints | ns | ÷ cheapest |\n|---|---|---|")
    shown = {"cheapest": ranked[0], "median": ranked[len(ranked) // 2], "dearest": ranked[-1]}
    shown["deepest"] = max(ranked, key=lambda endpoint: endpoint.path.count("/"))
    for name, endpoint in shown.items():
        ratio = costs[endpoint] / cheapest
        print(f"| {name}: `{endpoint.method} {endpoint.path}` | {costs[endpoint] * 1e9:.0f} | {ratio:.2f} |")


def path_to(endpoint: Endpoint) -> str:
    """Return the endpoint's path with ids of twenty characters."""
    path = endpoint.path
    for _, name in endpoint.parameters:
        path = path.replace(f"{{{name}}}", "sx6wyHhbFdRXh302LunR")
    return path


def cost(catalogue: Catalogue, method: str, path: str) -> float:
    """Measure the CPU seconds to find an endpoint."""
    begin = time.process_time()
    for _ in range(CALLS):
        catalogue.match(method, path)
    return (time.process_time() - begin) / CALLS


MEASURES: dict[str, Callable[[Path, str | None], None]] = {"memory": memory, "matching": matching}


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("measure", choices=MEASURES)
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--database", help="the address of an empty PostgreSQL database, for memory")
    options = arguments.parse_args()
    MEASURES[options.measure](options.folder, options.database)


if __name__ == "__main__":
    main()
