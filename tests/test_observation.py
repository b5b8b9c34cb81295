"""Messages to arrays, and arrays to observations, on messages that a real type store built."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rosbags.typesys import Stores, get_typestore

from emma.errors import EmmaError
from emma.messages import decode_command, decode_depth, decode_image, decode_state
from emma.observation import Aligner, Stream
from emma.robots.spec import load_robot

STORE = get_typestore(Stores.ROS2_JAZZY)
TYPES = STORE.types
SPEC = load_robot("desk_arm")
TOP = SPEC.camera("top")
MS = 1_000_000


def header(ns: int):
    stamp = TYPES["builtin_interfaces/msg/Time"](sec=ns // 10**9, nanosec=ns % 10**9)
    return TYPES["std_msgs/msg/Header"](stamp=stamp, frame_id="")


def image(ns: int, array: np.ndarray, encoding: str = "rgb8", pad: int = 0):
    height, width = array.shape[:2]
    rows = array.reshape(height, -1).view(np.uint8)
    if pad:
        rows = np.concatenate([rows, np.full((height, pad), 7, np.uint8)], axis=1)
    return TYPES["sensor_msgs/msg/Image"](
        header=header(ns), height=height, width=width, encoding=encoding, is_bigendian=0, step=rows.shape[1],
        data=np.ascontiguousarray(rows).reshape(-1),
    )  # fmt: skip


def joints(ns: int, values, names=SPEC.joint_names):
    empty = np.zeros(0)
    return TYPES["sensor_msgs/msg/JointState"](
        header=header(ns), name=list(names), position=np.asarray(values, float), velocity=empty, effort=empty
    )


def picture(value: int = 0) -> np.ndarray:
    rng = np.random.default_rng(value)
    return rng.integers(0, 255, (TOP.height, TOP.width, 3), dtype=np.uint8)


@pytest.mark.parametrize("pad", [0, 12])
def test_rgb_is_exact_with_and_without_row_padding(pad):
    array = picture()
    np.testing.assert_array_equal(decode_image(image(0, array, pad=pad), TOP), array)


def test_bgr_becomes_rgb():
    array = picture()
    np.testing.assert_array_equal(decode_image(image(0, array, "bgr8"), TOP), array[..., ::-1])


def test_depth_in_metres_and_millimetres_agree():
    metres = np.linspace(0.1, 2.0, TOP.height * TOP.width, dtype=np.float32).reshape(TOP.height, TOP.width)
    metres[0, :3] = (np.nan, np.inf, 1e9)
    millimetres = decode_depth(image(0, metres, "32FC1"), TOP)
    assert millimetres.dtype == np.uint16
    assert list(millimetres[0, :3]) == [0, 0, 65535]
    again = decode_depth(image(0, millimetres, "16UC1"), TOP)
    np.testing.assert_array_equal(again, millimetres)
    assert millimetres[50, 50] == round(float(metres[50, 50]) * 1000)


@pytest.mark.parametrize(
    ("message", "says"),
    [
        (image(0, picture()[:, :40].copy()), "wrong image size"),
        (image(0, picture(), "nonsense"), "cannot decode"),
    ],
)
def test_bad_images_are_named(message, says):
    with pytest.raises(EmmaError, match=says) as error:
        decode_image(message, TOP)
    assert TOP.image_topic in str(error.value)


def test_an_image_cut_short_is_named():
    message = image(0, picture())
    message.data = message.data[:100]
    with pytest.raises(EmmaError, match="cut short"):
        decode_image(message, TOP)


def test_joints_are_found_by_name_not_by_place():
    order = list(reversed(SPEC.joint_names))
    state = decode_state(joints(0, np.arange(7), order), SPEC)
    np.testing.assert_array_equal(state, np.arange(7)[::-1])
    assert state.dtype == np.float32


def test_missing_joint_and_nan_are_named():
    with pytest.raises(EmmaError, match="joints missing") as error:
        decode_state(joints(0, np.zeros(6), SPEC.joint_names[:6]), SPEC)
    assert "gripper" in str(error.value)
    with pytest.raises(EmmaError, match="non-finite") as error:
        decode_state(joints(0, [0, 0, np.nan, 0, 0, 0, 0]), SPEC)
    assert "j3=nan" in str(error.value)


def test_an_empty_trajectory_is_refused():
    message = TYPES["trajectory_msgs/msg/JointTrajectory"](
        header=header(0), joint_names=list(SPEC.joint_names), points=[]
    )
    with pytest.raises(EmmaError, match="empty trajectory"):
        decode_command(message, SPEC)


@given(st.lists(st.integers(0, 900), min_size=1, max_size=40), st.integers(-10, 1000))
def test_the_latest_not_newer_sample_wins_in_any_order_of_arrival(stamps, t):
    stream = Stream(span_ns=10**9)
    for stamp in stamps:
        stream.push(stamp * MS, stamp)
    expected = max((s for s in stamps if s <= t), default=None)
    found = stream.at(t * MS)
    assert (None if found is None else found.message) == expected


def test_a_clock_set_back_does_not_freeze_the_stream():
    stream = Stream(span_ns=10**9)
    for i in range(4):
        stream.push(100_000 * MS + i, "before")
    stream.push(5_000 * MS, "after")
    found = stream.at(6_000 * MS)
    assert found is not None
    assert (found.stamp_ns, found.message) == (5_000 * MS, "after")


def full_aligner(cameras=("top", "wrist"), depth=False) -> Aligner:
    aligner = Aligner(SPEC, cameras=cameras, depth=depth)
    aligner.push(SPEC.state_topic, joints(100 * MS, np.zeros(7)), 0)
    aligner.push(SPEC.camera("top").image_topic, image(80 * MS, picture(1)), 0)
    aligner.push(SPEC.camera("wrist").image_topic, image(95 * MS, picture(2)), 0)
    return aligner


def test_observation_tells_ages_and_skew():
    observation = full_aligner().at(110 * MS)
    assert observation.ages_s == pytest.approx({"state": 0.010, "images.top": 0.030, "images.wrist": 0.015})
    assert observation.skew_s == pytest.approx(0.015)
    assert observation.stale(0.02) == pytest.approx({"images.top": 0.030})
    np.testing.assert_array_equal(observation.images["wrist"], picture(2))


def test_the_future_is_never_used():
    aligner = full_aligner()
    aligner.push(SPEC.camera("top").image_topic, image(120 * MS, picture(3)), 0)
    np.testing.assert_array_equal(aligner.at(119 * MS).images["top"], picture(1))
    np.testing.assert_array_equal(aligner.at(120 * MS).images["top"], picture(3))


def test_missing_streams_are_named_with_their_topics():
    aligner = Aligner(SPEC, cameras=("top",), depth=True)
    aligner.push(SPEC.state_topic, joints(0, np.zeros(7)), 0)
    assert aligner.missing(10) == ("images.top", "depth.top")
    assert aligner.newest_ns() is None
    assert aligner.ages_s(0)["images.top"] == float("inf")
    with pytest.raises(EmmaError) as error:
        aligner.at(10)
    assert TOP.image_topic in str(error.value)
    assert TOP.depth_topic in str(error.value)


def test_newest_common_moment():
    assert full_aligner().newest_ns() == 80 * MS
    assert full_aligner().ages_s(100 * MS)["images.top"] == pytest.approx(0.02)


@settings(deadline=None, max_examples=60)
@given(
    state_hz=st.sampled_from([10, 50, 200, 500, 1000]),
    camera_hz=st.sampled_from([5, 30, 60]),
    delay_ms=st.integers(0, 300),
    jitter_ms=st.integers(0, 20),
    burst=st.integers(1, 8),
    seed=st.integers(0, 2**16),
)
def test_any_rate_delay_and_order_gives_the_joint_state_of_the_picture(
    state_hz, camera_hz, delay_ms, jitter_ms, burst, seed
):
    """Joint states at any rate beside a late camera: the newest common moment has the latest state that came for it."""
    rng = np.random.default_rng(seed)
    spec = replace(SPEC, max_age_s=0.25)
    aligner = Aligner(spec, cameras=("top",))
    states = [round(i * 1e9 / state_hz) for i in range(2 * state_hz)]
    pictures = [round(i * 1e9 / camera_hz) for i in range(2 * camera_hz)]
    # (arrival, stamp, topic): cameras are late and jitter, joint states come in bursts, neighbours change places.
    arrivals = [(max(states[i // burst * burst : (i // burst + 1) * burst]), s, "state") for i, s in enumerate(states)]
    arrivals += [(s + (delay_ms + int(rng.integers(0, jitter_ms + 1))) * MS, s, "top") for s in pictures]
    pixels, seen, came = picture(1), 0, list[int]()
    for _, stamp, kind in sorted(arrivals, key=lambda a: (a[0], rng.random())):
        if kind == "top":
            aligner.push_decoded(TOP.image_topic, stamp, pixels)
        else:
            aligner.push(SPEC.state_topic, joints(stamp, np.full(7, stamp / 1e9)), 0)
            came.append(stamp)
        newest = aligner.newest_ns()
        if newest is None or not any(state <= newest for state in came):
            continue
        expected = max(state for state in came if state <= newest)
        assert aligner.at(newest).state[0] == np.float32(expected / 1e9)
        seen += 1
    assert seen > 0


def test_a_stream_keeps_a_span_of_time_and_no_more():
    stream = Stream(span_ns=10**9)
    for i in range(5000):
        stream.push(i * MS, i)
    assert stream.at(4_000 * MS).message == 4_000
    assert stream.at(3_998 * MS) is None
    sparse = Stream(span_ns=10**9)
    sparse.push(0, "long ago")
    sparse.push(9_000 * MS, "now")
    assert sparse.at(8_999 * MS).message == "long ago"
    small = Stream(span_ns=10**9, limit=10)
    for i in range(100):
        small.push(i, i)
    assert small.at(90).message == 90
    assert small.at(89) is None
