"""The OpenAPI document: shapes of what is taken, and a description of the table of operations."""

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

from hibari.request import CONSENT, MAX_LORA_WEIGHT, MAX_LORAS, MAX_SEED
from hibari.serve.api.call import Operation
from hibari.serve.api.sampling import NOT_ON

Schema = dict[str, Any]

TEXT: Schema = {"type": "string", "minLength": 1, "maxLength": 32_000}
NAME: Schema = {"type": "string", "minLength": 1, "maxLength": 200}
FILE: Schema = {"type": "string", "format": "binary"}
FLAG: Schema = {"type": "boolean"}


def _whole(low: int, high: int) -> Schema:
    return {
        "anyOf": [{"type": "integer", "minimum": low, "maximum": high}, {"type": "string", "pattern": "^[0-9]{1,16}$"}]
    }


def _number(low: float, high: float) -> Schema:
    pattern = r"^[0-9]{1,4}(\.[0-9]{1,6})?$"
    return {"anyOf": [{"type": "number", "minimum": low, "maximum": high}, {"type": "string", "pattern": pattern}]}


def body(properties: Schema, *required: str) -> Schema:
    """The schema of a body in which nothing else may stand; null is the same as left out."""
    shown = {name: one if name in required else _or_null(one) for name, one in properties.items()}
    return {"type": "object", "properties": shown, "required": list(required), "additionalProperties": False}


def _or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


_LORA: Schema = {
    "type": "object",
    "properties": {"name": NAME, "scale": _number(-MAX_LORA_WEIGHT, MAX_LORA_WEIGHT)},
    "required": ["name"],
    "additionalProperties": False,
}
PROMPT: Schema = {
    "prompt": TEXT | {"examples": ["a panda bounces on a green meadow"]},
    "model": NAME | {"examples": ["sora-2"]},
    "user": {"type": "string"},
    "safety_identifier": {"type": "string"},
}
SAMPLING: Schema = {
    "negative_prompt": TEXT,
    "seed": _whole(0, MAX_SEED),
    "num_inference_steps": _whole(1, 1000),
    "guidance_scale": _number(1, 50),
    "guidance_scale_2": _number(1, 50),
    "flow_shift": _number(0.1, 100),
    "fast": {"type": "boolean"},
    "lora": {"anyOf": [_LORA, {"type": "array", "items": _LORA, "maxItems": MAX_LORAS}]},
    **{name: {"type": "boolean", "enum": [False]} for name in NOT_ON},
    "strength": _number(0, 1),
    "n": _whole(1, 1),
    "num_outputs_per_prompt": _whole(1, 1),
}
SHAPE: Schema = {
    "size": {"type": "string", "pattern": "^[0-9]{2,4}x[0-9]{2,4}$"},
    "width": _whole(64, 4096),
    "height": _whole(64, 4096),
    "seconds": _number(0.01, 3600),
    "fps": _whole(1, 60),
    "num_frames": _whole(2, 10_000),
}
CONSENTS: Schema = {"consent": {"type": "string", "enum": list(CONSENT)}}
IDS: Schema = {"characters": {"type": "array", "items": {"type": "string"}, "maxItems": 4}}
REFERENCE: Schema = {
    "type": "object",
    "properties": {"image_url": {"type": "string"}},
    "required": ["image_url"],
    "additionalProperties": False,
}
SOURCE: Schema = {
    "type": "object",
    "properties": {"id": {"type": "string"}},
    "required": ["id"],
    "additionalProperties": False,
}
PICTURE: Schema = {
    "n": _whole(1, 10),
    "num_outputs_per_prompt": _whole(1, 10),
    "size": {"type": "string"},
    "response_format": {"type": "string", "enum": ["b64_json"]},
    "output_format": {"type": "string", "enum": ["png"]},
    "quality": {"type": "string", "enum": ["auto", "standard", "low", "medium", "high", "hd"]},
    "moderation": {"type": "string", "enum": ["auto"]},
    "background": {"type": "string", "enum": ["auto", "opaque"]},
    "stream": {"type": "boolean", "enum": [False]},
}
MESSAGE: Schema = {"anyOf": [{"type": "string"}, {"type": "array", "minItems": 1, "maxItems": 32}]}
EVENTS: Schema = {
    "type": "array",
    "items": {"type": "string", "enum": ["video.completed", "video.failed"]},
    "minItems": 1,
}
LIST_QUERY: Schema = {
    "limit": {"type": "integer", "minimum": 0, "maximum": 100},
    "order": {"type": "string", "enum": ["asc", "desc"]},
    "after": {"type": "string", "maxLength": 200},
}
_NULL_TEXT: Schema = {"type": ["string", "null"]}
_NULL_WHOLE: Schema = {"type": ["integer", "null"]}
VIDEO: Schema = {
    "type": "object",
    "required": [
        "id", "object", "model", "status", "progress", "created_at", "completed_at", "expires_at", "prompt",
        "remixed_from_video_id", "size", "seconds", "error",
    ],
    "properties": {
        "id": {"type": "string"},
        "object": {"type": "string", "enum": ["video"]},
        "model": {"type": "string"},
        "status": {"type": "string", "enum": ["queued", "in_progress", "completed", "failed"]},
        "progress": {"type": "integer", "minimum": 0, "maximum": 100},
        "created_at": {"type": "integer"},
        "completed_at": _NULL_WHOLE,
        "expires_at": _NULL_WHOLE,
        "prompt": _NULL_TEXT,
        "remixed_from_video_id": _NULL_TEXT,
        "size": {"type": "string"},
        "seconds": {"type": "string"},
        "error": {"type": ["object", "null"]},
    },
}  # fmt: skip
CHARACTER: Schema = {
    "type": "object",
    "required": ["id", "object", "name", "created_at"],
    "properties": {
        "id": {"type": "string"},
        "object": {"type": "string", "enum": ["character"]},
        "name": {"type": "string"},
        "created_at": {"type": "integer"},
    },
}


