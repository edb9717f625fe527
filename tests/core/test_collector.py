"""The collector rests while lists grow, and goes on as it was before."""

from __future__ import annotations

import gc

from cnntrain.core import collector


@collector.resting()
def enabled() -> bool:
    """Whether anything is collected."""
    return gc.isenabled()


def test_it_rests_within_and_then_is_as_it_was():
    assert gc.isenabled()
    with collector.resting():
        assert not enabled()
        assert not gc.isenabled()  # as it was before the function
    assert gc.isenabled()
    assert not enabled()
    assert gc.isenabled()
