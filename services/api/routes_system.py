"""The api about itself: its OpenAPI document, and its tokens."""

from typing import Annotated, Any

import msgspec
from litestar import delete, get, post
from litestar.exceptions import NotFoundException
from litestar.params import JSONBody, PathParameter

from services.api.requests import AnyRequest
from services.api.services import ApiParts
from services.api.tokens import Token, any_token, list_tokens, new_token, revoke_token
from shared.errors import Reject

ADMIN = {"scope": "admin"}


class NewToken(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A token to make."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    scope: str = "read"  # read, write or admin


class MadeToken(msgspec.Struct, frozen=True, kw_only=True):
    """The token itself: shown once."""

    token: str


class Tokens(msgspec.Struct, frozen=True, kw_only=True):
    """All tokens, without their secrets."""

    tokens: list[Token]


@get("/openapi.json", opt={"public": True}, include_in_schema=False)
async def read_openapi(request: AnyRequest) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document."""
    return request.app.openapi_schema.to_schema()


@get("/api/tokens", opt=ADMIN)
async def list_api_tokens(api: ApiParts) -> Tokens:
    """List the tokens."""
    return Tokens(tokens=await list_tokens(api.database))


@post("/api/tokens", opt=ADMIN)
async def make_api_token(data: JSONBody[NewToken], api: ApiParts) -> MadeToken:
    """Make a token; from the first one on, everybody needs one."""
    if data.scope != "admin" and not await any_token(api.database):
        raise Reject("the first token must be one that may admin, else nobody could make the next: say so in `scope`")
    return MadeToken(token=await new_token(api.database, data.name, data.scope))


@delete("/api/tokens/{token_id:int}", opt=ADMIN)
async def revoke_api_token(token_id: Annotated[int, PathParameter(ge=1, lt=2**31)], api: ApiParts) -> None:
    """Take a token's rights."""
    if not await revoke_token(api.database, token_id):
        raise NotFoundException("no token with rights has this id: GET /api/tokens lists them")
