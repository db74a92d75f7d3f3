"""The whole state of a training in memory: weights, averages, and every optimizer's variables."""


class Snapshot:
    """A copy of a model's state, to go back to.

    The count of steps is left out: going back doesn't undo time, and the noise of later steps
    must not repeat that of earlier ones.

    Args:
        model: compiled `GenerativeModel`.
        arrays: list of arrays, another snapshot's of this model, or None: the state as it is.
            Defaults to None.
    """

    def __init__(self, model, arrays=None):
        variables = _state(model)
        if arrays is None:
            arrays = [variable.numpy() for variable in variables]
        self._values = list(zip(variables, arrays, strict=True))

    @property
    def arrays(self):
        """List of the copied arrays."""
        return [value for _, value in self._values]

    def restore(self):
        """Puts the copied values back."""
        for variable, value in self._values:
            variable.assign(value)


def _state(model):
    variables = [variable for variable in model.variables if variable is not model.step]
    for optimizer in model.optimizers:
        variables += optimizer.variables
    return variables
