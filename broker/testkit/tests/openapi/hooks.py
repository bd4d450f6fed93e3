"""What schemathesis has to know of Warder beside its description. Every fault that is passed over
here has its reason beside it; what is passed over nowhere fails the run."""

import os
import re

import schemathesis
from schemathesis.core.failures import AcceptedNegativeData, ServerError
from schemathesis.core.parameters import EncodedPath
from schemathesis.openapi.checks import AllowHeaderMismatch, IgnoredAuth, RejectedPositiveData, UnsupportedMethodResponse

# The token that asks must stay what it is, and the mounts that are asked must stay there: others of
# their kind are changed and removed as schemathesis likes.
KEPT = {
    "mounts.disable": {"secret", "secret/", "team/kv", "team/kv/", "team"},
    "vault.mount.disable": {"secret", "secret/", "team/kv", "team/kv/", "team"},
    "policies.write": {"tester"},
    "policies.delete": {"tester"},
    "vault.policy.write": {"tester"},
    "vault.policy.write.put": {"tester"},
    "vault.policy.delete": {"tester"},
}

# Words of refusals that no schema can foretell, by the operations that give them.
RULES = [
    (r".*", "path is longer than 1024 bytes", "the limit is on bytes of the whole path as policies see it"),
    (r".*", "path has more than 32 segments", "so is this one"),
    (r".*", "carry different tokens", "schemathesis makes up two"),
    (r".*", "a token has printable ASCII characters only", "and such that are none"),
    (r"secrets\.delete", "destroy=true needs versions", "no parameter of OpenAPI needs another"),
    (r"secrets\.read", "unknown query parameter", "parameters of a read and of a listing exclude each other"),
    (r"secrets\.(write|patch|rotate)", "check-and-set parameter required", "a mount may be told so by its configuration"),
    (r"secrets\.(read|write|patch)", "quoted version", "schemathesis sends headers that are empty"),
    (r"secrets\.(write|patch)", "exclude each other", "nor does one exclude another"),
    (r"(mounts|vault\.mount)\.enable.*", "no such plugin", "which plugins there are is found out while it runs"),
    (r"(mounts|vault\.mount)\.enable.*", "is reserved", "five first segments are"),
    (r"(tokens|vault\.token)\.create.*", "", "what a token may be depends on who asks, and members on each other"),
    (r"policies\.write|vault\.policy\.write.*", "", "a policy is a language of its own"),
    (r"policies\..*|vault\.policy\..*", "a policy name is", "upper case counts by its lower-case bytes"),
    (r"policies\..*|vault\.policy\..*", "built in", "root and default are"),
    (r"policies\.delete|vault\.policy\.delete", "cannot be deleted", "default cannot"),
    (r"(auth|tokens|vault\.token)\.renew.*", "", "tokens that are not renewable, or past their end, are not renewed"),
    (r"auth\.revoke", "batch tokens cannot be revoked", "they end by themselves"),
    (r"vault\.leases?\..*", "", "Vault answers 400 for a lease that is unknown, and a prefix is a path"),
    (r"vault\.token\..*|vault\.capabilities.*", "", "Vault answers 400 for a token or an accessor that is unknown"),
    (r"vault\.(write|read|list|patch|delete).*|mount\..*", "", "what a plugin takes is more than its fields say"),
    (r"(limits|vault\.rate-limit)\..*", "", "a limit's path is in a mount, and each path has one limit"),
    (r"vault\.(rekey|rotate\.root|generate-root|snapshot).*|sys\.(rekey|generate-root|restore).*", "", "shares, attempts and files are what they are or not"),
    (r"secrets\.watch", "", "a prefix is a path"),
    (r"((vault\.)?locked-users|mounts\.tune).*", "", "names and options are the plugin's"),
    (r"(sys|vault)\.(init|unseal).*", "", "shares are made once, and most texts are none"),
]


@schemathesis.serializer("application/gzip")
def file(context, value):
    """What is sent for a file."""
    return value if isinstance(value, bytes) else repr(value).encode()


def operation_id(case):
    return case.operation.definition.raw.get("operationId", "")


def words(response):
    return response.content.decode("utf-8", "replace")


@schemathesis.hook
def before_load_schema(context, raw_schema):
    """Answers must have no member that is not described: closed here, open for clients. And paths are
    not of the greatest length: the mount takes its part of it, and no schema can say how much."""
    close(raw_schema["components"]["schemas"])
    unbound(raw_schema)


