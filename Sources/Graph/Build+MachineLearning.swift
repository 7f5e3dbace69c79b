import Base
import Kernels
import Onnx

// domain ai.onnx.ml: what prepares features, and the models in Build+Trees and Build+Classifier
extension Builder {
  mutating func buildMachineLearning(_ n: Node) throws(Failure) -> [Int]? {
    switch n.operator {
    case .treeEnsembleRegressor: return try buildTreeRegressor(n)
    case .treeEnsembleClassifier: return try buildTreeClassifier(n)
    case .treeEnsemble: return try buildTreeEnsemble(n)
    case .linearRegressor: return try buildLinearRegressor(n)
    case .linearClassifier: return try buildLinearClassifier(n)
    case .scaler: return [try buildScaler(n)]
    case .normalizer: return [try buildNormalizer(n)]
    case .binarizer:
      let x = try n.input(0)
      let above = try binary(Int(EFF_FN2_GREATER), x, try scalar(try n.float("threshold", 0), type(x)), label: n.label)
      return [try cast(above, to: type(x))]
    case .imputer: return [try buildImputer(n)]
    case .featureVectorizer: return [try buildFeatureVectorizer(n)]
    case .arrayFeatureExtractor:
      let x = try n.input(0)
      guard !shape(x).isEmpty else { throw n.fail(.shape, "input is a number, expected at least one dimension") }
      let y = try n.input(1)
      let places = try view(y, [count(y)])
      let form = shape(x).count == 1 ? [1] + shape(x) : shape(x)
      return [try gather(try view(x, form), places, axis: form.count - 1, n)]
    case .labelEncoder: return [try buildLabelEncoder(n)]
    case .zipMap:
      for name in n.onnx.outputs {
        dynamic[name] = n.fail(
          .unsupported,
          "gives a sequence of maps, expected tensors only; convert without it (zipmap=False), or choose other outputs")
      }
      n.passOver(["classlabels_int64s", "classlabels_strings"])
      return []
    case .castMap, .dictVectorizer: throw n.fail(.unsupported, "takes maps, expected tensors only")
    case .categoryMapper: throw n.fail(.unsupported, "gives or takes strings, expected numbers only")
    default: return nil
    }
  }

  /// Numbers per feature, or one for all.
  private mutating func perFeature(_ n: Node, _ name: String, _ x: Int, _ type: ElementType) throws(Failure) -> Int {
    let list = try n.floats(name) ?? []
    guard list.count == 1 || list.count == shape(x).last else {
      throw n.fail(
        .shape,
        """
        attribute '\(name)' has \(list.count) entries for input \(describe(shape(x))), expected 1 or one for each \
        feature
        """
      )
    }
    return try constants(list, type)
  }

  /// (x - offset) scale in f32, computed in f64 for f64.
  private mutating func buildScaler(_ n: Node) throws(Failure) -> Int {
    let source = try n.input(0)
    let t: ElementType = type(source) == .f64 ? .f64 : .f32
    let x = try cast(source, to: t)
    let away = try binary(Int(EFF_FN2_SUB), x, try perFeature(n, "offset", x, t), label: n.label)
    let y = try binary(Int(EFF_FN2_MUL), away, try perFeature(n, "scale", x, t), label: n.label)
    return try cast(y, to: .f32)
  }

  /// x over the largest, the sum of sizes or the length of each row; a row where that is 0 stays as it is.
  private mutating func buildNormalizer(_ n: Node) throws(Failure) -> Int {
    let x = try cast(try n.input(0), to: .f32)
    guard !shape(x).isEmpty, shape(x).count <= 2 else {
      throw n.fail(.shape, "input is \(describe(shape(x))), expected [features] or [batch, features]")
    }
    let name = try n.string("norm", "MAX")
    let fn: Int
    switch name {
    case "MAX": fn = Int(EFF_REDUCE_MAX)
    case "L1": fn = Int(EFF_REDUCE_L1)
    case "L2": fn = Int(EFF_REDUCE_L2)
    default: throw n.fail(.unsupported, "norm '\(name)' is not known")
    }
    let size = try reduce(x, fn, axes: [shape(x).count - 1], keepDims: true, label: n.label)
    let isZero = try binary(Int(EFF_FN2_EQUAL), size, try scalar(0, .f32), label: n.label)
    return try binary(
      Int(EFF_FN2_DIV), x, try select(isZero, try scalar(1, .f32), size, label: n.label), label: n.label)
  }

