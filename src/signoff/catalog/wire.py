"""How one call of a tool becomes bytes: the plan that the compiler makes and the wire follows.

Owns the shape of parameters, bodies, servers, security and paging, as frozen values. Knows no
OpenAPI document and no HTTP client: `catalog/openapi` writes these, `upstream/` reads them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

Place = Literal["path", "query", "header", "cookie", "querystring"]
Style = Literal[
    "simple",
    "label",
    "matrix",
    "form",
    "spaceDelimited",
    "pipeDelimited",
    "tabDelimited",
    "deepObject",
    "cookie",
]
DESCRIBING_HEADERS: Final = frozenset({
    "content-digest", "content-disposition", "content-language", "content-md5", "content-range",
})  # fmt: skip
"""Headers that say more of a body, and nothing of where it ends or how it is to be read."""
BodyKind = Literal["none", "members", "whole"]
BodyFormat = Literal["json", "form", "multipart", "text", "binary", "xml", "parts"]
REST: Final = "*"
"""The encoding of every part that has none by its own place or key."""
SchemeKind = Literal["api_key", "basic", "bearer", "oauth2", "openid_connect", "mutual_tls"]
PageKind = Literal["link", "cursor", "last_id", "page", "offset"]
StreamKind = Literal["sse", "json_lines", "json_seq"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoding:
    """How one member of a form, of a multipart body or of a whole query string is written.

    `style` None is the automatic form: a scalar as it is, a list of scalars by repeating its key,
    and whatever is nested by brackets (`a[b][c]`, and `a[]` or `a[0]` for lists, see `indexed`).
    With a `style`, `style`, `explode` and `allow_reserved` are those of OpenAPI's query parameters.

    `content_type` set means the value is written by that media type: in a form the text of the
    value as JSON (or the scalar itself), in multipart the part's own Content-Type and body.
    Without it a multipart part is `text/plain` for a scalar and `application/json` for an object
    or a list of objects; a list of scalars is one part for each.

    `is_file` (multipart only): the value is base64 text, or an object
    `{data: base64, filename?, content_type?}`, or a list of either; each becomes one part with
    `filename` (the argument's own, else the member's name) and the decoded bytes. The part's type
    is the object's `content_type`, else `content_type` here, else `application/octet-stream`.
    """

    style: Style | None = None
    explode: bool = True
    allow_reserved: bool = False
    content_type: str | None = None
    is_file: bool = False
    indexed: bool = False
    """Lists inside brackets are numbered, `a[0]`, where they would be `a[]`."""
    headers: tuple[tuple[str, str], ...] = ()
    """Multipart only: further headers of each part, by the name they are written with."""
    inner: tuple[Style, ...] = ()
    """How the lists inside a styled list are joined, from the outside in; else they are refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class XmlHint:
    """How a value is written as XML (OpenAPI §XML Object), a finite tree.

    The root's `name` is the document element. `members` has a hint for each declared key; a key
    without one is an element of that name. A list's elements are written by `items`; `wrapped`
    puts them inside one element named `name`, else `name` is ignored and `items.name` repeats.
    `namespace` is declared on the element itself (`xmlns` or `xmlns:prefix`). `attribute` members
    are attributes of their parent and hold scalars. `text` members are the element's own text.
    """

    name: str
    namespace: str | None = None
    prefix: str | None = None
    attribute: bool = False
    text: bool = False
    wrapped: bool = False
    members: Mapping[str, "XmlHint"] = field(default_factory=dict[str, "XmlHint"])
    items: "XmlHint | None" = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """Where one argument goes on the wire.

    `argument` is the tool's name for it, `name` the wire's. `content_type` set means the value is
    serialised by that media type (OpenAPI `content` parameters) and `style` does not apply.

    `place` "querystring" (OpenAPI 3.2): the value is the whole query, without its `?`. It is
    alone: no other parameter of the tool is a query parameter. `content_type` says how: a form's
    members by `encodings`, JSON as its percent-encoded text, anything else as it is, encoded.
    """

    argument: str
    name: str
    place: Place
    style: Style
    explode: bool
    required: bool = False
    allow_reserved: bool = False
    content_type: str | None = None
    secret: bool = False
    indexed: bool = False
    """`deepObject` numbers the items of lists, `a[0]`, where they would be `a[]`."""
    inner: tuple[Style, ...] = ()
    """How the lists inside a list are joined, from the outside in; else they are refused."""
    encodings: Mapping[str, Encoding] = field(default_factory=dict[str, Encoding])
    slashes: bool = False
    """A path value may hold `/`, which is sent as `%2F`: one segment still, without `.` or `..`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """How the request body is made.

    `kind` says which arguments it is made of. `members`: the body is an object; `members` maps
    tool argument to body key. `whole`: one argument (`argument`) is the body. `none`: no body.
    `open_members` sends arguments that belong to no parameter as further body keys.

    `format` says how that value becomes bytes. `content_type` is the header to send, without the
    boundary for multipart.
    `json`: as JSON. `form`: an object, each key by `encodings`. `multipart`: an object, one part
    or more for each key by `encodings` or `REST`, in the order of `members`. `text`: a text, as
    it is, in UTF-8. `binary`: base64 text, sent decoded. `xml`: a text that is sent as it is, or
    else an object or a list written by `xml`. `parts`: a list, one part without a name for each
    item, by the encoding of its place (`0`, `1` …) or that of `REST`.
    A key without an encoding has the default `Encoding()`.
    """

    kind: BodyKind = "none"
    content_type: str = "application/json"
    required: bool = False
    argument: str = "body"
    members: Mapping[str, str] = field(default_factory=dict[str, str])
    open_members: bool = False
    secrets: frozenset[tuple[str, ...]] = frozenset()
    """Paths of body keys whose values are masked (`writeOnly`, `format: password`, `secret`)."""
    format: BodyFormat = "json"
    encodings: Mapping[str, Encoding] = field(default_factory=dict[str, Encoding])
    """By body key, not by argument."""
    unsent: tuple[str, ...] = ()
    """Headers of parts that the spec wants and no call sends, as `key: Name`."""
    xml: XmlHint | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """Where an operation goes instead of its upstream's `base_url`; variables are filled in.

    `url` beginning with `/` is a path on the origin of `base_url`, in place of its path (`/` for
    none). Else it is an absolute `http(s)` URL whose origin the operator listed in `allow_servers`.
    `credentials` False: neither the upstream's headers nor its credentials are sent there. A
    server on the upstream's own origin always has them.
    """

    url: str
    credentials: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SecurityScheme:
    """One security scheme of a spec. `carrier` and `name` say where an `api_key` goes.

    Every other kind but `mutual_tls` goes into the Authorization header: `basic` as
    `Basic base64(username:password)`, the rest as `Bearer TOKEN`.
    """

    name: str
    kind: SchemeKind
    carrier: Literal["header", "query", "cookie"] = "header"
    key: str = "Authorization"
    """The header, query parameter or cookie that an `api_key` is."""
    token_url: str | None = None
    """Where the spec says tokens are fetched. Shown to the operator, never called."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemeUse:
    """One scheme that a requirement needs, with the scopes it names."""

    scheme: str
    scopes: tuple[str, ...] = ()


