"""`metadata.yaml` of a rosbag2 directory, as `ros2 bag` of Jazzy and Kilted reads it (version 9)."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml
from rosbags.interfaces import Qos
from rosbags.rosbag2.metadata import dump_qos_v9

METADATA_NAME = "metadata.yaml"
VERSION = 9


@dataclass(frozen=True, kw_only=True)
class BagTopic:
    """One topic of a bag: its type, how many messages it holds, and what its publishers offered."""

    name: str
    type: str
    count: int = 0
    qos: Sequence[Qos] = field(default=())
    type_hash: str = ""


def dump_qos(qos: Sequence[Qos]) -> str:
    """QoS profiles as the YAML text that MCAP channels carry."""
    return yaml.safe_dump(dump_qos_v9(list(qos)), sort_keys=False) if qos else ""


def bag_metadata(file_name: str, topics: Sequence[BagTopic], first_ns: int, last_ns: int) -> str:
    """The text of `metadata.yaml` for a bag of one MCAP file."""
    count = sum(topic.count for topic in topics)
    start = {"nanoseconds_since_epoch": first_ns}
    duration = {"nanoseconds": max(0, last_ns - first_ns)}
    information: dict[str, Any] = {
        "version": VERSION,
        "storage_identifier": "mcap",
        "duration": duration,
        "starting_time": start,
        "message_count": count,
        "topics_with_message_count": [
            {
                "topic_metadata": {
                    "name": topic.name,
                    "type": topic.type,
                    "serialization_format": "cdr",
                    "offered_qos_profiles": dump_qos_v9(list(topic.qos)),
                    "type_description_hash": topic.type_hash,
                },
                "message_count": topic.count,
            }
            for topic in topics
        ],
        # Chunks compress themselves; rosbag2's own compression is something else and stays off.
        "compression_format": "",
        "compression_mode": "",
        "relative_file_paths": [file_name],
        "files": [{"path": file_name, "starting_time": start, "duration": duration, "message_count": count}],
        "custom_data": None,
        "ros_distro": os.environ.get("ROS_DISTRO", "jazzy"),
    }
    return str(yaml.dump({"rosbag2_bagfile_information": information}, Dumper=_Plain, sort_keys=False))


class _Plain(yaml.SafeDumper):
    """YAML without aliases: a mapping that stands twice is written twice."""

    def ignore_aliases(self, data: object) -> bool:
        return True
