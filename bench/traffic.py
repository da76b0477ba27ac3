# SPDX-License-Identifier: GPL-2.0-or-later
"""Traffic as applications have it: bulk TCP, the time of one request, and requests to a web server.

Only the ends and the reader of one of the latency measurements are pinned to CPUs: one for the ends, one for the reader.
Otherwise the scheduler is part of the measurement.
"""

import contextlib
import json
import os
import re
import shutil
import time

from laboratory import LOAD_CPU, SERVE_CPU, SERVER, CannotMeasure
from support.commands import wait_for

BULK_PORT = 5201
BULK_UNPACED = "bulk TCP, cubic"  # the machine's own choice may pace, and then the CPUs are not the limit
PING_PORT = 7001
WEB_PORT = 8080
SPARE_SECONDS = 10  # that iperf3 would go on for
QUEUE_COUNTS = (1, 2, 4)
CONNECTIONS = 64
PAGE_BYTES = 612

NGINX = """daemon off;
worker_processes 1;
pid {directory}/nginx.pid;
error_log {directory}/error.log;
user root;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    keepalive_requests 100000000;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    server {{ listen {port} backlog=1024; root {directory}; }}
}}
"""

# Each thread of wrk speaks to another address of the server, which the route reaches from another one of the client.
WRK_SCRIPT = """local count = 0
function setup(thread)
    count = count + 1
    thread.addr = wrk.lookup("10.78.1." .. count, "{port}")[1]
end
"""


def listening(namespace, port):
    return namespace.run("ss", "--no-header", "--listening", "--tcp", "--numeric", f"sport = :{port}").strip()


def tcp(port):
    return ["-p", "tcp", "--dport", str(port)]


@contextlib.contextmanager
def bulk_load(bench, subject, seconds, *options):
    """One connection of iperf3 at full speed through `subject`, for at least `seconds`. options: its client's."""
    lab = bench.lab
    with subject.serve(lab, tcp(BULK_PORT)):
        server = lab.server.start("iperf3", "--server", "--one-off", "--port", str(BULK_PORT))
        client = None
        try:
            wait_for(lambda: listening(lab.server, BULK_PORT), "iperf3 listens")
            client = lab.client.start("iperf3", "--client", SERVER, "--port", str(BULK_PORT),
                                      "--time", str(int(seconds + SPARE_SECONDS)), *options)
            time.sleep(bench.warm_up)
            yield
            client.check_running()
        finally:
            if client is not None:
                client.stop()
            server.stop()


def measure_bulk(bench, subject, measure="bulk TCP", *options):
    with bulk_load(bench, subject, bench.seconds, *options):
        start, (_, bytes_before) = time.monotonic(), bench.lab.passed.counts()
        time.sleep(bench.seconds)
        end, (_, bytes_after) = time.monotonic(), bench.lab.passed.counts()
    bench.figures.add(measure, "Gbit/s", subject.name, (bytes_after - bytes_before) * 8 / (end - start) / 1e9)


def measure_latency(bench, subject, pinned=True):
    lab, seconds = bench.lab, bench.seconds
    end_cpu, read_cpu = (LOAD_CPU, SERVE_CPU) if pinned else (None, None)
    tool = bench.subjects.load("ping_pong")
    with subject.serve(lab, ["-p", "udp", "--dport", str(PING_PORT)], cpu=read_cpu):
        server = lab.server.start(tool, "server", SERVER, str(PING_PORT), str(seconds + 5), cpu=end_cpu)
        time.sleep(0.1)
        client = lab.client.start(tool, "client", SERVER, str(PING_PORT), str(seconds), cpu=end_cpu)
        try:
            result = json.loads(client.finish(seconds + 10))
        finally:
            client.stop()
            server.stop()
    if result["lost"] > 0:
        raise CannotMeasure(f"{result['lost']} answers did not come")
    for quantile in ("p50", "p99"):
        name = f"latency {quantile}" if pinned else f"latency {quantile}, unpinned"
        bench.figures.add(name, "us", subject.name, result[quantile] / 1000)


def find_nginx(bench):
    unpacked = f"{bench.build}/nginx/usr/sbin/nginx"
    program = shutil.which("nginx") or (unpacked if os.path.exists(unpacked) else None)
    if program is None:
        raise CannotMeasure("there is no nginx")
    return program


@contextlib.contextmanager
def web_server(bench):
    directory = bench.directory
    with open(f"{directory}/nginx.conf", "w", encoding="ascii") as file:
        file.write(NGINX.format(directory=directory, port=WEB_PORT))
    with open(f"{directory}/index.html", "w", encoding="ascii") as file:
        file.write("x" * PAGE_BYTES)
    with open(f"{directory}/wrk.lua", "w", encoding="ascii") as file:
        file.write(WRK_SCRIPT.format(port=WEB_PORT))
    server = bench.lab.server.start(find_nginx(bench), "-e", f"{directory}/error.log", "-c", f"{directory}/nginx.conf")
    try:
        def is_ready():
            server.check_running()
            return listening(bench.lab.server, WEB_PORT)

        wait_for(is_ready, "nginx listens")
        yield
    finally:
        server.stop()


def measure_web(bench, subject, queues):
    lab, seconds = bench.lab, max(1, int(bench.seconds))
    addresses = lab.server_addresses
    with web_server(bench), subject.serve(lab, tcp(WEB_PORT), queues=queues):
        client = lab.client.start("wrk", "--threads", str(len(addresses)), "--connections", str(CONNECTIONS),
                                  "--duration", f"{seconds}s", "--script", f"{bench.directory}/wrk.lua",
                                  f"http://{addresses[0]}:{WEB_PORT}/")
        try:
            output = client.finish(seconds + 20)
            packets = [queue.last_id for _, queue in sorted(lab.server.queues().items())]
        finally:
            client.stop()
    rate = re.search(r"Requests/sec:\s*([0-9.]+)", output)
    errors = re.search(r"Socket errors: .*|Non-2xx.*", output)
    if rate is None or errors is not None:
        raise CannotMeasure(f"wrk: {errors.group(0) if errors else output.strip()[-400:]}")
    bench.figures.add(f"requests, {queues} queue{'s' if queues > 1 else ''}", "requests/s", subject.name,
                      float(rate.group(1)))
    if packets:
        bench.packets_per_queue.setdefault(queues, {})[subject.name] = packets


def steps(bench):
    """(measure, subject, function) of one round."""
    subjects = bench.subjects
    everyone = [subjects.none, subjects.classic, subjects.tuned, subjects.engine]
    for subject in everyone:
        yield "bulk TCP", subject, lambda s=subject: measure_bulk(bench, s)
    for subject in everyone:
        yield BULK_UNPACED, subject, lambda s=subject: measure_bulk(bench, s, BULK_UNPACED, "--congestion", "cubic")
    for subject in everyone:
        yield "latency", subject, lambda s=subject: measure_latency(bench, s)
    for subject in everyone:
        yield "latency, unpinned", subject, lambda s=subject: measure_latency(bench, s, pinned=False)
    yield "requests", subjects.none, lambda: measure_web(bench, subjects.none, 1)
    for queues in QUEUE_COUNTS:
        for subject in (subjects.classic, subjects.engine):
            yield f"requests, {queues} queues", subject, lambda s=subject, q=queues: measure_web(bench, s, q)
