"""Runs a SavedModel through TensorFlow's C API, without a line of TensorFlow's Python.

`python c_api.py SAVED_MODEL REQUESTS RESULTS`: requests are a pickled list of (feeds, fetches), a
dict of a tensor's name -> array and a list of tensors' names; results are as many lists of arrays,
or the message of the error status.
"""

import ctypes
import importlib.util
import pathlib
import pickle
import sys

import numpy as np

CODES = {1: np.float32, 3: np.int32, 4: np.uint8, 7: object, 9: np.int64}
STRING, STRING_BYTES = 7, 24

folder = pathlib.Path(importlib.util.find_spec("tensorflow").submodule_search_locations[0])
for name in ("libtensorflow_framework.so.2", "libtensorflow_cc.so.2"):
    library = ctypes.CDLL(str(folder / name), mode=ctypes.RTLD_GLOBAL)


class Output(ctypes.Structure):
    _fields_ = [("operation", ctypes.c_void_p), ("index", ctypes.c_int)]


def function(name, result, *arguments):
    found = getattr(library, name)
    found.restype, found.argtypes = result, arguments
    return found


POINTER, SIZE, TEXT = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p
new_status = function("TF_NewStatus", POINTER)
get_code = function("TF_GetCode", ctypes.c_int, POINTER)
get_message = function("TF_Message", TEXT, POINTER)
new_graph = function("TF_NewGraph", POINTER)
new_options = function("TF_NewSessionOptions", POINTER)
load = function(
    "TF_LoadSessionFromSavedModel",
    POINTER, POINTER, POINTER, TEXT, ctypes.POINTER(TEXT), ctypes.c_int, POINTER, POINTER, POINTER,
)  # fmt: skip
find = function("TF_GraphOperationByName", POINTER, POINTER, TEXT)
run = function(
    "TF_SessionRun",
    None, POINTER, POINTER,
    ctypes.POINTER(Output), ctypes.POINTER(POINTER), ctypes.c_int,
    ctypes.POINTER(Output), ctypes.POINTER(POINTER), ctypes.c_int,
    POINTER, ctypes.c_int, POINTER, POINTER,
)  # fmt: skip
allocate = function(
    "TF_AllocateTensor", POINTER, ctypes.c_int, ctypes.POINTER(ctypes.c_int64), ctypes.c_int, SIZE
)
data = function("TF_TensorData", POINTER, POINTER)
tensor_type = function("TF_TensorType", ctypes.c_int, POINTER)
num_dims = function("TF_NumDims", ctypes.c_int, POINTER)
dim = function("TF_Dim", ctypes.c_int64, POINTER, ctypes.c_int)
string_init = function("TF_StringInit", None, POINTER)
string_copy = function("TF_StringCopy", None, POINTER, TEXT, SIZE)
string_pointer = function("TF_StringGetDataPointer", POINTER, POINTER)
string_size = function("TF_StringGetSize", SIZE, POINTER)


class Failure(Exception):
    pass


def check(status):
    if get_code(status):
        raise Failure(get_message(status).decode())


def to_tensor(array):
    array = np.ascontiguousarray(array)
    (code,) = (c for c, kind in CODES.items() if np.dtype(kind) == array.dtype)
    shape = (ctypes.c_int64 * array.ndim)(*array.shape)
    length = array.size * STRING_BYTES if code == STRING else array.nbytes
    tensor = allocate(code, shape, array.ndim, length)
    if code != STRING:
        ctypes.memmove(data(tensor), array.ctypes.data, array.nbytes)
        return tensor
    for place, text in enumerate(array.ravel()):
        string = data(tensor) + place * STRING_BYTES
        string_init(string)
        string_copy(string, text, len(text))
    return tensor


def to_array(tensor):
    shape = tuple(dim(tensor, i) for i in range(num_dims(tensor)))
    kind, count = CODES[tensor_type(tensor)], int(np.prod(shape))
    if kind is not object:
        buffer = ctypes.string_at(data(tensor), count * np.dtype(kind).itemsize)
        return np.frombuffer(buffer, kind).reshape(shape)
    strings = [data(tensor) + place * STRING_BYTES for place in range(count)]
    texts = [ctypes.string_at(string_pointer(s), string_size(s)) for s in strings]
    array = np.empty(count, object)
    array[:] = texts
    return array.reshape(shape)


def output(graph, name):
    operation, _, index = name.partition(":")
    found = find(graph, operation.encode())
    assert found, name
    return Output(found, int(index or 0))


def main(path, requests):
    status, graph = new_status(), new_graph()
    tags = (TEXT * 1)(b"serve")
    session = load(new_options(), None, path.encode(), tags, 1, graph, None, status)
    check(status)
    results = []
    for feeds, fetches in requests:
        inputs = (Output * len(feeds))(*(output(graph, name) for name in feeds))
        values = (POINTER * len(feeds))(*(to_tensor(array) for array in feeds.values()))
        outputs = (Output * len(fetches))(*(output(graph, name) for name in fetches))
        tensors = (POINTER * len(fetches))()
        run(
            session, None, inputs, values, len(feeds), outputs, tensors, len(fetches),
            None, 0, None, status,
        )  # fmt: skip
        try:
            check(status)
            results.append([to_array(tensor) for tensor in tensors])
        except Failure as failure:
            results.append(str(failure))
    return results


if __name__ == "__main__":
    with open(sys.argv[2], "rb") as file:
        requests = pickle.load(file)
    results = main(sys.argv[1], requests)
    assert not {"tensorflow", "keras", "kerasgen"} & set(sys.modules)
    with open(sys.argv[3], "wb") as file:
        pickle.dump(results, file)
