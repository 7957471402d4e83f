"""What is said of errors."""

import pytest

from rlx.core.error import first_line


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("one\ntwo"), "one"),
        (ValueError("\n  one \r\ntwo"), "one"),
        (KeyError(), "KeyError"),
        (OSError(" \n "), "OSError"),
    ],
)
def test_the_first_line_of_an_error_is_what_it_says_or_its_name(error, line):
    assert first_line(error) == line
