"""The tripwire under the scenarios of field chargers trips."""

import asyncio
import logging

import pytest
import structlog

from tests.scenarios.failures import no_failure


def our_log() -> None:
    structlog.get_logger("edge.chargers").error("link_failed")


def our_exception() -> None:
    try:
        int("seven")
    except ValueError:
        structlog.get_logger("edge.chargers").info("passed_by", exc_info=True)


def a_library() -> None:
    logging.getLogger("websockets.server").error("connection handler failed")


def the_loop() -> None:
    asyncio.get_running_loop().call_exception_handler({"message": "Task exception was never retrieved"})


@pytest.mark.parametrize("failure", [our_log, our_exception, a_library, the_loop])
async def test_a_failure_is_noticed(failure):
    with pytest.raises(AssertionError), no_failure():
        failure()


async def test_what_chargers_do_wrong_is_no_failure():
    with no_failure() as lines:
        structlog.get_logger("edge.chargers").warning("peculiarity", rule="null_member")
    assert [line["event"] for line in lines] == ["peculiarity"]
