"""Known ways to hide a request in another one, and many unknown ones: nothing is read in two ways.

The attacks were published with the tools http-request-smuggler, Smuggler and the HTTP Garden, each found in a server or
proxy. The bytes go into the server's own connections, without a socket.
"""

import asyncio
import random

import pytest
import uvloop

from request_fuzz import (
    LAST,
    Ours,
    case,
    cases_of,
    differs,
    granian,
    granian_reads,
    h11_reads,
    llhttp,
    nginx,
    nginx_reads,
)

INNER = b"GET /inner HTTP/1.1\r\nHost: a\r\n\r\n"
GET = b"GET / HTTP/1.1\r\nHost: a\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"


def targets(sent):
    """The targets of the requests that are read of some bytes, and whether the rest was refused."""
    ours = Ours()
    read = uvloop.run(ours.take([sent + LAST]))
    return [request.target for request in read], ours.refused


# Of each one everything is refused.
REFUSED = [
    # Lengths: a sign, another base, a separator, a prefix, none at all, an octal number, two of them, a strange name.
    *(GET + b"Content-Length: %b\r\n\r\n0123456789" % length for length in (b"+10", b"-48", b"+1_0", b"1_0", b"0x10")),
    *(GET + b"Content-Length: %b\r\n\r\n0123456789" % length for length in (b"1Z", b"1abc", b"010", b"1 0", b"10,10")),
    *(GET + b"Content-Length:%b\r\n\r\n" % blank + INNER for blank in (b"", b" ", b"\t")),
    GET + b"content-length: \r\ncontent-length: 59\r\n\r\n" + INNER,
    GET + b"Content-Length: 1\r\nContent-Length: 0\r\n\r\nZ",
    POST + b"Content-Length: 0\r\nContent-Length: 31\r\n\r\n" + INNER,
    POST + b"Content-Length: 31\r\nContent-Length: 31\r\n\r\n" + INNER,
    GET + b"Content-Length : 33\r\n\r\n" + INNER,
    GET + b"\tContent-Length: 1\r\n\r\nX",
    b"GET / HTTP/1.1\r\n\tContent-Length: 1\r\nHost: a\r\n\r\nX",
    GET + b"Content-Length\x85: 10\r\n\r\n0123456789",
    GET + b"Content-Length\xa0: 10\r\n\r\n0123456789",
    GET + b"Content-Length 10\r\n\r\n0123456789",
    # A length and a coding, in either order, with any value.
    POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    POST + b"Content-Length: blah\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nZ\r\n0\r\n\r\n",
    POST + b"Transfer-Encoding: ,chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    POST + b"Transfer-\r\nEncoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    # Codings.
    POST + b"Transfer-Encoding: ,chunked\r\n\r\n0\r\n\r\n",
    POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    POST + b"Transfer-Encoding: cow\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    # Line ends and control characters.
    GET + b"Header: v\n\0\ralue\r\n\r\n",
    GET + b"Visible: :/\rSmuggled: :)\r\n\r\n",
    GET + b"Whatever: whatever\rContent-Length: 10\r\n\r\n0123456789",
    GET + b"Useless:\n\n" + INNER,
    GET + b"Test: x\n\r\0\r\n\r\n",
    GET + b"Test: test\0dropped\r\nConnection: close\r\n\r\n",
    GET + b"Te\nst: test\r\n\r\n",
    GET + b"Hea\0der: value\r\n\r\n",
    GET + b"a:b\r\nc\0\r\n\r\n",
    GET + b"\r" + b"Z" + INNER,
    b"GET / HTTP/1.1\nHost: whatever\nConnection: close\n\n",
    b"GET / HTTP/1.1\r\nHost: google.com\0.example.org\r\n\r\n",
    # Names.
    GET + b": ignored\r\n\r\n",
    GET + b":\r\nI: am chopped off\r\n\r\n",
    GET + b"Test\r\nConnection: close\r\n\r\n",
    GET + b"Header\x85: value\r\n\r\n",
    GET + b"\xff" + b"oo: bar\r\n\r\n",
    *(GET + b"X%cY: 1\r\n\r\n" % byte for byte in b'"(),/;<=>?@[\\]{}'),
    # Request lines.
    b"GET / HTTP/1.32\r\nHost: a\r\n\r\n",
    b"GET / HTTP/4294967295.255\r\nHost: a\r\n\r\n",
    b'G=":<>(e),[T];?" / HTTP/1.1\r\nHost: a\r\n\r\n',
    b"GET ! HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /\nHTTP/1.1\r\nHost: a\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
]

