"""Reads an MJCF: joints with ranges, equality constraints as mimics, the tree of bodies and the sites.

Format: https://mujoco.readthedocs.io/en/stable/XMLreference.html. MuJoCo itself compiles it, so includes, defaults and
angle units hold.
"""

from pathlib import Path

from emma.errors import EmmaError
from emma.robots.description import DescribedJoint, Description, MimicOf


def read_mjcf(path: Path) -> Description:
    """The robot of the MJCF file at `path`. Raises EmmaError."""
    import mujoco

    if not path.is_file():
        raise EmmaError(f"cannot read {path}", found="no such file", expected="an MJCF file")
    try:
        model = mujoco.MjModel.from_xml_path(str(path))
    except ValueError as error:
        words = " ".join(str(error).split())
        missing = "opening file" in words or "could not open" in words.lower()
        raise EmmaError(
            f"MuJoCo cannot load {path}",
            found=words[:300],
            expected="an MJCF whose meshes and includes are there",
            fix="put the files where the MJCF looks for them (compiler meshdir)"
            if missing
            else "correct the file; python -m mujoco.viewer --mjcf=FILE shows the same error",
        ) from None

    def name(kind: int, index: int) -> str:
        found: str | None = mujoco.mj_id2name(model, kind, index)
        return found or ""

    body = mujoco.mjtObj.mjOBJ_BODY
    mimics = {
        name(mujoco.mjtObj.mjOBJ_JOINT, model.eq_obj1id[i]): MimicOf(
            joint=name(mujoco.mjtObj.mjOBJ_JOINT, model.eq_obj2id[i]),
            multiplier=float(model.eq_data[i, 1]),
            offset=float(model.eq_data[i, 0]),
        )
        for i in range(model.neq)
        if model.eq_type[i] == mujoco.mjtEq.mjEQ_JOINT and model.eq_obj2id[i] >= 0
    }
    joints: list[DescribedJoint] = []
    notes: list[str] = []
    for j in range(model.njnt):
        kind, called = mujoco.mjtJoint(model.jnt_type[j]), name(mujoco.mjtObj.mjOBJ_JOINT, j)
        if kind not in (mujoco.mjtJoint.mjJNT_HINGE, mujoco.mjtJoint.mjJNT_SLIDE):
            notes.append(f"joint {called or j} is {kind.name.removeprefix('mjJNT_').lower()}: left out")
            continue
        if not called:
            raise EmmaError(f"{path}: joint {j} has no name", found="an unnamed joint", expected='<joint name="...">')
        hinge, limited = kind == mujoco.mjtJoint.mjJNT_HINGE, bool(model.jnt_limited[j])
        if not hinge and not limited and called not in mimics:
            raise EmmaError(
                f"{path}: joints without limits: {called}",
                found="a slide joint without range",
                expected="a range in m",
                fix='add range="LOWER UPPER" from the data sheet',
            )
        child = int(model.jnt_bodyid[j])
        joints.append(
            DescribedJoint(
                name=called,
                unit="rad" if hinge else "m",
                parent=name(body, int(model.body_parentid[child])),
                child=name(body, child),
                lower=float(model.jnt_range[j, 0]) if limited else None,
                upper=float(model.jnt_range[j, 1]) if limited else None,
                continuous=hinge and not limited,
                mimic=mimics.get(called),
            )
        )
    passive = _passive(model, joints) - set(mimics)
    if passive:
        notes.append(f"joints without an actuator are left out: {', '.join(sorted(passive))}")
        joints = [joint for joint in joints if joint.name not in passive]
    if not joints:
        raise EmmaError(f"{path} has no joint that moves", found=f"{model.nbody} bodies", expected="an arm")
    return Description(
        kind="MJCF",
        name=path.stem,
        root=name(body, 0),
        joints=tuple(joints),
        parents={name(body, i): name(body, int(model.body_parentid[i])) for i in range(1, model.nbody)},
        frames={
            name(mujoco.mjtObj.mjOBJ_SITE, i): name(body, int(model.site_bodyid[i]))
            for i in range(model.nsite)
            if name(mujoco.mjtObj.mjOBJ_SITE, i)
        },
        notes=tuple(notes),
    )


def _passive(model: object, joints: list[DescribedJoint]) -> set[str]:
    """Joints that no actuator drives, directly or through a tendon, in a file that has actuators."""
    import mujoco

    driven: set[str] = set()
    for a in range(model.nu):  # type: ignore[attr-defined]
        kind, target = int(model.actuator_trntype[a]), int(model.actuator_trnid[a, 0])  # type: ignore[attr-defined]
        if kind in (mujoco.mjtTrn.mjTRN_JOINT, mujoco.mjtTrn.mjTRN_JOINTINPARENT):
            driven.add(mujoco.mj_id2name(model, mujoco.mjtObj.mjOBJ_JOINT, target))
        elif kind == mujoco.mjtTrn.mjTRN_TENDON:
            first, count = int(model.tendon_adr[target]), int(model.tendon_num[target])  # type: ignore[attr-defined]
            for w in range(first, first + count):
                if model.wrap_type[w] == mujoco.mjtWrap.mjWRAP_JOINT:  # type: ignore[attr-defined]
                    driven.add(mujoco.mj_id2name(model, mujoco.mjtObj.mjOBJ_JOINT, int(model.wrap_objid[w])))  # type: ignore[attr-defined]
    return {joint.name for joint in joints} - driven if driven else set()
