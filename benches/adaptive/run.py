"""Goodput with a fixed number of workers and with an adaptive one, on five kinds of server. README.md says how it measures."""

import argparse
import contextlib
import dataclasses
import json
import os
import pwd
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from servers import environment, free_port, serving, wait_until_it_answers  # noqa: E402

NGINX = """
{user}
daemon off;
pid nginx.pid;
error_log error.log crit;
worker_processes {processes};
events {{ worker_connections 1000; }}
http {{
  access_log off;
  keepalive_requests 1000000000;
  client_body_temp_path tmp; proxy_temp_path tmp; fastcgi_temp_path tmp; uwsgi_temp_path tmp; scgi_temp_path tmp;
  limit_conn_zone $server_name zone=at_once:1m;
  limit_req_zone $server_name zone=a_second:1m rate={rate}r/s;
  upstream slow {{ server 127.0.0.1:{upstream}; keepalive 100; }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    server_name any;
    location / {{
      {limit}
      proxy_pass http://slow; proxy_http_version 1.1; proxy_set_header Connection "";
    }}
    location ~ ^/fast/v0/item/(\\d+)\\.json$ {{
      default_type application/json;
      return 200 '{{"id":$1,"type":"story","title":"A title","time":1700000000}}';
    }}
  }}
}}
"""


@dataclasses.dataclass
class Server:
    title: str
    kind: str = "steady"
    latency: int = 20
    #: of nginx before it; without, the upstream is asked itself
    limit: str | None = None
    rate: int = 1
    path: str = "/v0"


SERVERS = {
    "concurrency": Server("503 past 8 at once", limit="limit_conn at_once 8; limit_conn_status 503;"),
    "rate": Server("429 past 200 a second", limit="limit_req zone=a_second burst=10 nodelay; limit_req_status 429;", rate=200),
    "grows": Server("latency grows with load, past 8 faster than it", kind="grows", latency=10),
    "stalls": Server("stalls for five seconds", kind="stalls"),
    "fast": Server("fast and healthy", limit="", path="/fast/v0"),
}
MORE = {
    "concurrency-2": Server("503 past 2 at once", limit="limit_conn at_once 2; limit_conn_status 503;"),
    "concurrency-32": Server("503 past 32 at once", limit="limit_conn at_once 32; limit_conn_status 503;"),
    "concurrency-slow": Server("503 past 8 at once, 300 ms", latency=300, limit="limit_conn at_once 8; limit_conn_status 503;"),
    "concurrency-429": Server("429 past 8 at once", limit="limit_conn at_once 8; limit_conn_status 429;"),
    "rate-20": Server("429 past 20 a second", limit="limit_req zone=a_second burst=5 nodelay; limit_req_status 429;", rate=20),
    "rate-1000": Server("429 past 1000 a second", limit="limit_req zone=a_second burst=20 nodelay; limit_req_status 429;",
                        rate=1000),
    "rate-no-burst": Server("429 past 100 a second, no burst", limit="limit_req zone=a_second; limit_req_status 429;", rate=100),
    "rate-503": Server("503 past 200 a second", limit="limit_req zone=a_second burst=10 nodelay;", rate=200),
    "queue": Server("queues past 32 a second or so", limit="limit_req zone=a_second burst=1000;", rate=300),
    "steady": Server("100 ms, healthy", latency=100),
}
SERVERS_ALL = {**SERVERS, **MORE}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bin", type=Path, required=True, help="folder of hn-ingest")
    parser.add_argument("--seconds", type=float, default=15, help="how long a run lasts (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each setting (%(default)s)")
    parser.add_argument("--servers", default=",".join(SERVERS), help=f"of {','.join(SERVERS_ALL)} (the first five)")
    parser.add_argument("--workers", default="1,2,4,8,16,32,64", help="fixed settings; the last is the ceiling (%(default)s)")
    parser.add_argument("--processes", type=int, default=1, help="of nginx (%(default)s)")
    parser.add_argument("--log", help="RUST_LOG of the adaptive runs")
    args = parser.parse_args()
    args.servers, args.workers = args.servers.split(","), [int(number) for number in args.workers.split(",")]
    return args


