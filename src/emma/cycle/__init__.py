"""The offline cycle: new episodes in, a policy that was measured to be better out, or a report why there is none."""
