"""What the comparison of relayers makes of its legs."""

from bench.relay_rate import GO, OURS, Leg, Options, finished, options_of, order, ratio


def leg(relayer, acknowledged, seconds):
    return Leg(relayer=relayer, packets=300, acknowledged=acknowledged, seconds=seconds, load_average=0)


def test_the_order_alternates():
    assert order(2) == [OURS, GO, GO, OURS]


def test_the_slowest_of_ours_counts_against_the_fastest_other():
    legs = [leg(OURS, 300, 5), leg(GO, 100, 100), leg(GO, 120, 60), leg(OURS, 300, 10)]
    assert ratio(legs) == 15
    assert ratio([leg(OURS, 0, 5), leg(GO, 10, 5)]) == 0
    assert ratio([leg(OURS, 1, 5), leg(GO, 0, 5)]) == float("inf")


def test_a_leg_ends_when_nothing_is_pending_or_the_time_is_over():
    left = iter([200, 100, 0])
    done = finished(OURS, Options(packets=300), lambda: next(left), began=0)
    assert done.acknowledged == 0, "its time was over before it began"
    late = finished(GO, Options(packets=300, limit_s=1e12), lambda: next(left), began=0)
    assert late.acknowledged == 300


def test_options():
    assert options_of([]) == Options()
    assert options_of(["--go-max-msgs", "50", "--packets", "9"]) == Options(packets=9, go_flags=("--max-msgs", "50"))
