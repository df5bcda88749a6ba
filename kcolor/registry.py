"""Names for what a user can choose: architectures, objectives, schemes."""

import importlib
import pkgutil
from collections.abc import Callable

from kcolor.errors import unknown


class Registry:
    """Names and the classes they stand for.

    The files of the registry's package are imported at the first question, so
    that a new file with a decorated class is all that a new entry needs.

    Args:
        kind: What the entries are, for error messages.
        package: The package whose files hold the entries.
    """

    def __init__(self, kind: str, package: str):
        self.kind = kind
        self._package = package
        self._classes: dict[str, type] = {}
        self._imported = False

    def register(self, name: str) -> Callable[[type], type]:
        """Returns a class decorator that enters a class under `name`."""

        def enter(cls: type) -> type:
            self._classes[name] = cls
            cls.name = name
            return cls

        return enter

    def names(self) -> tuple[str, ...]:
        """Returns every registered name, sorted."""
        if not self._imported:
            package = importlib.import_module(self._package)
            for module in pkgutil.iter_modules(package.__path__):
                importlib.import_module(f"{self._package}.{module.name}")
            self._imported = True
        return tuple(sorted(self._classes))

    def get(self, name: str) -> type:
        """Returns the class that `name` stands for.

        Raises:
            UserError: No such name; the text tells the nearest right one.
        """
        if name not in self.names():
            raise unknown(self.kind, name, self.names())
        return self._classes[name]
