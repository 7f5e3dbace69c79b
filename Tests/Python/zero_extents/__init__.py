"""A tensor with a zero in each of its dimensions, in every operator and every fusion, against onnxruntime.

    python -m zero_extents SERVE [--level LEVEL...] [--only WORD]

SERVE is Tests/Extents/serve.cpp, linked with the library; see Tests/Extents/run.sh.

Every answer of the library must equal onnxruntime's, or that of the reference evaluator of onnx where onnxruntime is
wrong or has none. Where
neither has an answer, refusing and any value are right, and a crash is wrong. Ends with "N passed, N failed".
"""
