"""Hypothesis strategies for answers of X: lines of a few forms, each written several times with other digits."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import hypothesis.strategies as st

from complyq_workers.results.parse import UnreadableLineError, parse_line

Maker = Callable[[Random], bytes]
"""Writes a value again and again: what is not digits stays the same."""

_SPANS = ((1, 13), (1, 29), (0, 24), (0, 60), (0, 60))
"""Of month, day, hour, minute, second."""
_ODD_PARTS = (
    (b"0000", b"0999", b"1000", b"1900", b"2000", b"2999", b"3000", b"9999"),
    (b"00", b"02", b"04", b"12", b"13", b"99"),
    (b"00", b"29", b"30", b"31", b"32", b"99"),
    (b"24", b"23", b"99"),
    (b"60", b"59", b"99"),
    (b"60", b"59", b"61", b"99"),
)
_USUAL_LAYOUT = b"%b-%b-%bT%b:%b:%b"
_LAYOUTS = (*[_USUAL_LAYOUT] * 9, b"%b-%b-%b %b:%b:%b", b"%b-%b-%bt%b:%b:%b", b" %b-%b-%bT%b:%b:%b")
_ZONES = (b"Z", b"Z", b"Z", b"+00:00", b"+00:00", b"z", b"-00:00", b"+0000", b"+02:30", b"", b" ", b"Z ", b"+00:0")
_WORDS = ("delete", "rehydrate", "scrub_geo", "hide", "deleted", "suspended", "w" * 130)
_TEXTS = (
    *("", "v0", "r00", "0", "0" * 11, "0" * 34, "0000-00-00", "00:00", "{0}", "[0]", ",0", "}0", "tweets", "users"),
    *("r\N{LATIN SMALL LETTER E WITH ACUTE}0", "\N{ARABIC-INDIC DIGIT SEVEN}", "\x7f"),
    *(r"a\u00e9", r"a\n0", r"\\0", r"\"0", r"tab\t"),
)
_VALUES = (
    *(b"true", b"false", b"0", b"-0", b"00", b"0.00", b"1.000", b"1e400", b"1000000000000000000000000"),
    *(b"{}", b"[]", b'{"a":0}', b'{ "b0" : [1, "0"] , "a":null}', b'["0", "0"]'),
)
_NAMES = (
    *("note", "note", "note", "Note", r"note\n", "", " ", "v0", "v10", "0", "\N{LATIN SMALL LETTER E WITH ACUTE}"),
    *("deleted_at", "deleted_at", "error", "type", "id", "action", "created_at", "extras"),
    *("type_raw", "created_at_raw", "redacted_at_raw", "action_raw", "reason_raw", "id_raw"),
)
_IDS = (
    *(b'" 7 "', b'"000 "', rb'"7\r"', b'""', b"null", b'"x0"', b'"-0"', b'"0.0"', b"0.0", b"1e3", b"true", b'["7"]'),
    *(b"-00", '"\N{ARABIC-INDIC DIGIT SEVEN}"'.encode(), rb'"\u0037"', b'"x"', b'"not_a_valid_id"'),
)
_TYPES = (b'"t0"', b'"0"', b"0", b'"users"', b"{}")
_PUNCTUATION = ((b": ", b", "), (b":", b","), (b":", b","), (b" :\t", b" ,  "), (b":\x0b", b","))
"""As `json.dumps` writes, compact, wide, and what is no white space of JSON."""
_FRAMES = (*[(b"{", b"}")] * 6, (b"{ ", b" }"), (b" {", b"} "), (b"\xef\xbb\xbf{", b"}"))
_ENDS = (*[b"\n"] * 6, b"\r\n", b" \r\n")
_CHANGES: tuple[Callable[[bytes], bytes], ...] = (
    lambda _: b"\n",
    lambda _: b" \t\r\n",
    lambda _: b"\xef\xbb\xbf\n",
    lambda line: line[:-1] + b"}\n",
    lambda line: line[:-1] + b"0\n",
    lambda line: line[:-1] + b" " * 1_000 + b"\n",
    lambda line: line[: len(line) // 2] + b"\n",
    lambda line: line[1:],
    lambda line: line.replace(b"e", b"\x00"),
    lambda line: line.replace(b"e", b"\xff"),
    lambda line: line.replace(b"e", b"\xc3\xa9", 1),
)


def digits(text: bytes) -> Maker:
    """A text in which each zero becomes any digit."""
    return lambda rng: bytes(rng.choice(b"0123456789") if byte == ord("0") else byte for byte in text)


def quoted(value: Maker) -> Maker:
    return lambda rng: b'"%b"' % value(rng)


def literal(text: bytes) -> Maker:
    return lambda _: text


def number(length: int) -> Maker:
    """A number with so many digits; now and then with leading zeros, zero, or as large as can be."""

    def made(rng: Random) -> bytes:
        usual = rng.randrange(10 ** (length - 1), 10**length)
        odd = b"0" * length, b"9" * length, b"%0*d" % (length, usual // 1_000), b"18446744073709551616"[:length]
        return b"%d" % usual if rng.random() < 0.7 else rng.choice(odd)

    return made


def time(layout: bytes, fraction: int, zone: bytes) -> Maker:
    """A time: usually a real one, now and then with parts that no time has or few years have, or far from UTC."""

    def made(rng: Random) -> bytes:
        parts = [b"%04d" % rng.randrange(1000, 3000), *(b"%02d" % rng.randrange(*span) for span in _SPANS)]
        parts = [rng.choice(odd) if rng.random() < 0.06 else part for part, odd in zip(parts, _ODD_PARTS, strict=True)]
        more = b"." + digits(b"0" * fraction)(rng) if fraction else b""
        return layout % tuple(parts) + more + (zone if rng.random() < 0.9 else digits(zone)(rng))

    return made


nulls = st.just(literal(b"null"))
words = st.sampled_from(_WORDS).map(lambda word: quoted(literal(word.encode())))
texts = st.sampled_from(_TEXTS).map(lambda text: quoted(digits(text.encode())))
values = st.sampled_from(_VALUES).map(digits)
usual_times = st.builds(time, st.just(_USUAL_LAYOUT), st.sampled_from((0, 3, 3, 6, 9)), st.sampled_from(_ZONES[:5]))
any_times = st.builds(time, st.sampled_from(_LAYOUTS), st.integers(0, 9), st.sampled_from(_ZONES))
odd_values = st.one_of(words, texts, any_times.map(quoted), values, nulls)
lengths = st.one_of(st.integers(1, 19), st.sampled_from((1, 18, 19)))
times_or_null = st.one_of(usual_times.map(quoted), usual_times.map(quoted), nulls)
words_or_null = st.one_of(words, words, nulls)
USUAL: dict[bytes, st.SearchStrategy[Maker]] = {
    b"id": lengths.map(lambda length: quoted(number(length))),
    b"action": words_or_null,
    b"reason": words_or_null,
    b"created_at": times_or_null,
    b"redacted_at": times_or_null,
    b"deleted_at": times_or_null,
    b"type": st.sampled_from((b'"tweets"', b'"users"', b"null")).map(literal),
    b"error": nulls,
}
ODD: dict[bytes, st.SearchStrategy[Maker]] = {
    b"id": st.one_of(lengths.map(number), st.just(quoted(number(20))), st.sampled_from(_IDS).map(digits)),
    b"type": st.sampled_from(_TYPES).map(digits),
}


@st.composite
def fields(draw: st.DrawFn) -> list[tuple[bytes, Maker]]:
    """An object's names in some order, and how their values are written: of most objects none or one is odd."""
    often = draw(st.permutations([b"action", b"reason", b"created_at", b"redacted_at"]))[: draw(st.integers(1, 4))]
    seldom = draw(st.lists(st.sampled_from([b"deleted_at", b"type", b"error"]), max_size=2, unique=True))
    names = [b"id", *often, *seldom]
    odd = draw(st.sets(st.sampled_from(names), max_size=draw(st.sampled_from((0, 0, 0, 1, 1, 5)))))
    known = [(name, draw(ODD.get(name, odd_values) if name in odd else USUAL[name])) for name in names]
    extra = st.tuples(st.sampled_from(_NAMES).map(str.encode), odd_values)
    extras = draw(st.lists(extra, max_size=draw(st.sampled_from((0, 0, 0, 1, 2)))))
    return list(draw(st.permutations([*known, *extras])))[draw(st.integers(0, 29)) == 0 :]


