import Base

/// Operators that are built or refused by name, of all domains. Which domain a node is of decides who builds it. Those
/// that one file builds stand together, in the order of their names; buildTensor goes by the first and the last.
enum Operator: UInt8, CaseIterable, Comparable {
  case unknown = 0
  // Build+Elementwise
  case abs, acos, acosh, add, and, asin, asinh, atan, atanh, bitShift, bitwiseAnd, bitwiseNot, bitwiseOr, bitwiseXor,
    cast, castLike, ceil, celu, clip, cos, cosh, div, dropout, elu, equal, erf, exp, floor, gelu, greater,
    greaterOrEqual, hardSigmoid, hardSwish, identity, isInf, isNaN, leakyRelu, less, lessOrEqual, log, max, mean, min,
    mish, mod, mul, neg, not, or, pRelu, pow, reciprocal, relu, round, selu, shrink, sigmoid, sign, sin, sinh,
    softplus, softsign, sqrt, sub, sum, swiGLU, swish, tan, tanh, thresholdedRelu, `where`, xor
  // Build+Shape
  case concat, constant, constantOfShape, depthToSpace, expand, eyeLike, flatten, pad, range, reshape, shape, size,
    slice, spaceToDepth, split, squeeze, tile, transpose, unsqueeze
  // Build+Indexing
  case gather, gatherElements, gatherND, oneHot, scatter, scatterElements, scatterND, trilu
  // Build+Reduction
  case argMax, argMin, cumProd, cumSum, globalAveragePool, globalLpPool, globalMaxPool, hardmax, logSoftmax, reduceL1,
    reduceL2, reduceLogSum, reduceLogSumExp, reduceMax, reduceMean, reduceMin, reduceProd, reduceSum, reduceSumSquare,
    softmax, topK
  // Build+Linear
  case einsum, gemm, matMul
  // Build+Convolution
  case averagePool, conv, convTranspose, lpPool, maxPool
  // Build+Normalization
  case batchNormalization, groupNormalization, instanceNormalization, lrn, layerNormalization, lpNormalization,
    meanVarianceNormalization, rmsNormalization, simplifiedLayerNormalization
  // Build+Recurrent
  case gru, lstm, rnn
  // Build+Quantization
  case convInteger, dequantizeLinear, dynamicQuantizeLinear, matMulInteger, qLinearConv, qLinearMatMul, quantizeLinear
  // Build+Attention
  case attention, causalConvWithState, linearAttention, rotaryEmbedding, tensorScatter
  // Build+Sampling
  case affineGrid, col2Im, gridSample, maxUnpool, resize, upsample
  // Build+Selection
  case bitCast, centerCropPad, compress, det, negativeLogLikelihoodLoss, nonZero, reverseSequence,
    softmaxCrossEntropyLoss
  // Build+Signal
  case blackmanWindow, dft, hammingWindow, hannWindow, melWeightMatrix, stft
  // Build+Control
  case `if`, loop, scan
  // Build+Random
  case bernoulli, multinomial, randomNormal, randomNormalLike, randomUniform, randomUniformLike
  // of other domains, or built before (buildStandard)
  case arrayFeatureExtractor, biasGelu, binarizer, castMap, categoryMapper, concatFromSequence, dictVectorizer,
    dynamicQuantizeLSTM, dynamicQuantizeMatMul, embedLayerNormalization, fastGelu, featureVectorizer, flexAttention,
    fusedConv, fusedGemm, fusedMatMul, gatherBlockQuantized, imputer, labelEncoder, linearClassifier, linearRegressor,
    matMulIntegerToFloat, matMulNBits, multiHeadAttention, nhwcMaxPool, normalizer, qAttention,
    qEmbedLayerNormalization, qGemm, qLinearAdd, qLinearAveragePool, qLinearConcat, qLinearGlobalAveragePool,
    qLinearLeakyRelu, qLinearMul, qLinearReduceMean, qLinearSigmoid, qLinearSoftmax, qLinearWhere, quickGelu, scaler,
    sequenceAt, sequenceConstruct, sequenceEmpty, sequenceErase, sequenceInsert, sequenceLength,
    skipLayerNormalization, skipSimplifiedLayerNormalization, splitToSequence, transposeMatMul, treeEnsemble,
    treeEnsembleClassifier, treeEnsembleRegressor, zipMap

