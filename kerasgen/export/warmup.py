"""Requests that TF Serving answers while it loads a model."""

import tensorflow as tf

FILE = "tf_serving_warmup_requests"


def write_warmup(path, name, exchanges):
    """Writes warm-up requests into a SavedModel.

    Args:
        path: `pathlib.Path` of the SavedModel.
        name: str. The served model's.
        exchanges: list of `kerasgen.export.check.Exchange` that the SavedModel has answered: a
            request that fails would keep the server from loading it.

    Returns:
        bool. False where `tensorflow-serving-api`, which defines their format, isn't installed:
        then nothing is written.
    """
    try:
        from tensorflow_serving.apis import model_pb2, predict_pb2, prediction_log_pb2
    except ImportError:
        return False
    folder = path / "assets.extra"
    folder.mkdir()
    with tf.io.TFRecordWriter(str(folder / FILE)) as writer:
        for exchange in exchanges:
            request = predict_pb2.PredictRequest(
                model_spec=model_pb2.ModelSpec(name=name, signature_name=exchange.signature),
                inputs={
                    key: tf.make_tensor_proto(values) for key, values in exchange.request.items()
                },
            )
            log = prediction_log_pb2.PredictionLog(
                predict_log=prediction_log_pb2.PredictLog(request=request)
            )
            writer.write(log.SerializeToString())
    return True
