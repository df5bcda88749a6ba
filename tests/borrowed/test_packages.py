"""Weights are read from packages without running what is in them."""

import io
import os
import pickle
import struct
import sys
import types

import numpy as np
import pytest

from kcolor.borrowed.packages import find, read_arrays, read_torch
from kcolor.errors import UserError

MAGIC = 0x1950A86A20F9469CFC6C


@pytest.fixture
def written(tmp_path):
    def write(content: bytes):
        (tmp_path / "file").write_bytes(content)
        return tmp_path / "file"

    return write


class Calls:
    """What runs a command when it is read by pickle itself."""

    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


# === Pickles of arrays ===


@pytest.mark.parametrize("protocol", [3, 4])
def test_arrays_are_read_as_they_were_written(written, protocol):
    arrays = {
        "layer": {"kernel": np.arange(6.0).reshape(2, 3), "bias": np.ones(2)},
        "turned": np.float32([[1, 2], [3, 4]]).T,
        "big-endian": np.arange(3, dtype=">i4"),
        "half": np.float16([0.5]),
        "none": np.zeros((0, 3)),
        "number": 3,
    }
    found = read_arrays(written(pickle.dumps(arrays, protocol)))
    assert list(found) == list(arrays)
    np.testing.assert_equal(found, arrays)


@pytest.mark.parametrize(
    "part",
    [
        Calls(os.system, "true"),
        Calls(eval, "1 + 1"),
        Calls(getattr, "text", "upper"),
        Calls(np.load, "file"),
        os.system,
    ],
)
def test_whatever_is_no_array_is_refused_unrun(written, part, monkeypatch):
    ran = []
    monkeypatch.setattr(os, "system", ran.append)
    path = written(pickle.dumps({"weights": part}, 4))
    with pytest.raises(pickle.UnpicklingError, match="which is no array"):
        read_arrays(path)
    assert ran == []


def test_arrays_of_objects_are_refused(written):
    array = np.array([Calls(eval, "1 + 1"), None], dtype=object)
    with pytest.raises(pickle.UnpicklingError):
        read_arrays(written(pickle.dumps(array, 4)))
    array = np.array([None, "text"], dtype=object)
    with pytest.raises(pickle.UnpicklingError, match="not read"):
        read_arrays(written(pickle.dumps(array, 4)))


@pytest.mark.parametrize("read", [read_arrays, read_torch])
@pytest.mark.parametrize("content", [b"", b"Dear diary", b"\x80\x04\x95"])
def test_what_is_no_pickle_is_refused(written, read, content):
    with pytest.raises(pickle.UnpicklingError):
        read(written(content))


# === PyTorch's legacy files ===


@pytest.fixture
def torch_file(monkeypatch, written):
    """Writes a file as `torch.save` did before it wrote archives."""

    def rebuild(*_): ...

    rebuild.__name__ = rebuild.__qualname__ = "_rebuild_tensor_v2"
    rebuild.__module__ = "torch._utils"
    kind = type("FloatStorage", (), {"__module__": "torch"})
    torch, utils = (types.ModuleType(n) for n in ("torch", "torch._utils"))
    torch.FloatStorage, utils._rebuild_tensor_v2 = kind, rebuild
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setitem(sys.modules, "torch._utils", utils)

    class Storage: ...

    class Pickler(pickle.Pickler):
        def persistent_id(self, part):
            if isinstance(part, Storage):
                return ("storage", kind, "key", "cpu", 6, None)
            return None

    def write(shape, strides, offset=0, count=6, magic=MAGIC):
        file = io.BytesIO()
        for part in (magic, 1001, {"little_endian": True}):
            pickle.dump(part, file, 2)
        tensor = Calls(rebuild, Storage(), offset, shape, strides, False, {})
        Pickler(file, 2).dump({"weight": tensor})
        pickle.dump(["key"], file, 2)
        file.write(struct.pack("<q", count))
        file.write(np.arange(6, dtype="<f4").tobytes())
        return written(file.getvalue())

    return write


def test_tensors_are_read_by_their_place_and_strides(torch_file):
    def weight(*where):
        return read_torch(torch_file(*where))["weight"].tolist()

    assert weight((2, 3), (3, 1)) == [[0, 1, 2], [3, 4, 5]]
    assert weight((3, 2), (1, 3)) == [[0, 3], [1, 4], [2, 5]]
    assert weight((2,), (1,), 4) == [4, 5]
    assert weight((), ()) == 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"shape": (7,), "strides": (1,)},
        {"shape": (2,), "strides": (1,), "offset": 5},
        {"shape": (2,), "strides": (1,), "offset": -1},
        {"shape": (2,), "strides": (-1,), "offset": 3},
        {"shape": (2,), "strides": (1,), "count": 7},
        {"shape": (2,), "strides": (1,), "count": -1},
        {"shape": (2,), "strides": (1,), "magic": 1},
    ],
)
def test_tensors_outside_their_storage_are_refused(torch_file, wrong):
    with pytest.raises(pickle.UnpicklingError):
        read_torch(torch_file(**wrong))


def test_a_file_cannot_change_the_reader(torch_file, written):
    good = torch_file((2,), (1,)).read_bytes()
    head = b"".join(
        pickle.dumps(part, 2) for part in (MAGIC, 1001, {"little_endian": True})
    )
    changes = (
        b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\nN}X\x05\x00\x00\x00array"
        b"ccollections\nOrderedDict\ns\x86b0}."
    )
    with pytest.raises(pickle.UnpicklingError):
        read_torch(written(head + changes + pickle.dumps([], 2)))
    assert read_torch(written(good))["weight"].tolist() == [0, 1]


# === Packages ===


def test_a_package_is_found_without_being_imported(tmp_path, monkeypatch):
    folder = tmp_path / "explosive"
    folder.mkdir()
    (folder / "__init__.py").write_text("raise RuntimeError('imported')")
    (folder / "weights.ckpt").touch()
    monkeypatch.syspath_prepend(tmp_path)
    assert find("explosive", "weights.ckpt") == folder / "weights.ckpt"


@pytest.mark.parametrize("package", ["nobody_wrote_this", "sklearn"])
def test_a_package_without_the_weights_is_refused_with_what_to_install(package):
    with pytest.raises(UserError, match=r"kcolor\[metrics\]"):
        find(package, "weights.ckpt")