def _page_of(name: str) -> Schema:
    return {
        "type": "object",
        "required": ["object", "data", "first_id", "last_id", "has_more"],
        "properties": {
            "object": {"type": "string", "enum": ["list"]},
            "data": {"type": "array", "items": {"$ref": f"#/components/schemas/{name}"}},
            "first_id": _NULL_TEXT,
            "last_id": _NULL_TEXT,
            "has_more": FLAG,
        },
    }


SCHEMAS: Schema = {
    "Video": VIDEO, "Videos": _page_of("Video"), "Character": CHARACTER, "Characters": _page_of("Character"),
}  # fmt: skip
ERROR: Schema = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "param": _NULL_TEXT,
                "code": _NULL_TEXT,
            },
        }
    },
}


def document(operations: Sequence[Operation]) -> Schema:
    """The OpenAPI 3.1 document of these operations."""
    paths: Schema = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Hibari", "version": version("hibari"), "description": "The Videos API on your own machine."},
        "paths": paths,
        "components": {
            "schemas": SCHEMAS | {"Error": ERROR},
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"key": []}],
    }


def _operation(operation: Operation) -> Schema:
    names = [part[1:-1] for part in operation.path.split("/") if part.startswith("{")]
    in_path = [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names]
    in_query = [{"name": name, "in": "query", "schema": schema} for name, schema in operation.query.items()]
    wrong = {"description": "What is wrong.", "content": _json({"$ref": "#/components/schemas/Error"})}
    right = {"description": "As asked.", "content": {operation.media: {"schema": operation.answer}}}
    described: Schema = {
        "operationId": operation.id,
        "summary": (operation.handler.__doc__ or "").partition("\n")[0],
        "parameters": [*in_path, *in_query],
        "responses": {"200": right, "default": wrong},
    }
    if operation.body is not None:
        content = {} if FILE in operation.body["properties"].values() else _json(operation.body)
        if operation.forms:
            content["multipart/form-data"] = {"schema": _as_form(operation.body)}
        described["requestBody"] = {"required": True, "content": content}
    if operation.action is None:
        described["security"] = []
    return described


def _as_form(schema: Schema) -> Schema:
    """The same as a form, which knows no null, and in which a file may stand for an object that leads to one."""
    shown = {
        name: FILE
        if name in ("input_reference", "end_image", "video", "file")
        else one.get("anyOf", [one])[0]
        if {"type": "null"} in one.get("anyOf", [])
        else one
        for name, one in schema["properties"].items()
    }
    return schema | {"properties": shown}


def _json(schema: Schema) -> Schema:
    return {"application/json": {"schema": schema}}
