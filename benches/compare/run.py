"""Compares hn-ingest with wrk and with the two programs that one writes first. Run it by run.sh; README.md says how it measures."""

import argparse
import asyncio
import contextlib
import dataclasses
import json
import os
import platform
import pwd
import re
import resource
import shutil
import sqlite3
import ssl
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import aiohttp

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from servers import environment, free_port, serving, wait_until_it_answers  # noqa: E402

PROGRAMS = ["wrk", "hn-ingest", "plain-rust", "asyncio"]
NGINX = """
{user}
daemon off;
pid nginx.pid;
error_log error.log;
worker_processes 1;
worker_rlimit_nofile {files};
events {{ worker_connections {connections}; }}
http {{
  access_log off;
  default_type application/json;
  keepalive_timeout 75s;
  keepalive_requests 1000000000;
  {cache}
  client_body_temp_path tmp; proxy_temp_path tmp; fastcgi_temp_path tmp; uwsgi_temp_path tmp; scgi_temp_path tmp;
  server {{ listen 127.0.0.1:{http} backlog=4096; root root; }}
  server {{
    listen 127.0.0.1:{https} ssl backlog=4096; root root;
    ssl_certificate server.pem; ssl_certificate_key server.key;
    ssl_protocols TLSv1.3; ssl_session_cache shared:sessions:10m;
  }}
}}
"""


@dataclasses.dataclass
class Scenario:
    title: str
    base: str
    workers: int


@dataclasses.dataclass
class Measured:
    scenario: str
    program: str
    round: int
    rate: float
    peak_mb: float
    cpu_seconds: float
    #: of the CPU, for one item or request
    cpu_each: float


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bin", type=Path, required=True, help="folder of hn-ingest and plain-rust")
    parser.add_argument("--items", type=int, default=100_000, help="items of a run (%(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="runs of each program (%(default)s)")
    parser.add_argument("--seconds", type=int, default=5, help="how long wrk runs (%(default)s)")
    parser.add_argument("--rows", default="http,tls,latency", help="what to compare on, of %(default)s")
    parser.add_argument("--programs", default=",".join(PROGRAMS), help="of %(default)s; wrk is needed")
    parser.add_argument("--workers", type=int, default=64, help="connections of http and tls (%(default)s)")
    parser.add_argument("--slow-workers", type=int, default=1000, help="connections of latency (%(default)s)")
    parser.add_argument("--latency", default="100ms", help="what the server of latency waits (%(default)s)")
    parser.add_argument("--chart", type=Path, default=HERE / "chart.svg", help=".svg or .png")
    parser.add_argument("--results", type=Path, default=HERE / "results.json", help="every run's figures")
    args = parser.parse_args()
    args.rows, args.programs = args.rows.split(","), args.programs.split(",")
    unknown = set(args.rows) - {"http", "tls", "latency"} | set(args.programs) - set(PROGRAMS)
    if unknown or "wrk" not in args.programs:
        parser.error(f"--rows or --programs: {', '.join(unknown) or 'wrk is missing'}")
    return args


@contextlib.contextmanager
def mock_api(args, latency):
    command = [args.bin / "hn-ingest", "mock-api", "--max-item", str(args.items), "--latency", latency]
    with serving(command, stdout=subprocess.PIPE, text=True) as process:
        yield process.stdout.readline().strip()


async def write_items(base, ids, folder):
    """Every item of the API as a file; gives the ids of those that there are."""
    found, left = [], iter(ids)

    async def some(session):
        for id in left:
            async with session.get(f"{base}/item/{id}.json") as response:
                response.raise_for_status()
                body = await response.read()
            if body != b"null":
                (folder / f"{id}.json").write_bytes(body)
                found.append(id)

    async with aiohttp.ClientSession() as session:
        await asyncio.gather(*(some(session) for _ in range(32)))
    return sorted(found)


def certificates(folder):
    """An authority of our own, and a certificate for 127.0.0.1 that it signed."""

    def openssl(*command):
        subprocess.run(["openssl", *command], cwd=folder, check=True, capture_output=True)

    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=compare CA",
            "-addext", "keyUsage=critical,keyCertSign")
    openssl("req", *key, "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=127.0.0.1")
    (folder / "extensions").write_text("subjectAltName=IP:127.0.0.1\nbasicConstraints=CA:FALSE\n")
    openssl("x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2",
            "-extfile", "extensions", "-out", "server.pem")


def peak_mb(pid, stop, peaks):
    """What the kernel says of the most memory, read until the process is gone (that of wait4 counts its parent's, too)."""
    while not stop.wait(0.02):
        with contextlib.suppress(OSError, TypeError):
            status = Path(f"/proc/{pid}/status").read_text()
            peaks.append(int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1024)