def unbound(schema):
    if isinstance(schema, dict):
        if schema.get("maxLength") == 1024:
            del schema["maxLength"]
        for inner in schema.values():
            unbound(inner)
    elif isinstance(schema, list):
        for inner in schema:
            unbound(inner)


def close(schema):
    if isinstance(schema, dict):
        if schema.get("type") == "object" and "properties" in schema:
            schema.setdefault("additionalProperties", False)
        for inner in schema.values():
            close(inner)
    elif isinstance(schema, list):
        for inner in schema:
            close(inner)


@schemathesis.hook
def map_case(context, case):
    """What should be taken is sometimes made such that there is something to take it: one path in two
    is one where something is, and one body in two for KV is one that KV takes, of whose fields the
    description says no more than that they are documents and lists."""
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return case
    path = (case.path_parameters or {}).get("path")
    if isinstance(path, str) and len(path) % 2:
        case.path_parameters["path"] = ["app/db", "app/cache", "team/kv/app/db"][len(path) // 2 % 3]
    if isinstance(case.body, dict) and len(repr(case.body)) % 2:
        if re.fullmatch(r"mount\..*\.data\._path\.(write|put|patch)", operation_id(case)):
            case.body = {"data": {"a": case.body}}
        elif re.fullmatch(r"mount\..*\.(delete|undelete|destroy)\._path\.(write|put)", operation_id(case)):
            case.body = {"versions": [1]}
    return case


@schemathesis.hook
def map_body(context, body):
    return whole(body)


def whole(value):
    """JSON Schema takes 1.0 for a whole number; Warder wants whole numbers written as such."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {name: whole(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [whole(inner) for inner in value]
    return value


@schemathesis.hook
def filter_case(context, case):
    kept = KEPT.get(operation_id(case), ())
    if "" in (case.path_parameters or {}).values():
        # A batch token has no accessor: what was learned from it leads to another path.
        return False
    given = {str(value).replace("%2F", "/").lower() for value in (case.path_parameters or {}).values()}
    return not given & set(kept)


@schemathesis.hook
def before_call(context, case, kwargs):
    """Slashes of a path are sent as they are: the description says so by `x-warder-rest`."""
    for name, value in list((case.path_parameters or {}).items()):
        if isinstance(value, str) and "%2F" in value:
            case.path_parameters[name] = EncodedPath(value.replace("%2F", "/"))


@schemathesis.hook
def filter_failure(context, failure, case, response):
    """False for what is no fault."""
    return not excused(failure, case, response)


def excused(failure, case, response):
    name = operation_id(case)
    if asleep(response) and isinstance(failure, (ServerError, UnsupportedMethodResponse)):
        return True
    if isinstance(failure, RejectedPositiveData) and response.status_code in (405, 412, 422):
        # A condition that does not hold, and what a plugin does not take.
        return True
    if isinstance(failure, RejectedPositiveData) and response.status_code == 400:
        said = words(response)
        return any(re.fullmatch(which, name) and text in said for which, text, _ in RULES)
    if isinstance(failure, ServerError):
        # The caller says which status stands for which state.
        return name.startswith("vault.health")
    if isinstance(failure, AcceptedNegativeData):
        # Vault: a body of `null` is one without members. And a name that cannot be is not locked.
        null = case.path.startswith("/v1/") and case.body is None
        return null or name.startswith("vault.locked-users.unlock")
    if isinstance(failure, AllowHeaderMismatch):
        # LIST is a method that OpenAPI has no word for; and which methods a mount takes is not told to
        # those who ask for one that nothing takes.
        return case.path.startswith("/v1/")
    if isinstance(failure, UnsupportedMethodResponse):
        # Vault: a write to a folder is bad input, and looks for nothing else there; the media type of a
        # PATCH is looked at before the path is.
        folder = case.path.endswith("/") and response.status_code in (400, 404)
        return case.path.startswith("/v1/") and (folder or response.status_code == 415)
    if isinstance(failure, IgnoredAuth):
        # Each read of a batch is judged by itself, also before it is known who asks for it: `every_door`
        # has who may read what. And a server that is not open asks nobody who he is.
        return name == "secrets.batch" or os.environ.get("WARDER_STATE") != "open"
    return False


def asleep(response):
    """Whether it says no more than that it is not open, as a sealed or a new server does."""
    state = os.environ.get("WARDER_STATE")
    if state == "sealed":
        return response.status_code == 503
    if state == "new":
        return response.status_code in (501, 503)
    return False
