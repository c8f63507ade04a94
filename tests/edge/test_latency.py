from stillhouse.clock import ManualClock
from stillhouse.edge.latency import CALLS, FEWEST, measure, summary


def test_models_take_turns_and_each_is_timed_by_the_clock():
    clock, order = ManualClock(), []

    def call(name, seconds):
        order.append(name)
        clock.sleep(seconds)

    found = measure(
        {"fp32": lambda: call("fp32", 0.0001), "int8": lambda: call("int8", 0.0003)}, clock
    )
    assert order[:6] == ["fp32", "int8"] * 3
    assert found["fp32"].calls == found["int8"].calls == CALLS
    assert round(found["fp32"].p50_ms, 6) == 0.1
    assert round(found["int8"].p95_ms, 6) == 0.3


def test_a_slow_model_is_measured_for_two_seconds_only_and_says_on_how_many_calls():
    clock = ManualClock()
    found = measure({"fp32": lambda: clock.sleep(0.02)}, clock)["fp32"]
    assert FEWEST <= found.calls < CALLS
    assert clock.seconds() < 2.1
    very = measure({"fp32": lambda: clock.sleep(5)}, clock)["fp32"]
    assert very.calls == FEWEST


def test_a_clock_that_stands_still_is_survived():
    assert measure({"fp32": lambda: None}, ManualClock())["fp32"].p50_ms == 0


def test_percentiles_and_histogram_come_from_the_times():
    found = summary([float(i) for i in range(1, 101)])
    assert (found.p50_ms, found.p95_ms) == (50.5, 95.05)
    assert sum(found.counts) == 100
    assert len(found.edges_ms) == len(found.counts) + 1
    assert found.as_dict()["histogram"]["counts"] == found.counts