# Of each one the first request begins, and its body and all behind it are refused.
BROKEN = [
    *(CHUNKED + size + b"\r\n\r\n" + INNER for size in (b"0_2e", b"0x2_e", b"-0x0", b"+0", b"-0", b"0x0", b"0Z")),
    *(CHUNKED + size + b"\r\nZ\r\n0\r\n\r\n" for size in (b"0x1", b"1these-bytes", b"1_", b"1 1", b"\x0b1", b"1\x0b")),
    CHUNKED + b"Z\r\nZZ\r\nZZZ\r\n\r\n",
    CHUNKED + b"           0\r\n\r\n",
    CHUNKED + b"\t0\r\n\r\n",
    CHUNKED + b"2\r\r;a\r\n02\r\n41\r\n0\r\n\r\n" + INNER,
    CHUNKED + b"1\r\r;name\r\nZ\r\n0\r\n\r\n",
    CHUNKED + b"5\r\r;ABCD\r\n34\r\nE\r\n0\r\n\r\n" + INNER,
    CHUNKED + b"1;a\nb\r\nZ\r\n0\r\n\r\n",
    CHUNKED + b"1;a\0b\r\nZ\r\n0\r\n\r\n",
    CHUNKED + b"\r\n\r\n" + INNER,
    CHUNKED + b"1\r\nZ\r\n\r\n\r\n" + INNER,
    CHUNKED + b"a\r\n0123456789\n0\r\n\r\n",
    CHUNKED + b"a\n0123456789\r\n0\r\n\r\n",
    CHUNKED + b"1\r\nZZ\r\n0\r\n\r\n",
    CHUNKED + b"0\n\r\n",
    CHUNKED + b"0\r\n\n",
    CHUNKED + b"0\r\nX Y: 1\r\n\r\n",
    CHUNKED + b"0\r\nX: 1\n\r\n",
    CHUNKED + b"0\r\n X: 1\r\n\r\n",
    CHUNKED + b"fffffffffffffffff\r\n",
    CHUNKED + b"100000000\r\n",
]

# These are requests as any other.
READ = {
    GET + b"Content-Length: 10\r\n\r\n0123456789": [b"/", b"/last"],
    CHUNKED + b"0\r\nX:POST / HTTP/1.1\r\n\r\n": [b"/", b"/last"],
    CHUNKED + b"17\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n\r\n0\r\n\r\n": [b"/", b"/last"],
    CHUNKED + b"1f;a=b\r\n" + INNER[:31] + b"\r\n0\r\n\r\n": [b"/", b"/last"],
    GET + b"Te!st: a\r\n\r\n": [b"/", b"/last"],
    POST + b"Content-Encoding: chunked\r\nContent-Length: %d\r\n\r\n" % len(INNER) + INNER: [b"/", b"/last"],
    POST + b"Transfer_Encoding: chunked\r\nContent-Length: %d\r\n\r\n" % len(INNER) + INNER: [b"/", b"/last"],
}


@pytest.mark.parametrize("sent", REFUSED, ids=repr)
def test_what_was_read_in_two_ways_somewhere_is_refused(sent):
    """Nothing of it reaches the application, and the connection is closed."""
    assert targets(sent) == ([], True)


@pytest.mark.parametrize("sent", BROKEN, ids=repr)
def test_a_broken_body_ends_the_connection(sent):
    """The application never gets the end of it, and nothing behind it is read."""
    assert targets(sent) == ([], True)