  /// Puts numbers where x is the replaced value, which may be NaN.
  private mutating func buildImputer(_ n: Node) throws(Failure) -> Int {
    // two are of the other type
    n.passOver(["imputed_value_floats", "imputed_value_int64s", "replaced_value_float", "replaced_value_int64"])
    let x = try n.input(0)
    let t = type(x)
    let replaced = t.isFloat ? try n.float("replaced_value_float", 0) : Double(try n.int("replaced_value_int64", 0))
    let values: Int
    if t.isFloat {
      values = try perFeature(n, "imputed_value_floats", x, t)
    } else {
      let list = try n.ints("imputed_value_int64s") ?? []
      guard list.count == 1 || list.count == shape(x).last else {
        throw n.fail(
          .shape, "has \(list.count) imputed values for input \(describe(shape(x))), expected 1 or one for each feature"
        )
      }
      values = try cast(try integers(list, [list.count]), to: t)
    }
    let isReplaced = replaced.isNaN ? try unary(x, Int(EFF_FN_IS_NAN), label: n.label)
      : try binary(Int(EFF_FN2_EQUAL), x, try scalar(replaced, t), label: n.label)
    return try select(isReplaced, values, x, label: n.label)
  }

  /// Inputs [batch, size] behind each other, f32.
  private mutating func buildFeatureVectorizer(_ n: Node) throws(Failure) -> Int {
    let sizes = try n.ints("inputdimensions") ?? []
    guard !n.inputs.isEmpty, sizes.count == n.inputs.count else {
      throw n.fail(.shape, "has \(n.inputs.count) inputs and \(sizes.count) inputdimensions")
    }
    var parts: [Int] = []
    for i in 0..<sizes.count {
      let x = try cast(try n.input(i), to: .f32)
      let form = shape(x).count == 1 ? [1] + shape(x) : shape(x)
      guard form.count == 2, form[1] == sizes[i], parts.isEmpty || form[0] == shape(parts[0])[0] else {
        throw n.fail(.shape, "input \(i) is \(describe(shape(x))), expected [batch, \(sizes[i])]")
      }
      parts.append(try view(x, form))
    }
    return try concat(parts, axis: 1, label: n.label)
  }

  /// One side of the table of a LabelEncoder: numbers with their type.
  private mutating func labelTable(_ n: Node, _ side: String) throws(Failure) -> Int {
    guard !n.has(side + "_strings") else { throw n.fail(.unsupported, "its \(side) are strings, expected numbers") }
    if let list = try n.ints(side + "_int64s") { return try integers(list, [list.count]) }
    if let list = try n.floats(side + "_floats") { return try constants(list, .f32) }
    guard let t = n.attribute(side + "_tensor")?.tensors.first else {
      throw n.fail(.unsupported, "has no numeric \(side)")
    }
    return newConstant(try tensors.read(t, "attribute '\(side)_tensor' of \(n.label)"), n.label)
  }

  /// The value beside the key that equals x, or the default.
  private mutating func buildLabelEncoder(_ n: Node) throws(Failure) -> Int {
    n.passOver(["default_int64", "default_float", "default_string"])  // of other types
    let keys = try labelTable(n, "keys")
    let values = try labelTable(n, "values")
    let x = try n.input(0)
    guard type(keys) == type(x), shape(keys).count == 1, shape(keys) == shape(values), count(keys) > 0 else {
      throw n.fail(
        .shape,
        """
        keys are \(type(keys).name) \(describe(shape(keys))) and values \(describe(shape(values))), expected one \
        value for each key of type \(type(x).name)
        """
      )
    }
    if type(keys).isFloat {
      for k in try numbers(keys, n, "keys") where k.isNaN {
        throw n.fail(.unsupported, "NaN as a key is not supported")
      }
    }
    let isKey = try cast(try binary(Int(EFF_FN2_EQUAL), try view(x, shape(x) + [1]), keys, label: n.label), to: .i32)
    let last = shape(x).count
    let isAny = try cast(
      try reduce(isKey, Int(EFF_REDUCE_MAX), axes: [last], keepDims: false, label: n.label), to: .bool)
    var p = eff_arg()
    (p.outer, p.n, p.inner, p.is_max) = (Int64(count(x)), Int64(count(keys)), 1, 1)
    let place = try newValue(.i64, shape(x), n.label)
    try emit(GraphOp(.arg(p), type: .i32, inputs: [isKey], outputs: [place], label: n.label))
    let found = try gather(values, place, axis: 0, n)
    var fallback: Int
    if let t = n.attribute("default_tensor")?.tensors.first {
      fallback = newConstant(try tensors.read(t, "attribute 'default_tensor' of \(n.label)"), n.label)
      guard count(fallback) == 1 else {
        throw n.fail(.shape, "default_tensor is \(describe(shape(fallback))), expected one number")
      }
      fallback = try cast(try view(fallback, []), to: type(values))
    } else if type(values).isFloat {
      fallback = try scalar(try n.float("default_float", -0.0), type(values))
    } else {
      fallback = try cast(try integers([try n.int("default_int64", -1)], []), to: type(values))
    }
    return try select(isAny, found, fallback, label: n.label)
  }
}
