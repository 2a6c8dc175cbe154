"""Every error as the Videos API's clients read it: one body, a status that they retry or do not, and no insides.

`{"error": {"message", "type", "param", "code"}}`. 422 and 409 are never sent: clients take the first for another class
and send a request again after the second.
"""

import json
import logging
from collections.abc import Mapping
from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from hibari.errors import BadMedia, BadWeights, HibariError, InvalidRequest, MissingDependency, UnknownModel
from hibari.serve.helper.client import HelperBusy
from hibari.store.quota import LimitReached

LOG = logging.getLogger("hibari.serve")
LONG_WAIT_S = 60.0  # clients give up, or knock in vain, above this
_BUSY_S = "30"  # after which a check is worth another try
_INVALID, _SERVER = "invalid_request_error", "server_error"


class ApiError(Exception):
    """An answer that is not what was asked for. `param` is the field at fault."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.param = param
        self.headers = dict(headers or {})

    def response(self) -> Response:
        """The error on the wire."""
        kind = _SERVER if self.status >= HTTPStatus.INTERNAL_SERVER_ERROR else _INVALID
        if self.status == HTTPStatus.TOO_MANY_REQUESTS:
            kind = "insufficient_quota" if self.code == "daily_seconds" else "rate_limit_exceeded"
        body = {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}
        text = json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")  # half a surrogate pair has no UTF-8
        return Response(text, self.status, self.headers, "application/json")


def invalid(param: str, message: str, code: str = "invalid_value") -> ApiError:
    """A field that cannot be what it is."""
    return ApiError(400, message, code=code, param=param)


def missing(param: str) -> ApiError:
    """A field that has to be there."""
    return ApiError(400, f"Missing required parameter: '{param}'.", code="missing_required_parameter", param=param)


def not_found(kind: str, param: str) -> ApiError:
    """What is not there, or is somebody else's: both look the same from outside."""
    return ApiError(404, f"No {kind.replace('_', ' ')} of this id was found.", code="not_found", param=param)


def too_many(message: str, code: str, after_s: float) -> ApiError:
    """Too much for now; a client that asks again should wait `after_s` seconds."""
    headers = {"retry-after": str(max(1, round(after_s)))}
    if after_s > LONG_WAIT_S:
        headers["x-should-retry"] = "false"
    return ApiError(429, message, code=code, headers=headers)


_PARAMS = {  # what our records call a field, and what the wire does
    "negative": "negative_prompt",
    "steps": "num_inference_steps",
    "guidance": "guidance_scale",
    "guidance_2": "guidance_scale_2",
    "image": "input_reference",
    "latents": "video",
    "references": "characters",
    "output": "output_format",
    "loras": "lora",
}


def translated(error: HibariError) -> ApiError:
    """One of the tree's errors in the API's words."""
    param = _PARAMS.get(error.option, error.option) or None
    if isinstance(error, LimitReached):
        return too_many(str(error), error.code, error.retry_after_s)
    if isinstance(error, UnknownModel):
        return ApiError(400, str(error), code="model_not_found", param="model")
    if isinstance(error, InvalidRequest | BadMedia):
        return ApiError(400, str(error), code="invalid_value", param=param)
    if isinstance(error, MissingDependency):
        return ApiError(400, str(error), code="not_supported", param=param)
    if isinstance(error, HelperBusy):
        LOG.warning("%s", error)
        return ApiError(503, str(error), code="busy", headers={"retry-after": _BUSY_S})
    LOG.error("%s: %s", type(error).__name__, error)  # these name places on this machine: the log's alone
    if isinstance(error, BadWeights):
        return ApiError(500, "The model's files are damaged here; the operator has to look.", code="server_error")
    return ApiError(503, "The service cannot do this just now.", code="server_error", headers={"retry-after": "5"})


def of_http(error: HTTPException) -> ApiError:
    """The framework's own errors: unknown routes, methods, and forms that cannot be read."""
    if error.status_code == HTTPStatus.NOT_FOUND:
        return ApiError(404, "Unknown request URL. Please check the path.", code="unknown_url")
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        text = "This method is not allowed here."
        return ApiError(405, text, code="method_not_allowed", headers=error.headers)
    return ApiError(error.status_code, str(error.detail), code="invalid_request", headers=error.headers)


async def answer(request: Request, error: Exception) -> Response:
    """What any error that left a handler becomes; its code goes along for the log and the numbers."""
    told = _told(request, error)
    request.scope["hibari.code"] = told.code
    return told.response()


def _told(request: Request, error: Exception) -> ApiError:
    """An error in the API's words; insides go to the log alone."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, HibariError):
        return translated(error)
    if isinstance(error, HTTPException):
        return of_http(error)
    if isinstance(error, ClientDisconnect):  # nobody is there to read it, but the log says what it was
        return ApiError(400, "The request's body ended early.", code="invalid_request")
    LOG.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return ApiError(500, "The server had an error while processing your request.", code="server_error")