def measure(command, ids, env):
    """What it printed, seconds, peak memory and CPU seconds, from its start to its end."""
    with open(ids) as stdin:
        began = time.monotonic()
        process = subprocess.Popen(command, stdin=stdin, stdout=subprocess.PIPE, text=True, env=env)
        stop, peaks = threading.Event(), [0.0]
        watcher = threading.Thread(target=peak_mb, args=(process.pid, stop, peaks))
        watcher.start()
        printed = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        stop.set()
        watcher.join()
    if process.returncode:
        sys.exit(f"{command[0]} ended with {process.returncode}: {printed}")
    return printed, seconds, max(peaks), usage.ru_utime + usage.ru_stime


def run(program, scenario, args, folder, count):
    """One run: items (or requests) a second, peak memory, CPU seconds in all and for each."""
    ids, database = folder / "ids", folder / "run.db"
    base, workers = scenario.base, str(scenario.workers)
    env = environment(SSL_CERT_FILE=str(folder / "ca.pem"), ITEM_IDS=str(ids), ITEM_PREFIX="/v0/item/")
    commands = {
        "wrk": ["wrk", "-t1", f"-c{workers}", f"-d{args.seconds}s", "--timeout", "30s", "-s", HERE / "wrk.lua", base],
        "hn-ingest": [args.bin / "hn-ingest", "items", "-", "--workers", workers, "--api-url", base, "--database", database,
                      "--format", "json", "--progress", "never", "--timeout", "30s"],
        "plain-rust": [args.bin / "plain-rust", base, database, workers],
        "asyncio": [sys.executable, HERE / "plain_asyncio.py", base, database, workers],
    }
    try:
        printed, seconds, peak, cpu = measure(commands[program], ids, env)
        if program == "wrk":
            if "Non-2xx" in printed or "Socket errors" in printed:
                print(f"warning: {printed}", file=sys.stderr)
            rate = float(re.search(r"Requests/sec:\s+([\d.]+)", printed)[1])
            requests = int(re.search(r"(\d+) requests in", printed)[1])
            return rate, peak, cpu, cpu / requests
        with contextlib.closing(sqlite3.connect(database)) as db:
            stored = db.execute("SELECT count(*) FROM items").fetchone()[0]
        if stored != count:
            sys.exit(f"{program} stored {stored} of {count}: {printed}")
        return count / seconds, peak, cpu, cpu / count
    finally:
        for file in folder.glob("run.db*"):
            file.unlink()


def summary(measured, scenarios, programs):
    """Medians of each program on each row; a ratio is to wrk's median on the same row."""
    rows = []
    for name, scenario in scenarios.items():
        rates = {p: [m.rate for m in measured if (m.scenario, m.program) == (name, p)] for p in programs}
        wrk = statistics.median(rates["wrk"])
        wrk_cpu = statistics.median(m.cpu_each for m in measured if (m.scenario, m.program) == (name, "wrk"))
        for program in programs:
            mine = [m for m in measured if (m.scenario, m.program) == (name, program)]
            ratios = [rate / wrk for rate in rates[program]]
            rows.append({
                "row": name, "title": scenario.title, "program": program,
                "rate": statistics.median(rates[program]), "ratio": statistics.median(ratios),
                "lowest": min(ratios), "highest": max(ratios), "peak_mb": max(m.peak_mb for m in mine),
                "cpu_ratio": statistics.median(m.cpu_each for m in mine) / wrk_cpu,
            })
    return rows


def show(rows):
    title = None
    for row in rows:
        if row["title"] != title:
            title = row["title"]
            print(f"\n{title}\n{'':12}{'items/s':>10}{'of wrk':>8}{'lowest':>8}{'highest':>8}{'peak MB':>9}{'CPU each, wrk = 1':>19}")
        print(f"{row['program']:12}{row['rate']:10.0f}{row['ratio']:8.2f}{row['lowest']:8.2f}{row['highest']:8.2f}"
              f"{row['peak_mb']:9.0f}{row['cpu_ratio']:19.1f}")


