"""Every test asserts something, is registered where it should be, and says why when it is skipped."""

import pytest

from tests.house.assertions import (
    asserting_helpers,
    asserts,
    find_tests,
    markers_of,
    silent_handlers,
    skips_without_reason,
    weak_assertions,
)
from tests.house.source import Source, python_sources

_TESTS = list(python_sources("tests"))


def test_every_test_asserts_something():
    helpers = asserting_helpers(_TESTS)
    silent = [
        f"{source.path}:{test.lineno} {test.name} asserts nothing"
        for source in _TESTS
        for test in find_tests(source)
        if not asserts(test, helpers)
    ]
    assert silent == []


def test_every_assertion_can_fail():
    assert [fault for source in _TESTS for fault in weak_assertions(source)] == []


def test_every_test_file_has_tests():
    test_files = [source for source in _TESTS if source.path.rpartition("/")[2].startswith("test_")]
    assert len(test_files) > 10
    assert [source.path for source in test_files if not find_tests(source)] == []


def test_no_test_hides_in_a_file_that_pytest_does_not_collect():
    others = [source for source in _TESTS if not source.path.rpartition("/")[2].startswith("test_")]
    assert [source.path for source in others if find_tests(source)] == []


def test_every_marker_is_registered(pytestconfig: pytest.Config):
    registered = {line.partition(":")[0] for line in pytestconfig.getini("markers")}
    assert {marker for source in _TESTS for marker in markers_of(source)} <= registered


def test_every_skip_has_a_reason():
    assert [fault for source in _TESTS for fault in skips_without_reason(source)] == []


def test_no_exception_is_swallowed():
    assert [fault for source in python_sources() for fault in silent_handlers(source)] == []


@pytest.mark.parametrize(
    ("code", "answer"),
    [
        ("def test_x():\n    f()", False),
        ("def test_x():\n    assert f()", True),
        ("def test_x():\n    assert True", False),
        ("def test_x():\n    with pytest.raises(ValueError):\n        f()", True),
        ("def test_x():\n    check_it()\ndef check_it():\n    assert f()", True),
        ("def test_x():\n    check_it()\ndef check_it():\n    f()", False),
        ("def test_x():\n    check_a()\ndef check_a():\n    _expect_b()\ndef _expect_b():\n    assert f()", True),
        ("def test_x():\n    mock.assert_called_once()", False),
        ("class TestX:\n    def test_x(self):\n        f()", False),
        ("async def test_x():\n    assert f()", True),
    ],
)
def test_the_check_finds_silent_tests(code: str, answer: bool):
    source = Source("tests/x.py", code)
    assert asserts(find_tests(source)[0], asserting_helpers([source])) is answer


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("assert a == b if c else d", 1),
        ("assert (a, 'message')", 1),
        ("assert 1", 1),
        ("assert a == (b if c else d)", 0),
        ("assert (a in b) if c else (a == d)", 0),
    ],
)
def test_the_check_finds_weak_assertions(code: str, found: int):
    assert len(weak_assertions(Source("tests/x.py", code))) == found


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("@pytest.mark.skip\ndef test_x(): ...", 1),
        ("@pytest.mark.skip()\ndef test_x(): ...", 1),
        ("@pytest.mark.skip(reason='')\ndef test_x(): ...", 1),
        ("@pytest.mark.skip(reason='needs a GPU')\ndef test_x(): ...", 0),
        ("@pytest.mark.skipif(True)\ndef test_x(): ...", 1),
        ("@pytest.mark.skipif(True, reason='why')\ndef test_x(): ...", 0),
        ("pytestmark = pytest.mark.xfail()", 1),
        ("def test_x():\n    pytest.skip()", 1),
        ("def test_x():\n    pytest.skip('no GPU')", 0),
    ],
)
def test_the_check_finds_skips_without_reason(code: str, found: int):
    assert len(skips_without_reason(Source("tests/x.py", code))) == found


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("try:\n    f()\nexcept:\n    pass", 1),
        ("try:\n    f()\nexcept Exception:\n    pass", 1),
        ("try:\n    f()\nexcept OSError:\n    pass", 0),
        ("try:\n    f()\nexcept Exception:\n    raise", 0),
        ("with contextlib.suppress(Exception):\n    f()", 1),
        ("with contextlib.suppress(OSError):\n    f()", 0),
    ],
)
def test_the_check_finds_swallowed_exceptions(code: str, found: int):
    assert len(silent_handlers(Source("tests/x.py", code))) == found


def test_the_check_finds_markers():
    code = (
        "pytestmark = pytest.mark.slow\n@pytest.mark.made_up(1)\n@pytest.mark.parametrize('x', [])\ndef test_x(): ..."
    )
    assert markers_of(Source("tests/x.py", code)) == {"slow", "made_up"}
