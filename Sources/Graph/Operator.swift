import Base

/// Operators that are built or refused by name, of all domains. Which domain a node is of decides who builds it.
enum Operator: UInt8, CaseIterable {
  case unknown = 0
  case abs, acos, acosh, add, affineGrid, and, argMax, argMin, arrayFeatureExtractor, asin, asinh, atan, atanh,
    attention, averagePool, batchNormalization, bernoulli, biasGelu, binarizer, bitCast, bitShift, bitwiseAnd,
    bitwiseNot, bitwiseOr, bitwiseXor, blackmanWindow, cast, castLike, castMap, categoryMapper, causalConvWithState,
    ceil, celu, centerCropPad, clip, col2Im, compress, concat, concatFromSequence, constant, constantOfShape, conv,
    convInteger, convTranspose, cos, cosh, cumProd, cumSum, dft, depthToSpace, dequantizeLinear, det, dictVectorizer,
    div, dropout, dynamicQuantizeLSTM, dynamicQuantizeLinear, dynamicQuantizeMatMul, einsum, elu,
    embedLayerNormalization, equal, erf, exp, expand, eyeLike, fastGelu, featureVectorizer, flatten, flexAttention,
    floor, fusedConv, fusedGemm, fusedMatMul, gru, gather, gatherBlockQuantized, gatherElements, gatherND, gelu, gemm,
    globalAveragePool, globalLpPool, globalMaxPool, greater, greaterOrEqual, gridSample, groupNormalization,
    hammingWindow, hannWindow, hardSigmoid, hardSwish, hardmax, identity, `if`, imputer, instanceNormalization, isInf,
    isNaN, lrn, lstm, labelEncoder, layerNormalization, leakyRelu, less, lessOrEqual, linearAttention, linearClassifier,
    linearRegressor, log, logSoftmax, loop, lpNormalization, lpPool, matMul, matMulInteger, matMulIntegerToFloat,
    matMulNBits, max, maxPool, maxUnpool, mean, meanVarianceNormalization, melWeightMatrix, min, mish, mod, mul,
    multiHeadAttention, multinomial, neg, negativeLogLikelihoodLoss, nhwcMaxPool, nonZero, normalizer, not, oneHot, or,
    pRelu, pad, pow, qAttention, qEmbedLayerNormalization, qGemm, qLinearAdd, qLinearAveragePool, qLinearConcat,
    qLinearConv, qLinearGlobalAveragePool, qLinearLeakyRelu, qLinearMatMul, qLinearMul, qLinearReduceMean,
    qLinearSigmoid, qLinearSoftmax, qLinearWhere, quantizeLinear, quickGelu, rmsNormalization, rnn, randomNormal,
    randomNormalLike, randomUniform, randomUniformLike, range, reciprocal, reduceL1, reduceL2, reduceLogSum,
    reduceLogSumExp, reduceMax, reduceMean, reduceMin, reduceProd, reduceSum, reduceSumSquare, relu, reshape, resize,
    reverseSequence, rotaryEmbedding, round, stft, scaler, scan, scatter, scatterElements, scatterND, selu, sequenceAt,
    sequenceConstruct, sequenceEmpty, sequenceErase, sequenceInsert, sequenceLength, shape, shrink, sigmoid, sign,
    simplifiedLayerNormalization, sin, sinh, size, skipLayerNormalization, skipSimplifiedLayerNormalization, slice,
    softmax, softmaxCrossEntropyLoss, softplus, softsign, spaceToDepth, split, splitToSequence, sqrt, squeeze, sub, sum,
    swiGLU, swish, tan, tanh, tensorScatter, thresholdedRelu, tile, topK, transpose, transposeMatMul, treeEnsemble,
    treeEnsembleClassifier, treeEnsembleRegressor, trilu, unsqueeze, upsample, `where`, xor, zipMap

