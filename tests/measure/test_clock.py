"""The clock, on steps that take a known time."""

from time import sleep

from botec.measure.clock import spread, time_step, timed


class Sleeper:
    """A step of two phases that wait."""

    def __init__(self, *naps):
        self.naps, self.runs = naps, 0

    @property
    def phases(self):
        return {"forward": self.forward, "backward": lambda: sleep(self.naps[1])}

    def forward(self):
        self.runs += 1
        sleep(self.naps[0])


def test_phases_and_step_take_their_time():
    found = time_step(Sleeper(0.01, 0.03), seconds=0.5)
    # a sleep takes at least its time; how much longer is the machine's affair
    assert found.phases["forward"].median >= 0.01
    assert found.phases["backward"].median >= 0.03
    assert found.phases["step"].median >= 0.04
    assert found.repetitions > 3
    assert f"median of {found.repetitions} runs" in found.how
    assert "threads, torch 2" in found.how


def test_the_whole_is_bounded():
    sleeper = Sleeper(0.001, 0.001)
    time_step(sleeper, seconds=0.3)
    assert 1 < sleeper.runs <= 0.3 / 0.002 + 2


def test_a_slow_step_runs_twice_at_most():
    """Once to warm up, once to be timed."""
    slow = Sleeper(0.2, 0.0)
    found = time_step(slow, seconds=0.1)
    assert (slow.runs, found.repetitions) == (2, 1)
    assert found.how.endswith("one run")


def test_the_warm_up_is_not_counted():
    class First(Sleeper):
        def forward(self):
            super().forward()
            sleep(0.2 if self.runs == 1 else 0)

    assert time_step(First(0.001, 0.0), seconds=0.5).phases["step"].high < 0.1


def test_the_spread_is_the_middle_half():
    found = spread([1.0, 2.0, 3.0, 4.0, 100.0])
    assert (found.low, found.median, found.high) == (2.0, 3.0, 4.0)
    few = spread([2.0, 1.0])
    assert (few.low, few.median, few.high) == (1.0, 1.5, 2.0)


def test_one_run_names_every_phase():
    assert set(timed(Sleeper(0, 0))) == {"forward", "backward", "step"}
