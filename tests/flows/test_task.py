from typing import Any

import pytest

from stillhouse.errors import DataError, ServerUnreachable, StaleHead, TrainingFailed


@pytest.mark.parametrize(
    ("error", "passes"),
    [
        (ServerUnreachable("MLflow does not answer."), True),
        (DataError("one class."), False),
        (TrainingFailed("NaN."), False),
        (StaleHead("it moved."), False),
        (ValueError("a bug"), False),
    ],
)
def test_only_what_may_pass_by_itself_is_tried_again(error: Exception, passes: bool):
    from prefect.states import Failed

    from stillhouse_flows.task import can_pass

    nothing: Any = None
    assert can_pass(nothing, nothing, Failed(data=error)) is passes


def test_every_task_has_the_same_policy_and_a_limit_in_time():
    from prefect.cache_policies import NO_CACHE

    from stillhouse_flows.task import bring_up_to_date, can_pass, promote, register

    for task in (bring_up_to_date, register, promote):
        assert (task.retries, task.retry_condition_fn, task.cache_policy, task.persist_result) == (
            3,
            can_pass,
            NO_CACHE,
            False,
        )
        assert task.timeout_seconds
        assert task.timeout_seconds > 0