  /// Their names, in the order of the cases.
  static let names: StaticString = """
    Abs Acos Acosh Add And Asin Asinh Atan Atanh BitShift BitwiseAnd BitwiseNot BitwiseOr BitwiseXor Cast CastLike \
    Ceil Celu Clip Cos Cosh Div Dropout Elu Equal Erf Exp Floor Gelu Greater GreaterOrEqual HardSigmoid HardSwish \
    Identity IsInf IsNaN LeakyRelu Less LessOrEqual Log Max Mean Min Mish Mod Mul Neg Not Or PRelu Pow Reciprocal \
    Relu Round Selu Shrink Sigmoid Sign Sin Sinh Softplus Softsign Sqrt Sub Sum SwiGLU Swish Tan Tanh ThresholdedRelu \
    Where Xor Concat Constant ConstantOfShape DepthToSpace Expand EyeLike Flatten Pad Range Reshape Shape Size Slice \
    SpaceToDepth Split Squeeze Tile Transpose Unsqueeze Gather GatherElements GatherND OneHot Scatter ScatterElements \
    ScatterND Trilu ArgMax ArgMin CumProd CumSum GlobalAveragePool GlobalLpPool GlobalMaxPool Hardmax LogSoftmax \
    ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum \
    ReduceSumSquare Softmax TopK Einsum Gemm MatMul AveragePool Conv ConvTranspose LpPool MaxPool BatchNormalization \
    GroupNormalization InstanceNormalization LRN LayerNormalization LpNormalization MeanVarianceNormalization \
    RMSNormalization SimplifiedLayerNormalization GRU LSTM RNN ConvInteger DequantizeLinear DynamicQuantizeLinear \
    MatMulInteger QLinearConv QLinearMatMul QuantizeLinear Attention CausalConvWithState LinearAttention \
    RotaryEmbedding TensorScatter AffineGrid Col2Im GridSample MaxUnpool Resize Upsample BitCast CenterCropPad \
    Compress Det NegativeLogLikelihoodLoss NonZero ReverseSequence SoftmaxCrossEntropyLoss BlackmanWindow DFT \
    HammingWindow HannWindow MelWeightMatrix STFT If Loop Scan Bernoulli Multinomial RandomNormal RandomNormalLike \
    RandomUniform RandomUniformLike ArrayFeatureExtractor BiasGelu Binarizer CastMap CategoryMapper \
    ConcatFromSequence DictVectorizer DynamicQuantizeLSTM DynamicQuantizeMatMul EmbedLayerNormalization FastGelu \
    FeatureVectorizer FlexAttention FusedConv FusedGemm FusedMatMul GatherBlockQuantized Imputer LabelEncoder \
    LinearClassifier LinearRegressor MatMulIntegerToFloat MatMulNBits MultiHeadAttention NhwcMaxPool Normalizer \
    QAttention QEmbedLayerNormalization QGemm QLinearAdd QLinearAveragePool QLinearConcat QLinearGlobalAveragePool \
    QLinearLeakyRelu QLinearMul QLinearReduceMean QLinearSigmoid QLinearSoftmax QLinearWhere QuickGelu Scaler \
    SequenceAt SequenceConstruct SequenceEmpty SequenceErase SequenceInsert SequenceLength SkipLayerNormalization \
    SkipSimplifiedLayerNormalization SplitToSequence TransposeMatMul TreeEnsemble TreeEnsembleClassifier \
    TreeEnsembleRegressor ZipMap
    """

  /// The operator of this name; `unknown` where there is none.
  init(_ name: String) {
    var name = name
    self = name.withUTF8 { Operator(rawValue: UInt8(Self.table.position(of: $0) + 1)) ?? .unknown }
  }

  private static let table = NameTable(names, separator: UInt8(ascii: " "))

  static func < (a: Operator, b: Operator) -> Bool { a.rawValue < b.rawValue }
}

extension Builder {
  /// An operator of the default domain, by the file that builds it; nil where it is none of them.
  mutating func buildTensor(_ n: Node) throws(Failure) -> [Int]? {
    switch n.operator {
    case .abs ... .xor: return try buildElementwise(n)
    case .concat ... .unsqueeze: return try buildShape(n)
    case .gather ... .trilu: return try buildIndexing(n)
    case .argMax ... .topK: return try buildReduction(n)
    case .einsum ... .matMul: return try buildLinear(n)
    case .averagePool ... .maxPool: return try buildConvolution(n)
    case .batchNormalization ... .simplifiedLayerNormalization: return try buildNormalization(n)
    case .gru ... .rnn: return try buildRecurrent(n)
    case .convInteger ... .quantizeLinear: return try buildQuantization(n)
    case .attention ... .tensorScatter: return try buildAttention(n)
    case .affineGrid ... .upsample: return try buildSampling(n)
    case .bitCast ... .softmaxCrossEntropyLoss: return try buildSelection(n)
    case .blackmanWindow ... .stft: return try buildSignal(n)
    case .if ... .scan: return try buildControl(n)
    case .bernoulli ... .randomUniformLike: return try buildRandom(n)
    default: return nil
    }
  }
}
