"""Writes what onnxruntime's own quantization makes of the benchmark nets: FOLDER/NAME.onnx -> FOLDER/int8/NAME.onnx.

    python make_int8.py FOLDER [FILE.onnx...]

Static quantization (QDQ, int8 weights per channel, uint8 activations calibrated on 64 normal observations) for nets of
dense layers, dynamic quantization for recurrent ones.
"""

import logging
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process


class Normal(CalibrationDataReader):
    def __init__(self, model):
        random = np.random.default_rng(1)
        shapes = {i.name: [d.dim_value or 1 for d in i.type.tensor_type.shape.dim] for i in model.graph.input}
        self.samples = iter(
            [{k: random.normal(size=s).astype(np.float32) for k, s in shapes.items()} for _ in range(64)]
        )

    def get_next(self):
        return next(self.samples, None)


def quantize(source, target):
    target.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        ready = Path(folder) / "ready.onnx"
        quant_pre_process(str(source), str(ready))
        model = onnx.load(ready)
        if any(n.op_type in ("LSTM", "GRU") for n in model.graph.node):
            quantize_dynamic(str(ready), str(target), weight_type=QuantType.QInt8, per_channel=True)
        else:
            quantize_static(str(ready), str(target), Normal(model), quant_format=QuantFormat.QDQ, per_channel=True)


def main():
    logging.disable(logging.WARNING)
    folder = Path(sys.argv[1])
    for file in sorted(folder.glob("[b-f]_*.onnx")):
        quantize(file, folder / "int8" / file.name)
    for name in sys.argv[2:]:
        quantize(Path(name), Path(name).parent / "int8" / Path(name).name)


if __name__ == "__main__":
    main()
