// The keys of the terminal, in the page. Space, s, d, r, t, p, n as in `emma record`; Escape stops.

export const HELP = [
  ["Esc", "stop: always, from every page"],
  ["Space", "start an episode; again: stop and save"],
  ["s  d", "save, discard"],
  ["r", "mark as success; again: as failure"],
  ["t", "take the robot over; again: give it back"],
  ["p", "policy on, off"],
  ["n", "next task of the simulated arm"],
  ["g", "ghost of the last first picture"],
  ["← →  [ ]", "review: frame by frame; begin and end of the selection"],
  ["h  ?", "these keys"],
];

/** Whether the policy commands, or will when the person gives the robot back. */
export function commands(policy) {
  return !["inactive", "disabled", "stopped"].includes(policy.mode ?? "inactive") || Boolean(policy.resumes);
}

/** The action of a key in the present state; "" for none. */
export function meaning(key, live) {
  const recording = (live.recorder.state ?? "idle") !== "idle";
  const driving = (live.teleop.state || "idle") !== "idle";
  switch (key) {
    case " ":
      return recording ? "save" : "start";
    case "s":
      return "save";
    case "d":
      return "discard";
    case "r":
      return live.recorder.success === true ? "failure" : "success";
    case "t":
      return driving ? "give" : "take";
    case "p":
      return commands(live.policy) ? "disable" : "enable";
    case "n":
      return "next";
    default:
      return "";
  }
}

/** Whether a key press belongs to a field or a button rather than to the page. */
export function belongsToField(event) {
  if (event.ctrlKey || event.altKey || event.metaKey || event.repeat) return true;
  const target = event.target;
  if (target.matches("input, textarea, select, [contenteditable]")) return true;
  return event.key === " " && target.matches("button, a, summary");
}
