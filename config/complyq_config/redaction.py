"""Takes credentials out of text: signed URLs, bearer tokens, passwords, and secrets registered at start.

Everything that leaves a process as text for people (log lines, error messages, boot logs) passes through here.
Better one harmless word too many than one credential: what follows the first credential of a URL's query goes with it.
No pattern backtracks over more than a bounded stretch, so the cost stays linear in the length of the text.
"""

import json
import re
from collections.abc import Mapping
from urllib.parse import quote, quote_plus

MASK = "[redacted]"
MIN_SECRET_LENGTH = 6
"""Characters: shorter values would blot out ordinary words."""
_DEEPEST = 8

# The names of query parameters, fields and variables whose values are credentials. X-Goog-* and X-Amz-* are the
# parameters of V4 signed URLs, upload_id is a session URI's, token that of X's own byte URLs.
_NAMES = (
    r"x-goog-[a-z0-9-]{1,40}|x-amz-[a-z0-9-]{1,40}|signature|(?<![a-z])sig|token|upload(?:_|%5F)id|credential"
    r"|secret|secret_access_key|access_?key_?id|googleaccessid|api_?key|seal_key|passw(?:or)?d|(?<![a-z])pwd"
)
# "=" as it is, percent-encoded once or more (a URL inside a URL), or escaped by JSON.
_EQUALS = r"(?:=|%(?:25){0,3}3D|\\{1,8}u003d)"
# Whatever is not the end of a URL. JSON may escape "&" as \u0026 and "/" as \/; one more escaping doubles the backslash.
_REST_OF_URL = r"(?:[^\s\"'<>\\]|\\{1,8}[u/])++"
_QUOTE = r"\\{0,8}[\"']"

_PATTERNS = (
    # Header lines, and dumps of headers: the rest of the line goes, whatever scheme it is.
    (re.compile(rf"(?i)((?:authorization|cookie)(?:{_QUOTE})?\s{{0,8}}[:=]\s{{0,8}})[^\r\n]++"), rf"\g<1>{MASK}"),
    (re.compile(r"(?i)(\bbearer(?:\s|%20|\+){1,8})(?!tokens?\b)[^\s\"'<>,;]++"), rf"\g<1>{MASK}"),
    (re.compile(r"(?i)(\bbasic(?:\s|%20|\+){1,8})[a-z0-9+/_%-]{8,}+={0,2}"), rf"\g<1>{MASK}"),
    (re.compile(rf"(?i)({_NAMES})({_EQUALS}){_REST_OF_URL}"), rf"\g<1>\g<2>{MASK}"),
    # Fields of JSON bodies and of dictionaries, such as the answer to a token exchange.
    (re.compile(rf"(?i)((?:{_NAMES}){_QUOTE}\s{{0,8}}:\s{{0,8}}b?{_QUOTE})[^\"'\\]++"), rf"\g<1>{MASK}"),
    # What botocore logs at debug level of each request to S3: its signature, and the token of temporary credentials.
    (re.compile(r"(?i)((?:signature|x-amz-security-token):(?:\s|\\{1,8}n){0,8})[^\s\"'\\]{16,}+"), rf"\g<1>{MASK}"),
    # What S3 and Cloud Storage repeat of a refused signature.
    (re.compile(r"(<(?:AWSAccessKeyId|SignatureProvided|StringToSign|CanonicalRequest)>)[^<]++"), rf"\g<1>{MASK}"),
    # user:password@ before the host of a URL.
    (re.compile(r"(?i)(:(?:\\{0,8}/){2}|%3A%2F%2F)[^\s\"'<>/?#]{1,1024}@"), rf"\g<1>{MASK}@"),
)
# Names, numbers and keys: no pattern matches without one of the other characters, and most values have none.
_PLAIN = re.compile(r"[A-Za-z0-9_.,/-]*+")
_SECRET_FIELD = re.compile(rf"(?i)(?:{_NAMES}|authorization|cookie)$")
_PERCENT = re.compile(r"%[0-9A-F]{2}")

_known: dict[str, None] = {}
_known_pattern: re.Pattern[str] | None = None


def register_secret(value: str) -> None:
    """Make `redact` remove this value wherever it stands, also percent-encoded or escaped.

    Args:
        value: A credential that this process holds. Fewer than 6 characters are ignored.
    """
    global _known_pattern  # noqa: PLW0603 - one process holds one set of secrets, as it has one log
    if len(value) < MIN_SECRET_LENGTH:
        return
    _known.update(dict.fromkeys(_spellings(value)))
    longest_first = sorted(_known, key=len, reverse=True)
    _known_pattern = re.compile("|".join(map(re.escape, longest_first)))


def redact(text: str) -> str:
    """Return ``text`` without credentials. Hosts and paths of URLs stay."""
    if _known_pattern is not None:
        text = _known_pattern.sub(MASK, text)
    if _PLAIN.fullmatch(text):
        return text
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text


def redact_value(value: object, depth: int = 0) -> object:
    """Return ``value`` without credentials: numbers as they are, containers item by item, anything else as text."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return redact(value)
    if depth < _DEEPEST and isinstance(value, Mapping):
        return {redact(str(key)): _redact_field(str(key), item, depth + 1) for key, item in value.items()}
    if depth < _DEEPEST and isinstance(value, list | tuple | set | frozenset):
        return [redact_value(item, depth + 1) for item in value]
    return redact(repr(value) if isinstance(value, bytes | BaseException) else str(value))


def redact_fields(fields: Mapping[str, object]) -> dict[str, object]:
    """Return the fields of a log line without credentials; a field named like a credential is masked whole."""
    return {name: _redact_field(name, value, 0) for name, value in fields.items()}


def _redact_field(name: str, value: object, depth: int) -> object:
    if isinstance(value, str | bytes) and _SECRET_FIELD.search(name):
        return MASK
    return redact_value(value, depth)


def _spellings(secret: str) -> set[str]:
    """List how a secret may stand in text: as it is, in a URL, in JSON."""
    encoded = {quote(secret, safe=""), quote(secret), quote_plus(secret)}
    lowered = {_PERCENT.sub(lambda match: match[0].lower(), text) for text in encoded}
    return {secret, json.dumps(secret)[1:-1], repr(secret)[1:-1], *encoded, *lowered}
