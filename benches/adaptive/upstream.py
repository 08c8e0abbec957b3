"""A small API of items whose answers take time: `upstream.py PORT steady|grows|stalls LATENCY_MS`."""

import asyncio
import sys

#: of `grows`: so many at once are answered almost as fast as one; with more, less is answered in all
AT_ONCE = 8
STALL_AFTER, STALL = 3, 5

port, kind, latency = int(sys.argv[1]), sys.argv[2], float(sys.argv[3]) / 1000
in_flight, first = 0, None


async def answer_time():
    global first
    now = asyncio.get_running_loop().time()
    first = first or now
    if kind == "grows":
        return now + latency * (1 + (in_flight / AT_ONCE) ** 2)
    stalled = first + STALL_AFTER
    if kind == "stalls" and stalled <= now + latency < stalled + STALL:
        return stalled + STALL
    return now + latency


async def serve(reader, writer):
    global in_flight
    try:
        while head := await reader.readuntil(b"\r\n\r\n"):
            path = head.split(b" ", 2)[1].decode()
            id = path.rsplit("/", 1)[1].removesuffix(".json")
            body = f'{{"id":{id},"type":"story","title":"A title","time":1700000000}}' if id.isdigit() else "null"
            in_flight += 1
            try:
                await asyncio.sleep(await answer_time() - asyncio.get_running_loop().time())
            finally:
                in_flight -= 1
            writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


asyncio.run(main())