def draw(rows, path):
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams.update({"svg.hashsalt": "compare", "svg.fonttype": "none", "font.size": 10})
    from matplotlib import pyplot

    colors = {"wrk": "#9aa0a6", "hn-ingest": "#ff6600", "plain-rust": "#5b8db8", "asyncio": "#7fb07f"}
    titles = list(dict.fromkeys(row["title"] for row in rows))
    figure, all_axes = pyplot.subplots(len(titles), 1, figsize=(8, 0.6 + 1.7 * len(titles)), sharex=True, squeeze=False)
    for axes, title in zip(all_axes[:, 0], titles):
        mine = [row for row in rows if row["title"] == title][::-1]
        for at, row in enumerate(mine):
            ratio = row["ratio"]
            spread = [[ratio - row["lowest"]], [row["highest"] - ratio]]
            axes.barh(at, ratio, color=colors[row["program"]], xerr=spread, error_kw={"ecolor": "#444", "capsize": 2})
            axes.text(row["highest"] + 0.02, at, f"{ratio:.2f}   {row['peak_mb']:.0f} MB", va="center")
        axes.set_yticks(range(len(mine)), [row["program"] for row in mine])
        axes.set_title(title, loc="left", fontsize=10)
        axes.spines[["top", "right"]].set_visible(False)
    highest = max(row["highest"] for row in rows)
    all_axes[-1, 0].set_xlim(0, highest + 0.3)
    all_axes[-1, 0].set_xlabel("rate as a share of wrk's (median, lowest and highest run), and peak memory")
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


def allow_open_files(wanted):
    """Raises the limit of this process and those that it starts as far as may be; gives it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for limit in [(max(wanted, hard),) * 2, (hard, hard)]:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, limit)
            return limit[0]
    return soft


def compare(args, folder, started):
    (folder / "tmp").mkdir()
    items = folder / "root" / "v0" / "item"
    items.mkdir(parents=True)
    with mock_api(args, "0ms") as base:
        found = asyncio.run(write_items(base, range(1, args.items + 1), items))
    (folder / "ids").write_text("".join(f"{id}\n" for id in found))
    certificates(folder)
    http, https = free_port(), free_port()
    user = f"user {pwd.getpwuid(0).pw_name};" if os.geteuid() == 0 else ""
    connections = max(args.workers, args.slow_workers) * 2 + 100
    files = allow_open_files(args.items + connections + 1_000)
    # The cache keeps its files open. One that holds only some of them is no use for items that are asked for in turn.
    fits = args.items + connections < files
    cache = f"open_file_cache max={args.items} inactive=1h; open_file_cache_valid 1h;" if fits else ""
    if not fits:
        print(f"nginx opens a file for each answer: only {files} may stay open (`ulimit -Hn`)", file=sys.stderr)
    config = NGINX.format(user=user, http=http, https=https, connections=connections, files=files, cache=cache)
    (folder / "nginx.conf").write_text(config)
    nginx = ["nginx", "-p", folder, "-c", folder / "nginx.conf", "-e", folder / "error.log"]
    started.enter_context(serving(nginx))
    slow = started.enter_context(mock_api(args, args.latency)) if "latency" in args.rows else ""
    context = ssl.create_default_context(cafile=str(folder / "ca.pem"))
    wait_until_it_answers(f"http://127.0.0.1:{http}/v0/item/{found[0]}.json")
    wait_until_it_answers(f"https://127.0.0.1:{https}/v0/item/{found[0]}.json", context)

    scenarios = {
        "http": Scenario(f"static server on loopback, {args.workers} connections",
                         f"http://127.0.0.1:{http}/v0", args.workers),
        "tls": Scenario(f"the same over TLS, {args.workers} connections", f"https://127.0.0.1:{https}/v0", args.workers),
        "latency": Scenario(f"{args.latency} of latency, {args.slow_workers} connections", slow, args.slow_workers),
    }
    scenarios = {name: scenarios[name] for name in args.rows}
    measured = []
    for name, scenario in scenarios.items():
        # The server's caches are filled by a run that does not count.
        run("wrk", scenario, args, folder, len(found))
        for turn in range(args.rounds):
            for at in range(len(args.programs)):
                # Nobody is always first after the same other.
                program = args.programs[(at + turn) % len(args.programs)]
                result = Measured(name, program, turn + 1, *run(program, scenario, args, folder, len(found)))
                measured.append(result)
                print(f"{name:8} round {turn + 1}: {program:12}{result.rate:9.0f}/s {result.peak_mb:6.1f} MB "
                      f"{result.cpu_seconds:6.2f} s of CPU", flush=True)
    return measured, summary(measured, scenarios, args.programs)


def main():
    args = arguments()
    folder = Path(tempfile.mkdtemp(prefix="compare-"))
    folder.chmod(0o755)
    try:
        with contextlib.ExitStack() as started:
            measured, rows = compare(args, folder, started)
    finally:
        shutil.rmtree(folder)
    show(rows)
    draw(rows, args.chart)
    about = {"cores": os.cpu_count(), "machine": platform.machine(), "items": args.items, "rounds": args.rounds,
             "load_average_at_end": os.getloadavg()}
    results = {"about": about, "medians": rows, "runs": [dataclasses.asdict(m) for m in measured]}
    args.results.write_text(json.dumps(results, indent=1) + "\n")


main()