  /// Their names, in the order of the cases.
  static let names: StaticString = """
    Abs Acos Acosh Add AffineGrid And ArgMax ArgMin ArrayFeatureExtractor Asin Asinh Atan Atanh Attention \
    AveragePool BatchNormalization Bernoulli BiasGelu Binarizer BitCast BitShift BitwiseAnd BitwiseNot BitwiseOr \
    BitwiseXor BlackmanWindow Cast CastLike CastMap CategoryMapper CausalConvWithState Ceil Celu CenterCropPad Clip \
    Col2Im Compress Concat ConcatFromSequence Constant ConstantOfShape Conv ConvInteger ConvTranspose Cos Cosh \
    CumProd CumSum DFT DepthToSpace DequantizeLinear Det DictVectorizer Div Dropout DynamicQuantizeLSTM \
    DynamicQuantizeLinear DynamicQuantizeMatMul Einsum Elu EmbedLayerNormalization Equal Erf Exp Expand EyeLike \
    FastGelu FeatureVectorizer Flatten FlexAttention Floor FusedConv FusedGemm FusedMatMul GRU Gather \
    GatherBlockQuantized GatherElements GatherND Gelu Gemm GlobalAveragePool GlobalLpPool GlobalMaxPool Greater \
    GreaterOrEqual GridSample GroupNormalization HammingWindow HannWindow HardSigmoid HardSwish Hardmax Identity If \
    Imputer InstanceNormalization IsInf IsNaN LRN LSTM LabelEncoder LayerNormalization LeakyRelu Less LessOrEqual \
    LinearAttention LinearClassifier LinearRegressor Log LogSoftmax Loop LpNormalization LpPool MatMul MatMulInteger \
    MatMulIntegerToFloat MatMulNBits Max MaxPool MaxUnpool Mean MeanVarianceNormalization MelWeightMatrix Min Mish \
    Mod Mul MultiHeadAttention Multinomial Neg NegativeLogLikelihoodLoss NhwcMaxPool NonZero Normalizer Not OneHot \
    Or PRelu Pad Pow QAttention QEmbedLayerNormalization QGemm QLinearAdd QLinearAveragePool QLinearConcat \
    QLinearConv QLinearGlobalAveragePool QLinearLeakyRelu QLinearMatMul QLinearMul QLinearReduceMean QLinearSigmoid \
    QLinearSoftmax QLinearWhere QuantizeLinear QuickGelu RMSNormalization RNN RandomNormal RandomNormalLike \
    RandomUniform RandomUniformLike Range Reciprocal ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax \
    ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare Relu Reshape Resize ReverseSequence RotaryEmbedding \
    Round STFT Scaler Scan Scatter ScatterElements ScatterND Selu SequenceAt SequenceConstruct SequenceEmpty \
    SequenceErase SequenceInsert SequenceLength Shape Shrink Sigmoid Sign SimplifiedLayerNormalization Sin Sinh Size \
    SkipLayerNormalization SkipSimplifiedLayerNormalization Slice Softmax SoftmaxCrossEntropyLoss Softplus Softsign \
    SpaceToDepth Split SplitToSequence Sqrt Squeeze Sub Sum SwiGLU Swish Tan Tanh TensorScatter ThresholdedRelu Tile \
    TopK Transpose TransposeMatMul TreeEnsemble TreeEnsembleClassifier TreeEnsembleRegressor Trilu Unsqueeze \
    Upsample Where Xor ZipMap
    """

  /// The operator of this name; `unknown` where there is none.
  /// - Complexity: linear in the letters of all names.
  init(_ name: String) {
    var name = name
    self = name.withUTF8 { name in
      var rest = UnsafeBufferPointer(start: Self.names.utf8Start, count: Self.names.utf8CodeUnitCount)
      var code: UInt8 = 1
      while !rest.isEmpty {
        if isSame(cut(&rest, UInt8(ascii: " ")), name) { return Operator(rawValue: code) ?? .unknown }
        code += 1
      }
      return .unknown
    }
  }
}

