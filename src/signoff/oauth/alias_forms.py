"""Auth0-shaped requests, read as ours: JSON bodies and `audience` at /bc-authorize, /oauth/token.

Owns that translation and nothing else: the endpoints behind the aliases are the same, with the
same checks. At our own addresses a JSON body is still refused (CIBA Core §7.1).
"""

import json
from collections.abc import Mapping
from typing import Final

from starlette.requests import Request

from signoff.canonical import Json, JsonError, parse
from signoff.oauth.errors import OAuthError
from signoff.oauth.forms import Form, content_type_of, read_body, read_form

_JSON: Final = "application/json"
_MAX_MEMBERS: Final = 50


async def read_alias_form(request: Request) -> Form:
    """Read the body of a request to an alias.

    Raises:
        OAuthError: it is neither a form nor a JSON object of parameters.
    """
    media_type = content_type_of(request).partition(";")[0].strip().lower()
    form = await (_read_json(request) if media_type == _JSON else read_form(request))
    audience = form.get("audience")
    if audience is None:
        return form
    rest = {name: value for name, value in form.values.items() if name != "audience"}
    return Form(rest, tuple(dict.fromkeys((*form.resources, audience))))


async def _read_json(request: Request) -> Form:
    if request.url.query:
        raise OAuthError("invalid_request", "parameters belong in the body, not in the URL")
    try:
        value = parse(await read_body(request))
    except JsonError as error:
        raise OAuthError("invalid_request", "the body is not JSON", detail=str(error)) from error
    if not isinstance(value, dict) or len(value) > _MAX_MEMBERS:
        raise OAuthError("invalid_request", "the body is not an object of parameters")
    return _form(value)


def _form(members: Mapping[str, Json]) -> Form:
    values: dict[str, str] = {}
    resources: list[str] = []
    for name, value in members.items():
        if value is None or value == "":
            continue
        if name == "resource":
            listed = value if isinstance(value, list) else [value]
            if not all(isinstance(each, str) for each in listed):
                raise OAuthError("invalid_request", "resource is a text or a list of texts")
            resources += [str(each) for each in listed]
        elif isinstance(value, str):
            values[name] = value
        elif isinstance(value, bool):
            values[name] = "true" if value else "false"
        else:
            values[name] = json.dumps(value)
    return Form(values, tuple(dict.fromkeys(resources)))
