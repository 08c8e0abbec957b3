"""How the throughput grows with the number of processes that share a backfill over PostgreSQL. README.md says how it measures."""

import argparse
import contextlib
import json
import os
import pwd
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from servers import environment, free_port, serving, wait_until_it_answers  # noqa: E402


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bin", required=True, help="the binary, built with the feature postgres")
    parser.add_argument("--processes", default="1,2,4,8", help="how many processes share the work")
    parser.add_argument("--workers", type=int, default=32, help="workers of each process")
    parser.add_argument("--latency", default="100ms", help="of the API, for each answer")
    parser.add_argument("--seconds", type=float, default=10, help="how long each setting is measured")
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


def programs():
    folder = subprocess.run(["pg_config", "--bindir"], check=True, capture_output=True, text=True).stdout.strip()
    return Path(folder)


@contextlib.contextmanager
def postgres():
    """A server in a temporary folder, with PostgreSQL's own defaults. PostgreSQL does not run as root."""
    with tempfile.TemporaryDirectory() as folder:
        user = {}
        if os.getuid() == 0:
            nobody = pwd.getpwnam("nobody")
            os.chown(folder, nobody.pw_uid, nobody.pw_gid)
            user = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        data, port = f"{folder}/data", free_port()
        make = [programs() / "initdb", "--pgdata", data, "--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C"]
        subprocess.run(make, check=True, stdout=subprocess.DEVNULL, cwd="/", **user)
        call = [programs() / "postgres", "-D", data, "-p", str(port), "-c", f"unix_socket_directories={folder}"]
        process = subprocess.Popen(call, cwd="/", stderr=subprocess.DEVNULL, **user)
        try:
            url = f"postgres://postgres@127.0.0.1:{port}/postgres"
            for _ in range(200):
                ready = subprocess.run([programs() / "pg_isready", "-q", "-d", url], check=False)
                if ready.returncode == 0:
                    break
                time.sleep(0.05)
            yield url
        finally:
            process.send_signal(signal.SIGINT)
            process.wait()


def query(url, sql):
    answer = subprocess.run([programs() / "psql", "-qAtX", url, "-c", sql], check=True, capture_output=True, text=True)
    return answer.stdout.strip()


def settled(url):
    return int(query(url, "SELECT coalesce(sum(hi - lo + 1), 0) FROM coverage"))


def commits(ports):
    """How many batches were committed, and how long that took in all, in seconds."""
    count = seconds = 0
    for port in ports:
        text = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5).read().decode()
        count += sum(float(value) for value in re.findall(r"^ingest_commit_seconds_count.* (\S+)$", text, re.M))
        seconds += sum(float(value) for value in re.findall(r"^ingest_commit_seconds_sum.* (\S+)$", text, re.M))
    return count, seconds


def cpu_seconds(pids):
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def busy_share(before, after):
    """The share of all cores that was busy with anything."""
    total, idle = (sum(after) - sum(before)), (after[3] + after[4] - before[3] - before[4])
    return 1 - idle / total


def all_ticks():
    return [int(word) for word in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]


def measure(options, count, api):
    """Throughput, mean time of a commit in ms, CPU of the processes in ms per id, and the busy share of the machine."""
    with postgres() as url, contextlib.ExitStack() as running:
        ports = [free_port() for _ in range(count)]
        processes = []
        for port in ports:
            call = [options.bin, "backfill", "--api-url", api, "--database", url, "--workers", str(options.workers)]
            call += ["--metrics", f"127.0.0.1:{port}", "--progress", "never", "--format", "json"]
            processes.append(running.enter_context(serving(call, stdout=subprocess.DEVNULL)))
            if len(processes) == 1:
                wait_until_it_answers(f"http://127.0.0.1:{port}/metrics")
        for port in ports:
            wait_until_it_answers(f"http://127.0.0.1:{port}/metrics")
        time.sleep(3)
        pids = [process.pid for process in processes]
        began, ids, written = time.monotonic(), settled(url), commits(ports)
        ticks, cpu = all_ticks(), cpu_seconds(pids)
        time.sleep(options.seconds)
        took, done = time.monotonic() - began, settled(url) - ids
        batches, seconds = (after - before for after, before in zip(commits(ports), written))
        used = cpu_seconds(pids) - cpu
        return done / took, 1000 * seconds / max(batches, 1), 1000 * used / max(done, 1), busy_share(ticks, all_ticks())


def main():
    options = arguments()
    counts = [int(count) for count in options.processes.split(",")]
    found = {count: [] for count in counts}
    call = [options.bin, "mock-api", "--latency", options.latency, "--max-item", "50000000"]
    with serving(call, stdout=subprocess.PIPE, text=True) as server:
        api = server.stdout.readline().strip()
        for number in range(options.rounds):
            for count in counts:
                found[count].append(measure(options, count, api))
                print(f"round {number + 1}: {count} processes: {found[count][-1][0]:.0f} ids/s", file=sys.stderr)
    median = {count: [statistics.median(values) for values in zip(*runs)] for count, runs in found.items()}
    one = median[counts[0]][0] / counts[0]
    print("processes   ids/s   of N times one   commit ms      CPU of an id, µs   machine busy")
    for count, (rate, commit, cpu, busy) in median.items():
        print(f"{count:9} {rate:7.0f} {rate / (one * count):16.2f} {commit:11.1f} {1000 * cpu:21.0f} {busy:14.0%}")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
