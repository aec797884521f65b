"""By which protocol a charger fetches a file."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.domain.file_transfer import chosen, named

BOTH = ("http", "ftp")


@pytest.mark.parametrize(
    ("written", "protocols"),
    [
        ("FTP,HTTP,HTTPS", {"ftp", "http", "https"}),
        ("ftp; sFTP", {"ftp", "sftp"}),
        (" Http ", {"http"}),
        ("[FTP|FTPS]", {"ftp", "ftps"}),
        ("", set()),
        (None, set()),
    ],
)
def test_a_list_is_understood_however_it_is_written(written, protocols):
    assert named(written) == protocols


@pytest.mark.parametrize(
    ("offered", "listed", "first", "second"),
    [
        (BOTH, "", "http", "ftp"),
        (BOTH, "FTP", "ftp", "ftp"),
        (BOTH, "HTTP", "http", "http"),
        (BOTH, "FTP,HTTP", "http", "ftp"),
        (BOTH, "FTPS,SFTP", "ftp", "ftp"),
        (BOTH, "HTTPS", "http", "http"),
        (BOTH, "HTTPS,FTP", "ftp", "ftp"),
        (BOTH, "HTTPS,SFTP", "http", "ftp"),
        (BOTH, "XMODEM", "http", "ftp"),
        (("ftp", "http"), "", "http", "ftp"),
        (("http",), "FTP", "http", "http"),
        (("gopher",), "FTP", "gopher", "gopher"),
    ],
)
def test_what_it_lists_comes_first_and_else_http_before_ftp(offered, listed, first, second):
    assert [chosen(offered, named(listed), requests) for requests in (0, 1)] == [first, second]


@given(
    st.lists(st.sampled_from(["http", "ftp", "https"]), min_size=1, unique=True),
    st.frozensets(st.text(max_size=5)),
    st.integers(0, 9),
)
def test_it_is_always_one_that_is_offered(offered, listed, requests):
    assert chosen(offered, listed, requests) in offered
