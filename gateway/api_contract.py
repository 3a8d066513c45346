"""/openapi.json: the JSON API as an OpenAPI 3.1 document, made of the table by which requests are checked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

import msgspec

from commerce.ledger import KEY_CHARACTERS_MAX
from gateway.api import ANYONE, CSV_TYPE, JSON_TYPE, NOTICE_TYPES, PNG_TYPE, SVG_TYPE, Operation
from gateway.errors import PROBLEM_TYPE
from gateway.parameters import query_schema
from gateway.schemas import ProblemDetails

FORMATS: Final = {"csv": CSV_TYPE, "svg": SVG_TYPE, "png": PNG_TYPE}
"""What ``?format=`` makes of an answer."""
KEY: Final = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": True,
    "description": "chosen anew by the client for each thing it wants done: a repeated request with it acts once",
    "schema": {"type": "string", "minLength": 1, "maxLength": KEY_CHARACTERS_MAX},
}


def openapi(operations: Sequence[Operation], *, version: str) -> dict[str, Any]:
    """The OpenAPI 3.1 document of ``operations``."""
    kinds: list[Any] = [ProblemDetails]
    for operation in operations:
        kinds += [kind for kind in (operation.body, operation.answer) if kind is not None]
    schemas, components = msgspec.json.schema_components(kinds, ref_template="#/components/schemas/{name}")
    schema_of = dict(zip(map(str, kinds), schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _describe(operation, schema_of)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Siyu Live",
            "version": version,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": components,
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
    }


def _describe(operation: Operation, schema_of: Mapping[str, Any]) -> dict[str, Any]:
    parameters: list[dict[str, Any]] = [
        {"name": part[1:-1], "in": "path", "required": True, "schema": {"type": "string"}}
        for part in operation.path.split("/")
        if part.startswith("{")
    ]
    parameters += [
        {"name": name, "in": "query", "required": False, "description": str(text), "schema": query_schema(text)}
        for name, text in operation.query.items()
    ]
    if operation.keyed:
        parameters.append(KEY)
    good: dict[str, Any] = {"description": HTTPStatus(operation.status).phrase}
    content: dict[str, Any] = {kind: {} for kind in _other_types(operation)}
    if operation.answer is not None:
        content[JSON_TYPE] = {"schema": schema_of[str(operation.answer)]}
    if content:
        good["content"] = content
    problem: dict[str, Any] = {PROBLEM_TYPE: {"schema": schema_of[str(ProblemDetails)]}}
    if operation.takes is NOTICE_TYPES:
        # Refused in the provider's own words, too.
        problem |= {kind: {} for kind in operation.gives}
    out: dict[str, Any] = {
        "summary": operation.summary,
        "operationId": operation.name or operation.handler.__name__.strip("_"),
        "responses": {str(operation.status): good, "default": {"description": "problem details", "content": problem}},
    }
    if parameters:
        out["parameters"] = parameters
    if operation.body is not None:
        out["requestBody"] = {"required": True, "content": {JSON_TYPE: {"schema": schema_of[str(operation.body)]}}}
    elif operation.takes:
        # OpenAPI 3.1, "Considerations for File Uploads": a body of bytes has no type; maxLength counts its octets.
        taken = {kind: {"schema": {"maxLength": operation.body_bytes_max}} for kind in operation.takes}
        out["requestBody"] = {
            "required": True,
            "description": f"at most {operation.body_bytes_max} bytes",
            "content": taken,
        }
    if operation.roles is not ANYONE:
        out["security"] = [{"bearer": []}]
        out["description"] = "Roles: " + ", ".join(sorted(operation.roles))
    return out


def _other_types(operation: Operation) -> Iterator[str]:
    """Content types of a good answer beside JSON."""
    yield from operation.gives
    formats = query_schema(operation.query.get("format", "")).get("enum", ())
    yield from (FORMATS[form] for form in formats if form in FORMATS)