@contextlib.contextmanager
def started(server, args):
    """The server's base URL. It is fresh: its stall is counted from its first request."""
    upstream, port = free_port(), free_port()
    with contextlib.ExitStack() as stack:
        command = [sys.executable, HERE / "upstream.py", str(upstream), server.kind, str(server.latency)]
        stack.enter_context(serving(command))
        if server.limit is None:
            port = upstream
        else:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="adaptive-")))
            folder.chmod(0o755)
            (folder / "tmp").mkdir()
            user = f"user {pwd.getpwuid(0).pw_name};" if os.geteuid() == 0 else ""
            config = NGINX.format(user=user, port=port, upstream=upstream, limit=server.limit, rate=server.rate,
                                  processes=args.processes)
            (folder / "nginx.conf").write_text(config)
            stack.enter_context(serving(["nginx", "-p", folder, "-c", folder / "nginx.conf", "-e", folder / "error.log"]))
        base = f"http://127.0.0.1:{port}{server.path}"
        if server.kind != "stalls":
            wait_until_it_answers(f"{base}/item/1.json")
        time.sleep(1)
        yield base


def run(server, workers, adaptive, args):
    """The report of a run that is interrupted after so many seconds."""
    with started(server, args) as base, tempfile.TemporaryDirectory(prefix="adaptive-") as folder:
        command = [args.bin / "hn-ingest", "items", "-", "--workers", str(workers), "--adaptive", str(adaptive).lower(),
                   "--api-url", base, "--database", Path(folder) / "run.db", "--format", "json", "--drain", "0s"]
        ids = subprocess.Popen(["seq", "1", "100000000"], stdout=subprocess.PIPE)
        env = environment(RUST_LOG=args.log) if args.log and adaptive else environment()
        process = subprocess.Popen(command, stdin=ids.stdout, stdout=subprocess.PIPE, text=True, env=env)
        ids.stdout.close()
        time.sleep(args.seconds)
        process.send_signal(signal.SIGINT)
        printed, _ = process.communicate()
        ids.kill()
        ids.wait()
        return json.loads(printed)


@dataclasses.dataclass
class Measured:
    workers: str
    goodput: float
    failed: int
    retries: int

    @classmethod
    def of(cls, workers, reports):
        goodput = statistics.median(report["stored"] * 1000 / report["elapsed_ms"] for report in reports)
        failed, retries = (statistics.median(report[key] for report in reports) for key in ("failed", "retries"))
        return cls(workers, goodput, failed, retries)


def measure(name, args):
    """Round by round, so that what else the machine does meets every setting."""
    server = SERVERS_ALL[name]
    settings = [(workers, False) for workers in args.workers] + [(args.workers[-1], True)]
    reports = {setting: [] for setting in settings}
    for _ in range(args.rounds):
        for workers, adaptive in settings:
            reports[workers, adaptive].append(run(server, workers, adaptive, args))
    measured = {setting: Measured.of(str(setting[0]), reports[setting]) for setting in settings}
    for (workers, adaptive), m in measured.items():
        print(f"  {name}: {workers:3}{' adaptive' if adaptive else ''}: {m.goodput:.1f}/s, {m.failed:.0f} failed, "
              f"{m.retries:.0f} retries", file=sys.stderr)
    return measured


def main():
    args = arguments()
    ceiling = args.workers[-1]
    lines = []
    for name in args.servers:
        measured = measure(name, args)
        adaptive, whole = measured.pop((ceiling, True)), measured[ceiling, False]
        best = max(measured.values(), key=lambda m: m.goodput)
        lines.append(
            f"{SERVERS_ALL[name].title:47}{best.workers:>5}{best.goodput:9.0f}{whole.goodput / best.goodput:9.2f}"
            f"{adaptive.goodput / best.goodput:10.2f}{adaptive.failed:8.0f}{adaptive.retries:9.0f}"
            f"{best.failed:8.0f}{whole.failed:8.0f}")
    print(f"{'':47}{'best fixed':>14}{f'fixed {ceiling}':>9}{'adaptive':>27}{'ids failed, fixed':>19}\n"
          f"{'server':47}{'':5}{'items/s':>9}{'of best':>9}{'of best':>10}{'failed':>8}{'retries':>9}"
          f"{'best':>8}{ceiling:8}")
    print("\n".join(lines))


main()
