"""Lists of checks."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Check:
    name: str
    run: object
    # Options of `fresh`.
    options: dict = field(default_factory=dict)


def checks():
    """A list, and the decorator that puts functions on it."""
    of_module = []

    def check(name, **options):
        def add(function):
            of_module.append(Check(name, function, options))
            return function
        return add

    return of_module, check
