"""TensorFlow's C API, by ctypes: a SavedModel run as servers run it.

    model = SavedModel("models/kcolor/1")
    model.run("serving_default", {"L": lightness})["ab"]

TensorFlow Serving embeds the same C++ runtime. Nothing here needs TensorFlow's
Python, Keras or kcolor; only the protos are read in Python.
"""

import ctypes
import sys
import types
from collections.abc import Mapping
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path

import numpy as np

# tensorflow/c/tf_datatype.h; the protos' DataType has the same numbers.
STRING = 7
DTYPES = {
    1: np.float32,
    2: np.float64,
    3: np.int32,
    4: np.uint8,
    5: np.int16,
    6: np.int8,
    STRING: object,
    9: np.int64,
    10: np.bool_,
    17: np.uint16,
    19: np.float16,
    22: np.uint32,
    23: np.uint64,
}
NUMBERS = {np.dtype(dtype): number for number, dtype in DTYPES.items()}
TSTRING_SIZE = 24  # sizeof(TF_TString)


class StatusError(Exception):
    """What TensorFlow answers instead of a result.

    Args:
        code: int, the canonical code, as in gRPC.
        message: str.
    """

    def __init__(self, code: int, message: str):
        super().__init__(message)
        self.code = code
        self.message = message


class _Buffer(ctypes.Structure):
    _fields_ = (
        ("data", ctypes.c_void_p),
        ("length", ctypes.c_size_t),
        ("deallocator", ctypes.c_void_p),
    )


class _Output(ctypes.Structure):
    _fields_ = (("operation", ctypes.c_void_p), ("index", ctypes.c_int))


_pointer = ctypes.c_void_p
_text = ctypes.c_char_p
_size = ctypes.c_size_t
_int = ctypes.c_int
_buffer = ctypes.POINTER(_Buffer)
_FUNCTIONS = {
    "TF_Version": (_text, []),
    "TF_NewStatus": (_pointer, []),
    "TF_DeleteStatus": (None, [_pointer]),
    "TF_GetCode": (_int, [_pointer]),
    "TF_Message": (_text, [_pointer]),
    "TF_NewBuffer": (_buffer, []),
    "TF_NewBufferFromString": (_buffer, [_text, _size]),
    "TF_DeleteBuffer": (None, [_buffer]),
    "TF_NewGraph": (_pointer, []),
    "TF_DeleteGraph": (None, [_pointer]),
    "TF_GraphOperationByName": (_pointer, [_pointer, _text]),
    "TF_NewSessionOptions": (_pointer, []),
    "TF_DeleteSessionOptions": (None, [_pointer]),
    "TF_LoadSessionFromSavedModel": (
        _pointer,
        [
            *(_pointer, _buffer, _text, ctypes.POINTER(_text), _int),
            *(_pointer, _buffer, _pointer),
        ],
    ),
    "TF_CloseSession": (None, [_pointer, _pointer]),
    "TF_DeleteSession": (None, [_pointer, _pointer]),
    "TF_SessionRun": (
        None,
        [
            *(_pointer, _buffer),
            *(ctypes.POINTER(_Output), ctypes.POINTER(_pointer), _int),
            *(ctypes.POINTER(_Output), ctypes.POINTER(_pointer), _int),
            *(ctypes.POINTER(_pointer), _int, _buffer, _pointer),
        ],
    ),
    "TF_AllocateTensor": (
        _pointer,
        [_int, ctypes.POINTER(ctypes.c_int64), _int, _size],
    ),
    "TF_DeleteTensor": (None, [_pointer]),
    "TF_TensorType": (_int, [_pointer]),
    "TF_NumDims": (_int, [_pointer]),
    "TF_Dim": (ctypes.c_int64, [_pointer, _int]),
    "TF_TensorByteSize": (_size, [_pointer]),
    "TF_TensorData": (_pointer, [_pointer]),
    "TF_StringInit": (None, [_pointer]),
    "TF_StringCopy": (None, [_pointer, _text, _size]),
    "TF_StringDealloc": (None, [_pointer]),
    "TF_StringGetDataPointer": (_pointer, [_pointer]),
    "TF_StringGetSize": (_size, [_pointer]),
}


def _wheel() -> ModuleSpec:
    # Found without being imported, and whatever stands in sys.modules.
    return PathFinder.find_spec("tensorflow")


def _library() -> ctypes.CDLL:
    # The loader finds its neighbour, libtensorflow_framework, beside it.
    folder = Path(_wheel().origin).parent
    names = ("libtensorflow_cc.so.2", "libtensorflow_cc.2.dylib")
    path = next(folder / n for n in names if (folder / n).exists())
    library = ctypes.CDLL(str(path))
    for name, (result, arguments) in _FUNCTIONS.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


def leave_out_python() -> None:
    """Lets the protos be imported without TensorFlow's Python around them.

    For a process that is a server and nothing else: it starts at once and its
    memory is the runtime's. Nothing in it can import TensorFlow afterwards.
    """
    bare = types.ModuleType("tensorflow")
    bare.__path__ = list(_wheel().submodule_search_locations)
    sys.modules.setdefault("tensorflow", bare)