@pytest.mark.parametrize("sent", READ, ids=repr)
def test_what_has_one_reading_is_read(sent):
    """So that the others are refused for what they are."""
    assert targets(sent) == (READ[sent], False)


def test_no_spelling_of_a_coding_hides_a_request():
    """With any byte at one or two places around the header, as the tools try it: its length counts or it is refused."""
    body = b"0\r\n\r\n" + INNER
    bytes_ = [bytes([value]) for value in (*range(1, 0x21), *range(0x7F, 0x100))]
    spellings = {
        b"%bTransfer-Encoding%b:%bchunked%b\r\n" % tuple(byte if place in places else b"" for place in range(4))
        for byte in bytes_
        for places in ((0,), (1,), (2,), (3,), (0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3))
    }
    spellings |= {
        b"Transfer-Encoding: %b\r\n" % value
        for value in (
            b'"chunked"',
            b"'chunked'",
            b"chunk",
            b"cHuNkeD",
            b"chunked, cow",
            b"cow, chunked",
            b"cow chunked x",
        )
    }
    spellings |= {
        b"Transfer Encoding: chunked\r\n",
        b"TRANSFER-ENCODING: CHUNKED\r\n",
        b"X:X\rTransfer-Encoding: chunked\r\n",
    }
    spellings |= {
        b"X:X\nTransfer-Encoding: chunked\r\n",
        b"Transfer\r-Encoding: chunked\r\n",
        b"Transfer-Encoding:\n chunked\r\n",
    }

    async def read_all():
        ours = Ours()
        for spelling in spellings:
            head = POST + spelling + b"Content-Length: %d\r\n\r\n" % len(body)
            read = await ours.take([head + body + LAST])
            assert (read == [] and ours.refused) or [each.body for each in read] == [body, b""], spelling

    uvloop.run(read_all())
    assert len(spellings) > 1500


def test_bytes_at_random_are_read_as_other_servers_read_them():
    """Our server reads a request as llhttp, h11, Granian (hyper) and nginx do, if they don't refuse it.

    `bench/request_bytes.py` tries more.
    """
    found = []
    seen = uvloop.run(cases_of(20261201, 2500, lambda sent, read: found.append((sent, read))))
    assert seen["whole"] > 300
    assert seen["refused"] > 1000
    assert not [sent for sent, read in found if differs(read, llhttp(sent)) or differs(read, h11_reads(sent))]
    with granian() as hyper, nginx() as proxy:
        sample = found[:150]
        assert not [sent for sent, read in sample if granian_reads(hyper, sent, read) or nginx_reads(proxy, sent, read)]


def test_the_comparison_finds_a_lenient_reader():
    """A reader that takes a line feed for a line end is found by the same cases."""
    rng = random.Random(1)

    async def lenient():
        ours, found = Ours(), 0
        for _ in range(2000):
            sent = case(rng) + LAST
            read = list(await ours.take([sent.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")]))
            found += differs(read, h11_reads(sent)) or len(read) > len(h11_reads(sent))
        return found

    assert asyncio.run(lenient()) > 0


def test_a_request_may_come_in_any_pieces():
    """However the bytes are cut, the same is read."""
    sent = (
        POST
        + b"Content-Length: 5\r\n\r\nhello"
        + CHUNKED
        + b"5;x=y\r\nhello\r\n1\r\n!\r\n0\r\nT: 1\r\n\r\n"
        + GET
        + b"\r\n"
        + LAST
    )

    async def read_all():
        ours = Ours()
        whole = list(await ours.take([sent]))
        assert [read.body for read in whole] == [b"hello", b"hello!", b"", b""]
        for size in (1, 2, 3, 7):
            assert await ours.take([sent[at : at + size] for at in range(0, len(sent), size)]) == whole
        for cut in range(len(sent)):
            assert await ours.take([sent[:cut], sent[cut:]]) == whole

    uvloop.run(read_all())
