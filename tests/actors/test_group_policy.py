"""Options of a group, each refused with its fix, and the full cross-product of legal ones."""

import math
from itertools import product
from typing import Any

import pytest

from trouper.actors._group_policy import GroupPolicy


def test_every_combination_of_legal_options_is_accepted() -> None:
    """S13: 3 strategies x 3 shutdowns x 2 restarts x significance x bounds."""
    choices: Any = (
        ("one_for_one", "one_for_all", "rest_for_one"),
        ("never", "any_significant", "all_significant"),
        ("transient", "temporary"),
        (False, True),
        (0, 5),
        (0.5, math.inf),
        (0, 5.0, math.inf),
    )
    policies = {
        GroupPolicy(
            strategy=strategy,
            auto_shutdown=auto,
            restart=restart,
            significant=significant,
            max_restarts=most,
            period=period,
            shutdown=shutdown,
        )
        for strategy, auto, restart, significant, most, period, shutdown in product(*choices)
    }
    assert len(policies) == 3 * 3 * 2 * 2 * 2 * 2 * 3


@pytest.mark.parametrize(
    ("option", "value", "kind", "text"),
    [
        ("strategy", "all_for_one", ValueError, "choose one of: one_for_one, one_for_all, rest"),
        ("auto_shutdown", "always", ValueError, "choose one of: never, any_significant, all_"),
        ("restart", "permanent", ValueError, "choose 'transient'"),
        ("restart", "sometimes", ValueError, "choose one of: transient, temporary"),
        ("max_restarts", -1, ValueError, "max_restarts must be an int >= 0, got -1"),
        ("max_restarts", 1.5, TypeError, "max_restarts takes an int >= 0, got 1.5"),
        ("max_restarts", True, TypeError, "max_restarts takes an int >= 0, got True"),
        ("period", 0, ValueError, "period must be seconds > 0, got 0"),
        ("period", math.nan, ValueError, "period must be seconds > 0, got nan"),
        ("period", "10", TypeError, "period takes seconds > 0, got '10'"),
        ("shutdown", -0.1, ValueError, "shutdown must be seconds >= 0, got -0.1"),
        ("shutdown", None, TypeError, "shutdown takes seconds >= 0, got None"),
        ("significant", 1, TypeError, "significant takes a bool, got 1"),
    ],
)
def test_a_bad_option_is_refused_with_the_fix(
    option: str, value: Any, kind: type[Exception], text: str
) -> None:
    """S13."""
    with pytest.raises(kind) as caught:
        GroupPolicy(**{option: value})
    assert text in str(caught.value)
