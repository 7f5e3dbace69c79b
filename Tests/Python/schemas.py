"""Writes Sources/Graph/Schemas.swift: what each operator of ONNX takes, opset by opset, from the schemas of the
installed onnx package.

    python Tests/Python/schemas.py           write the file
    python Tests/Python/schemas.py --check   say whether it is what the schemas give

Operators of com.microsoft come from the schemas in onnxruntime. To state one more, add its name to MICROSOFT and run
this again.
"""
import sys
from pathlib import Path

import onnx.defs

FILE = Path(__file__).parents[2] / "Sources" / "Graph" / "Schemas.swift"

# operators of com.microsoft that onnxruntime's optimizer and quantizer write
MICROSOFT = """
Attention BiasGelu BiasSoftmax DequantizeLinear DynamicQuantizeLSTM DynamicQuantizeMatMul EmbedLayerNormalization
FastGelu FusedConv FusedGemm FusedMatMul FusedMatMulActivation GatherBlockQuantized Gelu GroupQueryAttention
MatMulIntegerToFloat MatMulNBits MultiHeadAttention NhwcConv NhwcFusedConv NhwcMaxPool QAttention
QEmbedLayerNormalization QGemm QLinearAdd QLinearAveragePool QLinearConcat QLinearConv QLinearGlobalAveragePool
QLinearLeakyRelu QLinearMul QLinearReduceMean QLinearSigmoid QLinearSoftmax QLinearWhere QuantizeLinear QuickGelu
RotaryEmbedding SkipLayerNormalization SkipSimplifiedLayerNormalization TransposeMatMul Pad Trilu Unique
""".split()

# definitions before opset 7 that are built although a later one differs from them; see Build+Legacy.swift and the
# builders
OLDER = {("Add", 1), ("Add", 6), ("Sub", 1), ("Sub", 6), ("Mul", 1), ("Mul", 6), ("Div", 1), ("Div", 6), ("Pow", 1),
         ("And", 1), ("Or", 1), ("Xor", 1), ("Equal", 1), ("Less", 1), ("Greater", 1), ("Gemm", 1), ("Gemm", 6),
         ("Concat", 1), ("Reshape", 1), ("Dropout", 1), ("Dropout", 6), ("BatchNormalization", 1),
         ("BatchNormalization", 6), ("AveragePool", 1)}

# definitions before opset 7 that take the same as a later one, but mean something else
DIFFERENT = {("Selu", 1)}

# attributes that do not change what is computed here: advice to a runtime, or the part of training
ADVICE = {("", "LinearAttention"): {"chunk_size"}, ("", "BatchNormalization"): {"momentum"}}

# operators that onnxruntime writes into the default domain before ONNX had them there
EARLIER = {"LayerNormalization": 1}


def rows(schemas):
    """[(since, row)] of one operator, oldest first; versions that take the same are one row."""
    found = []
    name = schemas[0].name
    domain = schemas[0].domain
    schemas = sorted(schemas, key=lambda s: s.since_version)
    at7 = max((s.since_version for s in schemas if s.since_version <= 7), default=0) if domain == "" else 0
    for s in schemas:
        # GroupNormalization 18 was withdrawn, but files with it run
        row = "-" if s.deprecated and s.name != "GroupNormalization" else takes(s)
        if s.since_version < at7 and row != "-":
            row = row if is_built_before_7(s, next(t for t in schemas if t.since_version == at7)) else "!"
        if not found or found[-1][1] != row:
            found.append((s.since_version, row))
    if name in EARLIER and domain == "":
        found[0] = (EARLIER[name], found[0][1])
    return found


def takes(s):
    many = 2**31 - 1
    size = lambda n: "*" if n == many else str(n)
    advice = ADVICE.get((s.domain, s.name), set()) | {"consumed_inputs"}
    names = [("=" if a.required else "~" if n in advice else "") + n for n, a in sorted(s.attributes.items())]
    return " ".join([size(s.max_input), size(s.max_output), *names])


def is_built_before_7(s, later):
    """Whether a definition is in the list, or is that of opset 7 but for consumed_inputs."""
    plain = lambda t: takes(t).replace(" ~consumed_inputs", "")
    key = (s.name, s.since_version)
    return key in OLDER or (plain(s) == plain(later) and key not in DIFFERENT)


def table(groups):
    lines = []
    for key, schemas in sorted(groups.items()):
        lines.append(key + " " + "|".join(f"{since} {row}" for since, row in rows(schemas)))
    return lines


def standard():
    groups = {}
    for s in onnx.defs.get_all_schemas_with_history():
        if s.domain in ("", "ai.onnx.ml", "ai.onnx.preview"):
            groups.setdefault(f"{s.domain}.{s.name}" if s.domain else s.name, []).append(s)
    return table(groups)


def microsoft():
    from onnxruntime.capi.onnxruntime_pybind11_state import get_all_operator_schema

    groups = {}
    for s in get_all_operator_schema():
        if s.domain == "com.microsoft" and s.name in MICROSOFT:
            groups.setdefault(f"{s.domain}.{s.name}", []).append(s)
    return table(groups)


def text():
    newest = {}
    for s in onnx.defs.get_all_schemas_with_history():
        newest[s.domain] = max(newest.get(s.domain, 0), s.since_version)
    newest[""] = onnx.defs.onnx_opset_version()
    return f'''// written by Tests/Python/schemas.py from the schemas of onnx {onnx.__version__} and of onnxruntime; a test compares the two

extension Schema {{
  /// The newest opset of the default domain whose definitions are known here.
  static let newestOpset = {newest[""]}

  /// The newest version of ai.onnx.ml.
  static let newestML = {newest["ai.onnx.ml"]}

  /// One line per operator: its name, then for each opset that changes what it takes, separated by "|": the opset, the
  /// greatest number of inputs and of outputs ("*": any), and its attributes ("=" in front: must be given, "~": does not
  /// change the result).
  /// "!" in place of the numbers is a definition that is not built here; "-" says that the operator ended.
  static let standard: StaticString = """
{chr(10).join(standard())}

"""

  /// The same for com.microsoft, as onnxruntime defines it.
  static let microsoft: StaticString = """
{chr(10).join(microsoft())}

"""
}}
'''


if __name__ == "__main__":
    if "--check" in sys.argv:
        sys.exit(0 if FILE.read_text() == text() else f"{FILE} differs from the schemas of onnx {onnx.__version__}")
    FILE.write_text(text())
