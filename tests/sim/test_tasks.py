"""The tasks: enough words for each, one meaning a phrase, and ends that are told apart."""

import numpy as np
import pytest

from emma.errors import EmmaError
from emma.sim.expert import Expert
from emma.sim.scene import CUBE_HALF
from emma.sim.tasks import DEFAULT, TASKS, TaskKind, load_task
from emma.sim.tasks.place import PLACE
from emma.sim.tasks.push import GAP, NEXT_TO, PUSH, gap, resting_y

KINDS = tuple(TASKS.values())


def lying(x: float, y: float, yaw: float = 0.0, z: float = CUBE_HALF) -> np.ndarray:
    return np.array([x, y, z, np.cos(yaw / 2), 0.0, 0.0, np.sin(yaw / 2)])


@pytest.mark.parametrize("kind", KINDS, ids=TASKS)
@pytest.mark.parametrize("target", ["bin", "plate"])
def test_eight_to_train_on_and_two_held_out(kind, target):
    train, held_out = kind.phrases(target), kind.phrases(target, held_out=True)
    assert len(set(train)) >= 8
    assert len(set(held_out)) == 2
    assert not set(train) & set(held_out)
    for phrase in (*train, *held_out):
        assert kind.target_of(phrase) == target
        assert target in phrase
        assert [other.name for other in KINDS if other.target_of(phrase)] == [kind.name]


@pytest.mark.parametrize(("kind", "new"), [(PLACE, {"grab", "please"}), (PUSH, {"nudge", "please"})])
def test_held_out_phrasings_add_two_new_words(kind, new):
    def words(held_out):
        return {w for target in ("bin", "plate") for p in kind.phrases(target, held_out=held_out) for w in p.split()}

    assert words(held_out=True) - words(held_out=False) == new


def test_choice_follows_the_seed_and_the_split(arm):
    assert {PLACE.choose("bin", np.random.default_rng(i)) for i in range(200)} == set(PLACE.phrases("bin"))
    assert arm.reset(4, "bin").instruction == arm.reset(4, "bin").instruction
    assert arm.reset(4, "plate", held_out_words=True).instruction in PLACE.phrases("plate", held_out=True)


def test_other_words():
    assert PLACE.target_of("make me a coffee") is None
    with pytest.raises(EmmaError, match="unknown target"):
        PUSH.phrases("cup")
    with pytest.raises(EmmaError, match="unknown task"):
        load_task("stack")
    with pytest.raises(ValueError, match="words for bin, plate"):
        TaskKind(name="x", train={"bin": ("go",)}, held_out={}, plan=PUSH.plan, where=PUSH.where)


def test_another_task_begins_at_the_next_reset(arm):
    assert arm.reset(5, "bin").kind == DEFAULT == "place"
    arm.set_task("push")
    assert arm.task.kind == "place"
    task = arm.reset(5, "bin")
    assert task.kind == "push"
    assert task.instruction in PUSH.phrases("bin")
    # Both begin with the arm at the same place, and a push leaves room for the fingers behind the cube.
    state = arm.state()
    starts = np.array([arm.reset(seed, "bin").cube_pose for seed in range(40)])
    assert np.abs(starts[:, 1]).max() <= 0.07
    arm.set_task("place")
    arm.reset(5, "bin")
    np.testing.assert_array_equal(arm.state(), state)


@pytest.mark.parametrize(
    ("target", "cube", "metres"),
    [
        ("bin", lying(0.27, -0.127), 0.010),
        ("bin", lying(0.27, -0.127 + (np.sqrt(2) - 1) * CUBE_HALF, np.pi / 4), 0.010),
        ("bin", lying(0.27 + 0.063 + 0.020 + 0.030, -0.117), np.hypot(0.03, 0.02)),
        ("bin", lying(0.27, -0.22), 0.0),
        ("plate", lying(0.27, 0.123), 0.010),
        ("plate", lying(0.28, 0.123, np.pi / 2), 0.010),
        ("plate", lying(0.27 - 0.020 - 0.060, 0.22 - 0.020 - 0.080), 0.1 - 0.067),
    ],
)
def test_gap_between_cube_and_target(target, cube, metres):
    assert gap(target, cube) == pytest.approx(metres, abs=1e-9)
    # On another face it lies just as well.
    w, x, y, z = cube[3:]
    for turned in ([-x, w, z, -y], [-y, -z, w, x]):
        on_its_side = np.concatenate([cube[:3], (cube[3:] + turned) / np.sqrt(2)])
        assert gap(target, on_its_side) == pytest.approx(metres, abs=1e-9)


@pytest.mark.parametrize("target", ["bin", "plate"])
def test_the_push_ends_next_to_its_target_wherever_it_begins(target):
    for x in np.linspace(*PUSH.cube_x, 7):
        assert gap(target, lying(x, resting_y(target, x, GAP))) == pytest.approx(GAP, abs=1e-9)
        assert PUSH.where(lying(x, resting_y(target, x, GAP))) == target
        assert PUSH.where(lying(x, resting_y(target, x, NEXT_TO + 0.001))) is None


def test_what_is_not_next_to_a_target():
    for x in np.linspace(*PUSH.cube_x, 5):
        for y in np.linspace(*PUSH.cube_y, 5):
            assert PUSH.where(lying(x, y, 0.15)) is None
    beside = lying(0.27, -0.13)
    assert PUSH.where(beside) == "bin"
    assert PLACE.where(beside) is None
    # Held up, on its edge, in the bin, on the plate, fallen from the table.
    for other in (lying(0.27, -0.13, z=0.04), lying(0.27, -0.13, z=0.026), lying(0.27, -0.22, z=0.026)):
        assert PUSH.where(other) is None
    assert PUSH.where(lying(0.27, 0.22, z=0.026)) is None
    assert PUSH.where(lying(0.27, -0.13, z=-0.3)) is None


def test_placing_is_not_pushing_and_pushing_is_not_placing(arm):
    for done, asked in (("place", "push"), ("push", "place")):
        arm.set_task(done)
        task = arm.reset(0, "plate")
        plan = Expert(arm).executed
        for command in plan:
            arm.step(command)
        assert arm.outcome().success
        assert load_task(asked).where(np.array([*arm.outcome().cube_xyz, 1.0, 0.0, 0.0, 0.0])) is None, task


def test_a_push_to_the_wrong_target_and_one_that_stops_halfway_fail(arm):
    arm.set_task("push")
    arm.reset(2, "bin")
    plan = Expert(arm).executed
    arm.reset(2, "plate")
    for command in plan:
        arm.step(command)
    assert arm.outcome().settled
    assert (arm.outcome().placed_on, arm.outcome().success) == ("bin", False)
    arm.reset(2, "bin")
    for command in plan[: len(plan) // 3]:
        arm.step(command)
    assert (arm.outcome().placed_on, arm.outcome().success) == (None, False)


def test_fingers_that_still_touch_the_cube_have_not_finished(arm):
    arm.set_task("push")
    arm.reset(2, "plate")
    seen = []
    for command in Expert(arm).executed:
        arm.step(command)
        seen.append(arm.outcome())
    first = next(i for i, outcome in enumerate(seen) if outcome.placed_on == "plate")
    assert not seen[first].success
    assert seen[-1].success
    assert all(outcome.cube_xyz[2] < 0.0235 for outcome in seen)
