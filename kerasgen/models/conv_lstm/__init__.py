"""ConvLSTM frame generator."""

from kerasgen.models.registry import ModelEntry

ENTRY = ModelEntry(
    name="convlstm",
    class_name="ConvLSTMGenerator",
    module="kerasgen.models.conv_lstm.conv_lstm",
    data="frames",
    summary="ConvLSTM frame generator: sees the first frames of a clip and draws the next ones",
)