@st.composite
def forms(draw: st.DrawFn) -> Maker:
    """How lines are written that differ in digits alone."""
    colon, comma = draw(st.sampled_from(_PUNCTUATION))
    first, last = draw(st.sampled_from(_FRAMES))
    last += draw(st.sampled_from(_ENDS))
    some = draw(fields())

    def made(rng: Random) -> bytes:
        pairs = (b'"%b"%b%b' % (digits(name)(rng), colon, value(rng)) for name, value in some)
        return first + comma.join(pairs) + last

    return made


@st.composite
def answers(draw: st.DrawFn) -> bytes:
    """Lines of several forms and some damaged ones, mixed; few answers keep those that cannot be read."""
    rng = Random(draw(st.integers(0, 2**32)))
    made = [form(rng) for form in draw(st.lists(forms(), min_size=1, max_size=5)) for _ in range(rng.randrange(2, 16))]
    made += [change(rng.choice(made)) for change in draw(st.lists(st.sampled_from(_CHANGES), max_size=3))]
    kept = [line for line in made if _is_readable(line)] if draw(st.integers(0, 7)) else made
    rng.shuffle(kept)
    return b"".join(kept)[: -1 if draw(st.booleans()) else None]


def _is_readable(line: bytes) -> bool:
    try:
        parse_line(line, "tweets")
    except UnreadableLineError:
        return False
    return True