Requirement = tuple[SchemeUse, ...]
"""All of them together; empty is anonymous."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Security:
    """What an operation wants, and what the catalogue gives.

    `alternatives`: any one of these requirements will do; none at all means no security.
    `credentials`: names in `Upstream.credentials` that are sent, of the first requirement that the
    catalogue can meet. `missing`: what the first requirement still lacks where none can be met;
    such a call is answered with an `auth_required` error and nothing is sent. It is only filled
    when the upstream has `credentials` at all: without, the operator's headers are the credential.
    """

    alternatives: tuple[Requirement, ...] = ()
    credentials: tuple[str, ...] = ()
    missing: Requirement = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchAll:
    """One call reads several pages, up to these limits. Only for reads that nobody is asked about.

    A page is taken whole or not at all, so that the rest can be asked for where this one ended.
    """

    max_pages: int = 10
    max_items: int = 1_000
    max_time_s: float = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pagination:
    """How the next page of an answer is asked for. Paths are keys from the answer's root.

    `link`: by the `Link` header's `rel="next"`, on the same origin. `cursor`: the text at `next`
    becomes `argument`; a URL there counts by its query parameter `argument`'s wire name. `last_id`:
    the `id` of the last item becomes `argument` while `more` is true. `page`: `argument` plus 1.
    `offset`: `argument` plus the number of items. The end is an empty list at `items` (an empty
    path is the answer itself), a missing or null `next`, `more` false, or `total` reached.
    """

    kind: PageKind
    argument: str | None = None
    limit: str | None = None
    """The argument that says how many items a page has."""
    items: tuple[str, ...] = ()
    next: tuple[str, ...] = ()
    more: tuple[str, ...] = ()
    total: tuple[str, ...] = ()
    """Where the answer says how many items there are on all pages together."""
    first: int | None = None
    """What `page` or `offset` count from; None: what the argument's schema says."""
    fetch: FetchAll | None = None
    """One call reads several pages; None: one page a call."""
