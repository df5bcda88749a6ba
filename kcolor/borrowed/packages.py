"""Weights in installed packages: found without importing them, read safely.

A pickle can run any program while it is read. These readers build arrays and
plain containers, and refuse all else.
"""

from __future__ import annotations

import collections
import importlib.util
import io
import pickle
from pathlib import Path

import numpy as np

from kcolor.errors import not_installed

# How a legacy PyTorch file begins.
_TORCH_MAGIC = 0x1950A86A20F9469CFC6C

_TORCH_TYPES = {
    "FloatStorage": np.dtype("<f4"),
    "DoubleStorage": np.dtype("<f8"),
    "HalfStorage": np.dtype("<f2"),
    "LongStorage": np.dtype("<i8"),
    "IntStorage": np.dtype("<i4"),
}


def find(package: str, file: str, extra: str = "metrics") -> Path:
    """Returns the path of a file in an installed package.

    The package is not imported: it may want more than its weights.

    Args:
        package: Its name in Python.
        file: A path in its folder.
        extra: What of kcolor to install to have it.

    Raises:
        UserError: It is not installed.
    """
    spec = importlib.util.find_spec(package)
    folders = list(spec.submodule_search_locations or ()) if spec else []
    for folder in folders:
        if (Path(folder) / file).exists():
            return Path(folder) / file
    raise not_installed(f"the weights of '{package}' are not installed", extra)


def read_arrays(path: Path):
    """Returns a pickle's dictionaries and lists of NumPy arrays.

    Raises:
        pickle.UnpicklingError: It holds something else, or is damaged.
    """
    with path.open("rb") as file:
        return _whole(lambda: _plain(_Arrays(file).load()))


def read_torch(path: Path) -> dict[str, np.ndarray]:
    """Returns the arrays of a state that PyTorch saved in its legacy format.

    That format is a row of pickles, a magic number, a version, the machine's
    sizes, the state and the keys of its storages, and then the storages, each
    its length and its numbers.

    Raises:
        pickle.UnpicklingError: It holds something else, or is damaged.
    """
    with path.open("rb") as file:
        return _whole(lambda: _torch(file))


def _torch(file: io.BufferedIOBase) -> dict[str, np.ndarray]:
    if _Arrays(file).load() != _TORCH_MAGIC:
        raise pickle.UnpicklingError("no legacy PyTorch file")
    for _ in ("version", "sizes"):
        _Arrays(file).load()
    reader = _Tensors(file)
    state, keys = reader.load(), _Arrays(file).load()
    storages = {}
    for key in keys:
        kind = reader.kinds[key]
        (count,) = np.frombuffer(file.read(8), "<i8")
        numbers = np.frombuffer(file.read(count * kind.itemsize), kind)
        if len(numbers) != count:
            raise pickle.UnpicklingError("it ends too early")
        storages[key] = numbers
    return {name: part.array(storages) for name, part in state.items()}


def _whole(read):
    """Returns what is read, all faults of the file as one kind of error."""
    try:
        return read()
    except pickle.UnpicklingError:
        raise
    except Exception as error:  # of damaged bytes pickle raises anything
        raise pickle.UnpicklingError(f"damaged: {error!r}") from error


class _Type:
    """The type of an array's numbers."""

    def __init__(self, text: str, *_):
        self.text = text

    def __setstate__(self, state):
        _, order, *_ = state
        self.text = order.replace("|", "=") + self.text.lstrip("<>=|")

    def numpy(self) -> np.dtype:
        kind = np.dtype(self.text)
        if kind.kind not in "biuf":
            raise pickle.UnpicklingError(f"arrays of '{kind}' are not read")
        return kind


class _Array:
    """An array while it is read, so that NumPy itself is told nothing."""

    def __init__(self, *_):
        self.array = None

    def __setstate__(self, state):
        _, shape, kind, is_fortran, numbers = state
        array = np.frombuffer(numbers, kind.numpy())
        self.array = array.reshape(shape, order="F" if is_fortran else "C")


class _Arrays(pickle.Unpickler):
    """Builds arrays and plain containers, and nothing else."""

    known = {
        **{
            (f"numpy.{core}.multiarray", "_reconstruct"): _Array
            for core in ("core", "_core")
        },
        ("numpy", "ndarray"): None,
        ("numpy", "dtype"): _Type,
        ("collections", "OrderedDict"): collections.OrderedDict,
    }

    def find_class(self, module, name):
        if (module, name) not in self.known:
            raise pickle.UnpicklingError(
                f"it asks for {module}.{name}, which is no array"
            )
        return self.known[module, name]


def _plain(part):
    """Returns what was read with NumPy's arrays in the place of ours."""
    if isinstance(part, dict):
        return {name: _plain(value) for name, value in part.items()}
    if isinstance(part, list | tuple):
        return [_plain(value) for value in part]
    return part.array if isinstance(part, _Array) else part


class _Tensor:
    """Where in a storage a tensor's numbers are."""

    def __init__(self, storage, offset, shape, strides, *_):
        self._where = storage, offset, shape, strides

    def __setstate__(self, state):
        # Without this a file could change the class itself.
        raise pickle.UnpicklingError("a tensor has no state")

    def array(self, storages: dict[str, np.ndarray]) -> np.ndarray:
        storage, offset, shape, strides = self._where
        numbers = storages[storage]
        last = offset + sum(
            (size - 1) * stride
            for size, stride in zip(shape, strides, strict=True)
        )
        if 0 in shape or min((offset, *strides)) < 0 or last >= len(numbers):
            raise pickle.UnpicklingError("a tensor lies outside its storage")
        return np.lib.stride_tricks.as_strided(
            numbers[offset:],
            shape,
            [stride * numbers.itemsize for stride in strides],
            writeable=False,
        ).copy()


class _Tensors(_Arrays):
    """Reads PyTorch's tensors, whose numbers follow after all of them."""

    known = {
        **_Arrays.known,
        ("torch._utils", "_rebuild_tensor_v2"): _Tensor,
        **{("torch", name): kind for name, kind in _TORCH_TYPES.items()},
    }

    def __init__(self, file):
        super().__init__(file)
        self.kinds: dict[str, np.dtype] = {}

    def persistent_load(self, identity):
        _, kind, key, *_ = identity
        self.kinds[key] = kind
        return key
