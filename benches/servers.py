"""What the comparisons share: servers that are started, waited for and ended."""

import contextlib
import os
import socket
import subprocess
import sys
import time
import urllib.request


def environment(**more):
    """The caller's, but without settings of hn-ingest and without a proxy."""
    ours = ("INGEST_", "DATABASE_URL", "RUST_LOG", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
    kept = {name: value for name, value in os.environ.items() if not name.upper().startswith(ours)}
    return {**kept, **more}


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


@contextlib.contextmanager
def serving(command, **options):
    """A server that is ended when it is no longer needed."""
    process = subprocess.Popen(command, env=environment(), **options)
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def wait_until_it_answers(url, context=None):
    for _ in range(200):
        try:
            return urllib.request.build_opener(
                urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
            ).open(url, timeout=5).read()
        except OSError:
            time.sleep(0.05)
    sys.exit(f"{url} does not answer")
