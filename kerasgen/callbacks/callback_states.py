"""What callbacks remember between steps, as plain values and arrays, and put back.

A callback has `get_state`, which returns a dict of what JSON knows and of arrays, and `set_state`.
Keras' own haven't: what they remember is listed here.
"""

import keras
import numpy as np

ATTRIBUTES = {
    keras.callbacks.EarlyStopping: (
        "best",
        "best_epoch",
        "best_weights",
        "stopped_epoch",
        "wait",
    ),
    keras.callbacks.ReduceLROnPlateau: ("best", "cooldown_counter", "wait"),
    keras.callbacks.ModelCheckpoint: (
        "_batches_seen_since_last_saving",
        "_last_batch_seen",
        "best",
        "epochs_since_last_save",
    ),
    keras.callbacks.History: ("epoch", "history"),
}
# They remember nothing that decides what comes next.
STATELESS = (
    keras.callbacks.LearningRateScheduler,
    keras.callbacks.ProgbarLogger,
    keras.callbacks.TensorBoard,
    keras.callbacks.TerminateOnNaN,
)


def get_state(callback):
    """A callback's state, or None where it isn't known."""
    if hasattr(callback, "get_state"):
        return callback.get_state()
    if isinstance(callback, keras.callbacks.CSVLogger):
        callback.csv_file.flush()
        with open(callback.filename, newline="") as file:
            return {"text": file.read(), "keys": callback.keys}
    for kind, names in ATTRIBUTES.items():
        if isinstance(callback, kind):
            return {name: getattr(callback, name) for name in names if hasattr(callback, name)}
    return {} if isinstance(callback, STATELESS) else None


def set_state(callback, state):
    """Puts a callback's state back, after its `on_train_begin`."""
    if hasattr(callback, "set_state"):
        callback.set_state(state)
    elif isinstance(callback, keras.callbacks.CSVLogger):
        callback.csv_file.seek(0)
        callback.csv_file.truncate()
        callback.csv_file.write(state["text"])
        callback.csv_file.flush()
        callback.keys, callback.append_header = state["keys"], not state["text"]
        callback.writer = None
    else:
        for name, value in state.items():
            setattr(callback, name, value)


def pack(value, arrays, name):
    """A state for JSON: arrays go to the dict `arrays`, under names that begin with `name`."""
    if isinstance(value, dict):
        packed = [[key, pack(v, arrays, f"{name}/{key}")] for key, v in value.items()]
        return {"dict": packed}
    if isinstance(value, (list, tuple)):
        return {"list": [pack(v, arrays, f"{name}/{i}") for i, v in enumerate(value)]}
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    arrays[name] = np.asarray(value)
    return {"array": name}


def unpack(value, arrays):
    """What `pack` packed."""
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "array":
        return arrays[content]
    if kind == "list":
        return [unpack(v, arrays) for v in content]
    return {key: unpack(v, arrays) for key, v in content}


def file_size(path):
    """Bytes of a file that a callback appends to, or 0."""
    return path.stat().st_size if path is not None and path.exists() else 0


def cut_file(path, size):
    """Takes back what was appended after a state was kept."""
    if path is not None and path.exists() and path.stat().st_size > size:
        with open(path, "r+b") as file:
            file.truncate(size)
