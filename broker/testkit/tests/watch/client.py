"""Watches, as it is asked by the lines of its input, by a client made of the protobufs alone."""

import json
import os
import sys

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from warder.v1 import secrets_pb2, secrets_pb2_grpc

# No window but the one that every stream begins with.
options = [("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 65536)]
channel = grpc.insecure_channel(os.environ["WARDER_ADDRESS"], options=options)
root = [("authorization", "Bearer " + os.environ["WARDER_TOKEN"])]
stub = secrets_pb2_grpc.SecretsServiceStub(channel)
watch = None


def request(prefix, revision=None):
    asked = secrets_pb2.SecretsServiceWatchRequest(prefix=prefix)
    if revision is not None:
        asked.from_revision = int(revision)
    return asked


def told():
    """The next event but for heartbeats."""
    while True:
        message = next(watch)
        event = message.WhichOneof("event")
        if event == "heartbeat":
            continue
        what = getattr(message, event)
        said = {"event": event, "revision": what.revision}
        if event == "change":
            kind = secrets_pb2.SecretChangeKind.Name(what.kind).removeprefix("SECRET_CHANGE_KIND_").lower()
            assert what.at.seconds > 0
            said |= {"kind": kind, "path": what.path, "versions": list(what.versions)}
            if what.HasField("version"):
                said["version"] = what.version
        return said


def ended(stream):
    """How a stream ends that ends by itself."""
    try:
        for _ in stream:
            pass
    except grpc.RpcError as error:
        said, status = {"code": error.code().name}, rpc_status.from_call(error)
        for detail in status.details if status else []:
            info = error_details_pb2.ErrorInfo()
            if detail.Unpack(info):
                said["reason"] = info.reason
        return said
    return {"code": "OK"}


for line in sys.stdin:
    what, *arguments = line.split()
    if what == "watch":
        if watch is not None:
            watch.cancel()
        watch = stub.Watch(request(*arguments), metadata=root)
        said = told()
    elif what == "next":
        said = told()
    elif what == "deadline":
        said = ended(stub.Watch(request(*arguments), metadata=root, timeout=2))
    elif what == "refused":
        said = ended(stub.Watch(request(*arguments), metadata=root))
    elif what == "stranger":
        said = ended(stub.Watch(request(*arguments)))
    print(json.dumps(said), flush=True)
