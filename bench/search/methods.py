"""What is compared: searches by name."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

OPTIONS = ("explorer", "cost_model", "prior", "scheduler")  # of `tessera tune`


@dataclass(frozen=True)
class Method:
    """Options that are empty are left to the program."""

    name: str
    trials: int
    explorer: str = ""
    cost_model: str = ""
    prior: str = ""
    scheduler: str = ""
    starts_from: str = ""  # folder with a data folder a task; empty: an empty log

    def arguments(self) -> list[str]:
        given = [(f"--{name.replace('_', '-')}", getattr(self, name)) for name in OPTIONS]
        return ["--trials", str(self.trials), *(x for pair in given if pair[1] for x in pair)]


def load_methods(path: Path) -> dict[str, Method]:
    import yaml

    known = {f.name for f in fields(Method)} - {"name"}
    methods = {}
    for name, options in yaml.safe_load(path.read_text()).items():
        unknown = set(options) - known
        if unknown:
            raise SystemExit(
                f"{path}: method {name}: {', '.join(sorted(unknown))}: there are "
                f"{', '.join(sorted(known))}"
            )
        if not isinstance(options.get("trials"), int) or options["trials"] < 1:
            raise SystemExit(f"{path}: method {name}: trials must be a positive number")
        methods[name] = Method(name=name, **options)
    return methods


def choose(methods: dict[str, Method], names: str) -> list[Method]:
    """By names separated by commas; empty: all."""
    wanted = names.split(",") if names else list(methods)
    unknown = [name for name in wanted if name not in methods]
    if unknown:
        raise SystemExit(f"--methods: {', '.join(unknown)}: there are {', '.join(methods)}")
    return [methods[name] for name in wanted]
