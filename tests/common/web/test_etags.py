"""Which versions If-Match names, whatever a proxy has made of the ETag on the way."""

from uuid import uuid4

import pytest

from common.web import etags
from common.web.problems import Problem
from support.small_app import client_of, small_app
from support.tokens import Issuer

NAMES_VERSION_3 = [
    '"3"',
    'W/"3"',
    'w/"3"',
    '"1", "3"',
    'W/"1",W/"3"',
    ' "1" ,\t"3" ',
    "*",
    " * ",
    '"3-gzip"',
    'W/"3-br"',
    '"3--gzip"',
    '"3;gzip"',
]
NAMES_OTHERS = [
    '"1"',
    'W/"2"',
    '"33"',
    '"3x"',
    '"x3"',
    '"", "4"',
    '"3-4"',
    '"3-gzip-old"',
    "3",
    "",
    '"*"',
    '"3',
]


@pytest.mark.parametrize("header", NAMES_VERSION_3)
def test_a_version_is_named_weakly_in_lists_and_by_a_star(header) -> None:
    etags.check(header, 3)


@pytest.mark.parametrize("header", NAMES_OTHERS)
def test_other_versions_and_texts_without_quotes_do_not_name_it(header) -> None:
    with pytest.raises(Problem) as refused:
        etags.check(header, 3)

    assert (refused.value.status, refused.value.code) == (412, "precondition-failed")
    assert ("double quotes" in refused.value.detail) is (header in {"3", '"3'})


async def test_a_list_may_be_sent_in_several_lines(sessions) -> None:
    async with client_of(small_app(sessions, verifier=Issuer().verifier())) as client:
        answer = await client.patch(
            f"/small/v1/things/{uuid4()}", headers=[("If-Match", '"1"'), ("If-Match", 'W/"3"')]
        )

    assert (answer.status_code, answer.headers["etag"]) == (200, '"4"')
