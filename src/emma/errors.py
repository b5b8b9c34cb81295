"""One error type for everything a user can put right."""


class EmmaError(Exception):
    """A problem told in three parts: what was found, what was expected, what to do.

    The command line prints it plainly and exits with 2; nodes log it and refuse the transition.
    """

    def __init__(self, problem: str, *, found: object = None, expected: object = None, fix: str | None = None) -> None:
        self.problem = problem
        self.found = found
        self.expected = expected
        self.fix = fix
        super().__init__(problem)

    def __str__(self) -> str:
        lines = [self.problem]
        if self.found is not None:
            lines.append(f"  found:    {self.found}")
        if self.expected is not None:
            lines.append(f"  expected: {self.expected}")
        if self.fix is not None:
            lines.append(f"  to do:    {self.fix}")
        return "\n".join(lines)

    def __reduce__(self) -> tuple:
        # Worker processes hand errors back through pickle, which would drop the keyword parts.
        return _rebuild, (type(self), self.problem, self.found, self.expected, self.fix)


def _rebuild(cls: type[EmmaError], problem: str, found: object, expected: object, fix: str | None) -> EmmaError:
    return cls(problem, found=found, expected=expected, fix=fix)
