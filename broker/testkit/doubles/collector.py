"""A double of an OpenTelemetry collector: takes OTLP over gRPC and over HTTP, decodes it with the official
message types, and keeps what came. Not a collector: it forwards nothing and refuses nothing.

usage: collector.py FOLDER [CERTIFICATE KEY]

Prints `grpc HOST:PORT` and `http HOST:PORT` when it listens. FOLDER gets requests.jsonl, one line for each
request with its signal, headers and message, and the request's own bytes as NUMBER.bin.
"""

import gzip
import json
import ssl
import sys
import threading
from concurrent import futures
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import grpc
from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2 as logs
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as metrics
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as traces

SIGNALS = {
    "traces": (traces.ExportTraceServiceRequest, traces.ExportTraceServiceResponse, "trace.v1.TraceService"),
    "metrics": (metrics.ExportMetricsServiceRequest, metrics.ExportMetricsServiceResponse, "metrics.v1.MetricsService"),
    "logs": (logs.ExportLogsServiceRequest, logs.ExportLogsServiceResponse, "logs.v1.LogsService"),
}


class Kept:
    """What came, in files."""

    def __init__(self, folder):
        self.folder = folder
        self.lock = threading.Lock()
        self.count = 0

    def keep(self, signal, over, headers, body):
        """Keeps one request; raises when it is no message of its signal."""
        message = SIGNALS[signal][0].FromString(body)
        line = {"signal": signal, "over": over, "headers": headers, "message": MessageToDict(message)}
        with self.lock:
            self.count += 1
            (self.folder / f"{self.count}.bin").write_bytes(body)
            with open(self.folder / "requests.jsonl", "a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")


def grpc_server(kept, credentials):
    """The three services, over raw bytes."""
    server = grpc.server(futures.ThreadPoolExecutor(4))
    for signal, (_, response, service) in SIGNALS.items():

        def export(body, context, signal=signal, response=response):
            kept.keep(signal, "grpc", dict(context.invocation_metadata()), body)
            return response().SerializeToString()

        handler = grpc.unary_unary_rpc_method_handler(export)
        name = f"opentelemetry.proto.collector.{service}"
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, {"Export": handler}),))
    address = "127.0.0.1:0"
    port = server.add_secure_port(address, credentials) if credentials else server.add_insecure_port(address)
    server.start()
    return server, port


def http_server(kept, pair):
    """`/v1/SIGNAL`, as OTLP has it over HTTP."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            headers = {name.lower(): value for name, value in self.headers.items()}
            signal = self.path.removeprefix("/v1/")
            good = signal in SIGNALS and headers.get("content-type") == "application/x-protobuf"
            if good:
                kept.keep(signal, "http", headers, body)
            self.send_response(200 if good else 400)
            self.send_header("content-type", "application/x-protobuf")
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if pair:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*pair)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_port


def main():
    kept = Kept(Path(sys.argv[1]))
    pair = sys.argv[2:4]
    credentials = None
    if pair:
        certificate, key = (Path(file).read_bytes() for file in pair)
        credentials = grpc.ssl_server_credentials([(key, certificate)])
    # It ends with its last reference.
    _server, port = grpc_server(kept, credentials)
    print(f"grpc 127.0.0.1:{port}")
    print(f"http 127.0.0.1:{http_server(kept, pair)}", flush=True)
    threading.Event().wait()


main()
