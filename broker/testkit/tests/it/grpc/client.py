"""The quick start and what a service does after it, by a client made of the protobufs alone."""

import json
import os

import grpc
from google.protobuf import descriptor_pool, message_factory
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from grpc_status import rpc_status

from warder.v1 import (
    policies_pb2,
    policies_pb2_grpc,
    secrets_pb2,
    secrets_pb2_grpc,
    sys_pb2,
    sys_pb2_grpc,
    tokens_pb2,
    tokens_pb2_grpc,
)

channel = grpc.insecure_channel(os.environ["WARDER_ADDRESS"])
root = [("authorization", "Bearer " + os.environ["WARDER_TOKEN"])]
secrets = secrets_pb2_grpc.SecretsServiceStub(channel)
tokens = tokens_pb2_grpc.TokenServiceStub(channel)


def refused(call, *arguments, **named):
    """The code, the reason and the field of a refusal."""
    try:
        call(*arguments, **named)
    except grpc.RpcError as error:
        details = {detail.type_url: detail for detail in rpc_status.from_call(error).details}
        info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
        details["type.googleapis.com/google.rpc.ErrorInfo"].Unpack(info)
        assert info.domain == "warder" and info.metadata["request_id"], info
        field = None
        if "type.googleapis.com/google.rpc.BadRequest" in details:
            details["type.googleapis.com/google.rpc.BadRequest"].Unpack(bad)
            field = bad.field_violations[0].field
        return error.code().name, info.reason, field
    raise AssertionError("it was not refused")


# The quick start.
value = {"username": "admin", "password": "secure123", "large": 12345678901234567890123}
put = secrets_pb2.SecretsServicePutRequest(path="database/postgres", json=json.dumps(value).encode())
assert secrets.Put(put, metadata=root).version == 1
get = secrets_pb2.SecretsServiceGetRequest(path="database/postgres")
read = secrets.Get(get, metadata=root)
assert json.loads(read.json) == value and read.created_at.seconds > 0, read
health = health_pb2_grpc.HealthStub(channel)
assert health.Check(health_pb2.HealthCheckRequest()).status == health_pb2.HealthCheckResponse.SERVING
watch = health.Watch(health_pb2.HealthCheckRequest(service="warder.v1.SecretsService"))
assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
watch.cancel()
status = sys_pb2_grpc.SysServiceStub(channel).Status(sys_pb2.SysServiceStatusRequest()).status
assert status.initialized and not status.sealed, status

# Several at once, each with its own end.
reads = [secrets_pb2.SecretRead(path="database/postgres"), secrets_pb2.SecretRead(path="none")]
results = secrets.BatchGet(secrets_pb2.SecretsServiceBatchGetRequest(reads=reads), metadata=root).results
assert json.loads(results[0].secret.json) == value and results[1].refusal.reason == "not_found", results

# A token that may read one folder.
policy = 'path "secret/data/database/*" { capabilities = ["read"] }'
policies = policies_pb2_grpc.PolicyServiceStub(channel)
policies.Put(policies_pb2.PolicyServicePutRequest(name="db", policy=policy), metadata=root)
create = tokens_pb2.TokenServiceCreateRequest(policies=["db"], ttl_seconds=600, metadata={"team": "a"})
issued = tokens.Create(create, metadata=root).issued
assert issued.ttl_seconds == 600 and issued.metadata["team"] == "a", issued.accessor
weak = [("authorization", "Bearer " + issued.token)]
assert json.loads(secrets.Get(get, metadata=weak).json) == value

# Refusals.
assert refused(secrets.Get, get) == ("UNAUTHENTICATED", "unauthenticated", None)
assert refused(secrets.Put, put, metadata=weak) == ("PERMISSION_DENIED", "permission_denied", None)
again = secrets_pb2.SecretsServicePutRequest(path="database/postgres", json=b"{}", expected_version=7)
assert refused(secrets.Put, again, metadata=root)[:2] == ("FAILED_PRECONDITION", "precondition_failed")
bad = secrets_pb2.SecretsServiceGetRequest(path="a//b")
assert refused(secrets.Get, bad, metadata=root) == ("INVALID_ARGUMENT", "invalid_request", "path")

# A call out of nothing but reflection.
database = ProtoReflectionDescriptorDatabase(channel)
services = set(database.get_services())
assert {"warder.v1.SecretsService", "grpc.health.v1.Health"} <= services, services
pool = descriptor_pool.DescriptorPool(database)
method = pool.FindServiceByName("warder.v1.SecretsService").FindMethodByName("List")
asking = message_factory.GetMessageClass(method.input_type)
answering = message_factory.GetMessageClass(method.output_type)
call = channel.unary_unary(
    "/warder.v1.SecretsService/List",
    request_serializer=lambda message: message.SerializeToString(),
    response_deserializer=answering.FromString,
)
assert list(call(asking(), metadata=root).keys) == ["database/"]
print("done")
