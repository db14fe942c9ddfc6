import pytest

from support.eventually import eventually


async def test_it_answers_what_the_check_found() -> None:
    answers = iter([None, 0, "found"])

    assert await eventually(lambda: next(answers)) == "found"


async def test_it_waits_for_a_check_that_awaits_and_asserts() -> None:
    seen: list[int] = []

    async def three() -> bool:
        seen.append(len(seen))
        assert len(seen) == 3, "too early"
        return True

    assert await eventually(three)


async def test_it_says_what_it_waited_for_and_what_it_found() -> None:
    with pytest.raises(AssertionError, match=r"^list: not within 0.05 s .*the last answer was \[\]"):
        await eventually(list, within=0.05)


async def test_it_says_which_assertion_still_failed() -> None:
    def check() -> bool:
        raise AssertionError("two people, one time")

    with pytest.raises(AssertionError, match="it raised two people, one time"):
        await eventually(check, within=0.05)
