"""Fetches the items whose ids stand on standard input and stores them: plain_asyncio.py BASE_URL DATABASE WORKERS

The program that one writes first: a semaphore, gather, a transaction for every 500 rows. No retries, no checks of what came.
"""

import asyncio
import json
import sys

import aiohttp
import aiosqlite

BATCH = 500
COLUMNS = "id type by time title url text score descendants parent kids".split()
CREATE = f"CREATE TABLE items (id INTEGER PRIMARY KEY, {', '.join(COLUMNS[1:])})"
INSERT = f"INSERT OR REPLACE INTO items VALUES ({', '.join('?' * len(COLUMNS))})"


def row(item):
    kids = item.get("kids")
    return [item.get(name) for name in COLUMNS[:-1]] + [kids and json.dumps(kids)]


async def main(base, database, workers):
    ids = [line.strip() for line in sys.stdin]
    semaphore = asyncio.Semaphore(workers)
    connector = aiohttp.TCPConnector(limit=workers)
    rows = []
    async with aiosqlite.connect(database) as db, aiohttp.ClientSession(connector=connector) as session:
        await db.execute("PRAGMA journal_mode = WAL")
        await db.execute("PRAGMA synchronous = NORMAL")
        await db.execute(CREATE)
        writing = asyncio.Lock()

        async def save():
            batch = rows[:]
            rows.clear()
            async with writing:
                await db.executemany(INSERT, batch)
                await db.commit()

        async def fetch(id):
            async with semaphore:
                async with session.get(f"{base}/item/{id}.json") as response:
                    response.raise_for_status()
                    rows.append(row(await response.json()))
            if len(rows) >= BATCH:
                await save()

        await asyncio.gather(*(fetch(id) for id in ids))
        await save()
    print(len(ids))


asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
