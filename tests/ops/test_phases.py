"""Phases share the positions of an axis out among themselves, and read what the definition reads."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cnntrain.ops.phases import phases
from cnntrain.ops.windows import axis


@given(
    size=st.integers(1, 12),
    kernel=st.integers(1, 5),
    stride=st.integers(1, 4),
    dilation=st.integers(1, 3),
    padding=st.tuples(st.integers(0, 6), st.integers(0, 6)),
)
def test_every_position_is_in_one_phase_and_reads_the_outputs_that_read_it(size, kernel, stride, dilation, padding):
    try:
        along = axis("height", size, kernel, stride, dilation, padding)
    except ValueError:
        return
    readers = {p: set() for p in range(size)}
    for output in range(along.out):
        for tap in range(kernel):
            position = output * stride + tap * dilation - along.before
            if 0 <= position < size:
                readers[position].add((output, tap))
    seen = []
    for phase in phases(along):
        taps = range(kernel)[phase.taps]
        before, after = phase.margins(along)
        positions = range(size)[phase.positions]
        assert len(positions) == phase.size
        for number, position in enumerate(positions):
            reads = [(phase.start + number + place * phase.step, tap) for place, tap in enumerate(taps)]
            assert all(-before <= output < along.out + after for output, _ in reads)
            assert {(output, tap) for output, tap in reads if 0 <= output < along.out} == readers[position]
        seen += positions
    assert sorted(seen) == list(range(size))