extension Builder {
  /// An operator of the default domain, by the file that builds it; nil where it is none of them.
  mutating func buildTensor(_ n: Node) throws(Failure) -> [Int]? {
    switch n.operator {
    case .identity, .dropout, .elu, .leakyRelu, .selu, .celu, .thresholdedRelu, .hardSigmoid, .swiGLU, .swish, .gelu,
      .isInf, .clip, .pow, .mod, .bitShift, .pRelu, .max, .min, .sum, .mean, .where, .cast, .castLike, .shrink, .relu,
      .tanh, .sigmoid, .softplus, .softsign, .mish, .hardSwish, .exp, .log, .sqrt, .reciprocal, .neg, .abs, .sign,
      .floor, .ceil, .round, .sin, .cos, .tan, .asin, .acos, .atan, .sinh, .cosh, .asinh, .acosh, .atanh, .erf, .not,
      .bitwiseNot, .isNaN, .add, .sub, .mul, .div, .and, .or, .xor, .bitwiseAnd, .bitwiseOr, .bitwiseXor, .equal, .less,
      .lessOrEqual, .greater, .greaterOrEqual:
      return try buildElementwise(n)
    case .constant, .constantOfShape, .shape, .size, .reshape, .flatten, .squeeze, .unsqueeze, .transpose, .expand,
      .tile, .concat, .split, .slice, .pad, .depthToSpace, .spaceToDepth, .range, .eyeLike:
      return try buildShape(n)
    case .gather, .gatherElements, .gatherND, .scatterElements, .scatter, .scatterND, .oneHot, .trilu:
      return try buildIndexing(n)
    case .argMax, .argMin, .softmax, .logSoftmax, .hardmax, .cumSum, .cumProd, .topK, .globalAveragePool,
      .globalMaxPool, .globalLpPool, .reduceSum, .reduceMean, .reduceMax, .reduceMin, .reduceProd, .reduceL1, .reduceL2,
      .reduceLogSum, .reduceLogSumExp, .reduceSumSquare:
      return try buildReduction(n)
    case .matMul, .gemm, .einsum:
      return try buildLinear(n)
    case .conv, .convTranspose, .maxPool, .averagePool, .lpPool:
      return try buildConvolution(n)
    case .batchNormalization, .layerNormalization, .rmsNormalization, .simplifiedLayerNormalization,
      .instanceNormalization, .groupNormalization, .meanVarianceNormalization, .lpNormalization, .lrn:
      return try buildNormalization(n)
    case .rnn, .gru, .lstm:
      return try buildRecurrent(n)
    case .quantizeLinear, .dequantizeLinear, .dynamicQuantizeLinear, .matMulInteger, .convInteger, .qLinearMatMul,
      .qLinearConv:
      return try buildQuantization(n)
    case .attention, .rotaryEmbedding, .linearAttention, .causalConvWithState, .tensorScatter:
      return try buildAttention(n)
    case .resize, .upsample, .gridSample, .affineGrid, .maxUnpool, .col2Im:
      return try buildSampling(n)
    case .reverseSequence, .compress, .nonZero, .centerCropPad, .bitCast, .det, .negativeLogLikelihoodLoss,
      .softmaxCrossEntropyLoss:
      return try buildSelection(n)
    case .hannWindow, .hammingWindow, .blackmanWindow, .dft, .stft, .melWeightMatrix:
      return try buildSignal(n)
    case .if, .loop, .scan:
      return try buildControl(n)
    case .randomNormal, .randomUniform, .randomNormalLike, .randomUniformLike, .bernoulli, .multinomial:
      return try buildRandom(n)
    case .unknown, .arrayFeatureExtractor, .biasGelu, .binarizer, .castMap, .categoryMapper, .concatFromSequence,
      .dictVectorizer, .dynamicQuantizeLSTM, .dynamicQuantizeMatMul, .embedLayerNormalization, .fastGelu,
      .featureVectorizer, .flexAttention, .fusedConv, .fusedGemm, .fusedMatMul, .gatherBlockQuantized, .imputer,
      .labelEncoder, .linearClassifier, .linearRegressor, .matMulIntegerToFloat, .matMulNBits, .multiHeadAttention,
      .nhwcMaxPool, .normalizer, .qAttention, .qEmbedLayerNormalization, .qGemm, .qLinearAdd, .qLinearAveragePool,
      .qLinearConcat, .qLinearGlobalAveragePool, .qLinearLeakyRelu, .qLinearMul, .qLinearReduceMean, .qLinearSigmoid,
      .qLinearSoftmax, .qLinearWhere, .quickGelu, .scaler, .sequenceAt, .sequenceConstruct, .sequenceEmpty,
      .sequenceErase, .sequenceInsert, .sequenceLength, .skipLayerNormalization, .skipSimplifiedLayerNormalization,
      .splitToSequence, .transposeMatMul, .treeEnsemble, .treeEnsembleClassifier, .treeEnsembleRegressor, .zipMap:
      return nil
    }
  }
}