class SavedModel:
    """A SavedModel in memory. Several threads may run it at once.

    Args:
        folder: Path or str, where saved_model.pb is.

    Attributes:
        signatures: dict, the SignatureDef of each name.
    """

    def __init__(self, folder: Path | str):
        # Here, so that a caller may leave out TensorFlow's Python before.
        from tensorflow.core.protobuf import meta_graph_pb2

        self._tf = _library()
        self._session = None
        self._graph = self._tf.TF_NewGraph()
        options = self._tf.TF_NewSessionOptions()
        found = self._tf.TF_NewBuffer()
        tags = (_text * 1)(b"serve")
        try:
            self._session = self._checked(
                self._tf.TF_LoadSessionFromSavedModel,
                *(options, None, str(folder).encode(), tags, 1),
                *(self._graph, found),
            )
            meta_graph = meta_graph_pb2.MetaGraphDef.FromString(
                ctypes.string_at(found.contents.data, found.contents.length)
            )
        finally:
            self._tf.TF_DeleteBuffer(found)
            self._tf.TF_DeleteSessionOptions(options)
        self.signatures = dict(meta_graph.signature_def)

    def __del__(self):
        if getattr(self, "_session", None):
            self._checked(self._tf.TF_CloseSession, self._session)
            self._checked(self._tf.TF_DeleteSession, self._session)
        if getattr(self, "_graph", None):
            self._tf.TF_DeleteGraph(self._graph)

    def run(
        self,
        signature: str,
        inputs: Mapping[str, np.ndarray],
        options: bytes = b"",
    ) -> dict[str, np.ndarray]:
        """Returns a signature's outputs.

        Args:
            signature: str, a key of `signatures`.
            inputs: The array of each input, objects (bytes) where a string.
            options: bytes, a RunOptions message.

        Raises:
            StatusError: TensorFlow refuses.
        """
        tf, definition = self._tf, self.signatures[signature]
        names = list(definition.outputs)
        feeds = (_Output * len(inputs))(
            *(self._output(definition.inputs[n].name) for n in inputs)
        )
        fetches = (_Output * len(names))(
            *(self._output(definition.outputs[n].name) for n in names)
        )
        fed = (_pointer * len(inputs))()
        fetched = (_pointer * len(names))()
        run_options = tf.TF_NewBufferFromString(options, len(options))
        try:
            for index, array in enumerate(inputs.values()):
                fed[index] = self._tensor(array)
            self._checked(
                tf.TF_SessionRun,
                *(self._session, run_options),
                *(feeds, fed, len(inputs), fetches, fetched, len(names)),
                *(None, 0, None),
            )
            arrays = [self._array(tensor) for tensor in fetched]
        finally:
            tf.TF_DeleteBuffer(run_options)
            for tensor in filter(None, fed):
                self._free(tensor)
            # Their strings are TensorFlow's own, which it frees with them.
            for tensor in filter(None, fetched):
                tf.TF_DeleteTensor(tensor)
        return dict(zip(names, arrays, strict=True))

    def _checked(self, function, *arguments):
        """Calls what takes a status last, and raises what that says."""
        status = self._tf.TF_NewStatus()
        try:
            result = function(*arguments, status)
            code = self._tf.TF_GetCode(status)
            if code:
                message = self._tf.TF_Message(status)
                raise StatusError(code, message.decode(errors="replace"))
            return result
        finally:
            self._tf.TF_DeleteStatus(status)

    def _output(self, name: str) -> _Output:
        operation, _, index = name.partition(":")
        found = self._tf.TF_GraphOperationByName(
            self._graph, operation.encode()
        )
        return _Output(found, int(index or 0))

    def _tensor(self, array: np.ndarray) -> int:
        """Returns a tensor of the caller's: to be freed by `_free`."""
        array = np.asarray(array, order="C")
        number = NUMBERS[array.dtype]
        texts = number == STRING
        length = TSTRING_SIZE * array.size if texts else array.nbytes
        shape = (ctypes.c_int64 * array.ndim)(*array.shape)
        tensor = self._tf.TF_AllocateTensor(number, shape, array.ndim, length)
        data = self._tf.TF_TensorData(tensor)
        if not texts:
            ctypes.memmove(data, array.ctypes.data, length)
            return tensor
        for index, text in enumerate(array.ravel()):
            self._tf.TF_StringInit(data + TSTRING_SIZE * index)
            self._tf.TF_StringCopy(data + TSTRING_SIZE * index, text, len(text))
        return tensor

    def _free(self, tensor: int) -> None:
        if self._tf.TF_TensorType(tensor) == STRING:
            data = self._tf.TF_TensorData(tensor)
            length = self._tf.TF_TensorByteSize(tensor)
            for offset in range(0, length, TSTRING_SIZE):
                self._tf.TF_StringDealloc(data + offset)
        self._tf.TF_DeleteTensor(tensor)

    def _array(self, tensor: int) -> np.ndarray:
        """Returns a copy of a tensor."""
        tf = self._tf
        rank = tf.TF_NumDims(tensor)
        shape = [tf.TF_Dim(tensor, axis) for axis in range(rank)]
        number = tf.TF_TensorType(tensor)
        data = tf.TF_TensorData(tensor)
        if number != STRING:
            array = np.empty(shape, DTYPES[number])
            if array.size:
                ctypes.memmove(array.ctypes.data, data, array.nbytes)
            return array
        array = np.empty(int(np.prod(shape)), object)
        for index in range(array.size):
            text = data + TSTRING_SIZE * index
            array[index] = ctypes.string_at(
                tf.TF_StringGetDataPointer(text), tf.TF_StringGetSize(text)
            )
        return array.reshape(shape)
