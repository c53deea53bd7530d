"""What refusals say."""

import pytest

from complyq_workers.x.error_bodies import describe, mask, xml_code


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (
            b'{"title":"Conflict","detail":"A job is active","type":"about:blank","status":409}',
            "Conflict: A job is active",
        ),
        (b'{"errors":[{"code":88,"message":"Rate limit exceeded"}]}', "Rate limit exceeded (code 88)"),
        (
            b'{"title":"Invalid Request","detail":"See","errors":[{"message":"bad name"}]}',
            "Invalid Request: See; bad name",
        ),
        (b'{"error":"invalid_client","error_description":"no such key"}', "invalid_client; no such key"),
        (b'{"error":{"code":404,"message":"No such object"}}', "No such object (code 404)"),
        (
            b"<Error><Code>ExpiredToken</Code><Message>The token has &lt;expired&gt;.</Message><StringToSign>x</StringToSign></Error>",
            "ExpiredToken: The token has <expired>.",
        ),
        (b"upstream connect error", "upstream connect error"),
        (b"<html><body>Bad gateway</body></html>", ""),
        (b"", ""),
        (b"\x00\xff\x01", ""),
        (b"[1,2]", ""),
        (b'{"detail":' + b"[" * 30_000, ""),
        (b"\nline one\r\n line two \n", "line one line two"),
    ],
)
def test_every_known_shape_becomes_one_line(body: bytes, expected: str) -> None:
    """Problem documents, legacy errors, OAuth errors and storage XML are all understood."""
    assert describe(body) == expected


def test_a_line_is_bounded() -> None:
    """A huge message does not flood the log."""
    assert len(describe(b'{"detail":"' + b"x" * 50_000 + b'"}')) == 300


def test_credentials_are_taken_out() -> None:
    """A server that repeats the URL or the token does not bring them into our log."""
    url = "https://api.x.com/2/compliance/jobs/1/upload?token=abcDEF123456&x=zyxwvutsr%2F"
    body = b'{"detail":"bad abcDEF123456 and zyxwvutsr/ at https://h/p?sig=feedbeef with Bearer AAAAAAAAAAAA"}'
    line = describe(body, url)
    for secret in ("abcDEF123456", "zyxwvutsr", "feedbeef", "AAAAAAAAAAAA"):
        assert secret not in line


def test_mask_keeps_the_rest() -> None:
    """Words around a credential stay readable."""
    assert mask("PUT https://h/path?upload_id=abc failed").startswith("PUT https://h/path?upload_id=")


def test_xml_code() -> None:
    """The code decides what a storage error means."""
    assert xml_code(b"<Error><Code>SignatureDoesNotMatch</Code></Error>") == "SignatureDoesNotMatch"
    assert xml_code(b"{}") == ""
