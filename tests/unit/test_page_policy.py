"""The hash of a script, as browsers compute it."""

from v2a.page_policy import source_hash


def test_it_is_that_of_the_standard():
    # The example of CSP 3, section 2.3.1: the inline script alert('Hello, world.');
    assert source_hash("alert('Hello, world.');") == "'sha256-qznLcsROx4GACP2dm0UCKCzCG+HiZ1guq6ZZDob/Tng='"
