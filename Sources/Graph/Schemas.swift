// written by Tests/Python/schemas.py from the schemas of onnx 1.23.2 and of onnxruntime; a test compares the two

extension Schema {
  /// The newest opset of the default domain whose definitions are known here.
  static let newestOpset = 28

  /// The newest version of ai.onnx.ml.
  static let newestML = 5

  /// One line per operator: its name, then for each opset that changes what it takes, separated by "|": the opset, the
  /// greatest number of inputs and of outputs ("*": any), and its attributes ("=" in front: must be given, "~": does not
  /// change the result).
  /// "!" in place of the numbers is a definition that is not built here; "-" says that the operator ended.
  static let standard: StaticString = """
Abs 1 1 1 ~consumed_inputs|6 1 1
Acos 7 1 1
Acosh 9 1 1
Add 1 2 1 axis broadcast ~consumed_inputs|6 2 1 axis broadcast|7 2 1
AffineGrid 20 2 1 align_corners
And 1 2 1 axis broadcast|7 2 1
ArgMax 1 1 1 axis keepdims|12 1 1 axis keepdims select_last_index
ArgMin 1 1 1 axis keepdims|12 1 1 axis keepdims select_last_index
Asin 7 1 1
Asinh 9 1 1
Atan 7 1 1
Atanh 9 1 1
Attention 23 6 4 is_causal kv_num_heads q_num_heads qk_matmul_output_mode scale softcap softmax_precision|24 7 4 is_causal kv_num_heads q_num_heads qk_matmul_output_mode scale softcap softmax_precision|25 7 4 is_causal kv_num_heads left_window_size q_num_heads qk_matmul_output_mode right_window_size scale softcap softmax_precision
AveragePool 1 1 1 auto_pad =kernel_shape pads strides|7 1 1 auto_pad count_include_pad =kernel_shape pads strides|10 1 1 auto_pad ceil_mode count_include_pad =kernel_shape pads strides|19 1 1 auto_pad ceil_mode count_include_pad dilations =kernel_shape pads strides
BatchNormalization 1 5 5 =consumed_inputs epsilon is_test ~momentum spatial|6 5 5 epsilon is_test ~momentum spatial|7 5 5 epsilon ~momentum spatial|9 5 5 epsilon ~momentum|14 5 3 epsilon ~momentum training_mode
Bernoulli 15 1 1 dtype seed
BitCast 26 1 1 =to
BitShift 11 2 1 =direction
BitwiseAnd 18 2 1
BitwiseNot 18 1 1
BitwiseOr 18 2 1
BitwiseXor 18 2 1
BlackmanWindow 17 1 1 output_datatype periodic
Cast 1 1 1 =to|19 1 1 saturate =to|24 1 1 round_mode saturate =to
CastLike 15 2 1|19 2 1 saturate|24 2 1 round_mode saturate
CausalConvWithState 27 4 2 activation
Ceil 1 1 1 ~consumed_inputs|6 1 1
Celu 12 1 1 alpha
CenterCropPad 18 2 1 axes
Clip 1 1 1 ~consumed_inputs max min|6 1 1 max min|11 3 1
Col2Im 18 3 1 dilations pads strides
Compress 9 2 1 axis
Concat 1 * 1 axis|4 * 1 =axis
ConcatFromSequence 11 1 1 =axis new_axis
Constant 1 0 1 =value|11 0 1 sparse_value value|12 0 1 sparse_value value value_float value_floats value_int value_ints value_string value_strings
ConstantOfShape 9 1 1 value
Conv 1 3 1 auto_pad dilations group kernel_shape pads strides
ConvInteger 10 4 1 auto_pad dilations group kernel_shape pads strides
ConvTranspose 1 3 1 auto_pad dilations group kernel_shape output_padding output_shape pads strides
Cos 7 1 1
Cosh 9 1 1
CumProd 26 2 1 exclusive reverse
CumSum 11 2 1 exclusive reverse
DFT 17 2 1 axis inverse onesided|20 3 1 inverse onesided
DeformConv 19 5 1 dilations group kernel_shape offset_group pads strides
DepthToSpace 1 1 1 =blocksize|11 1 1 =blocksize mode
DequantizeLinear 10 3 1|13 3 1 axis|21 3 1 axis block_size|23 3 1 axis block_size output_dtype
Det 11 1 1
Div 1 2 1 axis broadcast ~consumed_inputs|6 2 1 axis broadcast|7 2 1
Dropout 1 1 2 ~consumed_inputs is_test ratio|6 1 2 is_test ratio|7 1 2 ratio|12 3 2 seed
DynamicQuantizeLinear 11 1 3
Einsum 12 * 1 =equation
Elu 1 1 1 alpha ~consumed_inputs|6 1 1 alpha
Equal 1 2 1 axis broadcast|7 2 1
Erf 9 1 1
Exp 1 1 1 ~consumed_inputs|6 1 1
Expand 8 2 1
EyeLike 9 1 1 dtype k
Flatten 1 1 1 axis
Floor 1 1 1 ~consumed_inputs|6 1 1
GRU 1 !|7 6 2 activation_alpha activation_beta activations clip direction hidden_size linear_before_reset|14 6 2 activation_alpha activation_beta activations clip direction hidden_size layout linear_before_reset
Gather 1 2 1 axis
GatherElements 11 2 1 axis
GatherND 11 2 1|12 2 1 batch_dims
Gelu 20 1 1 approximate
Gemm 1 3 1 alpha beta broadcast transA transB|7 3 1 alpha beta transA transB
GlobalAveragePool 1 1 1
GlobalLpPool 1 1 1 p
GlobalMaxPool 1 1 1
Greater 1 2 1 axis broadcast|7 2 1
GreaterOrEqual 12 2 1
GridSample 16 2 1 align_corners mode padding_mode
GroupNormalization 18 3 1 epsilon =num_groups|21 3 1 epsilon =num_groups stash_type
HammingWindow 17 1 1 output_datatype periodic
HannWindow 17 1 1 output_datatype periodic
HardSigmoid 1 1 1 alpha beta ~consumed_inputs|6 1 1 alpha beta
HardSwish 14 1 1
Hardmax 1 1 1 axis
Identity 1 1 1
If 1 1 * =else_branch =then_branch
ImageDecoder 20 1 1 pixel_format
InstanceNormalization 1 3 1 ~consumed_inputs epsilon|6 3 1 epsilon
IsInf 10 1 1 detect_negative detect_positive
IsNaN 9 1 1
LRN 1 1 1 alpha beta bias =size
LSTM 1 !|7 8 3 activation_alpha activation_beta activations clip direction hidden_size input_forget|14 8 3 activation_alpha activation_beta activations clip direction hidden_size input_forget layout
LayerNormalization 1 3 3 axis epsilon stash_type
LeakyRelu 1 1 1 alpha ~consumed_inputs|6 1 1 alpha
Less 1 2 1 axis broadcast|7 2 1
LessOrEqual 12 2 1
LinearAttention 27 6 2 ~chunk_size =kv_num_heads =q_num_heads scale update_rule
Log 1 1 1 ~consumed_inputs|6 1 1
LogSoftmax 1 1 1 axis
Loop 1 * * =body
LpNormalization 1 1 1 axis p
LpPool 1 !|2 1 1 auto_pad =kernel_shape p pads strides|18 1 1 auto_pad ceil_mode dilations =kernel_shape p pads strides
MatMul 1 2 1
MatMulInteger 10 4 1
Max 1 * 1 ~consumed_inputs|6 * 1
MaxPool 1 1 1 auto_pad =kernel_shape pads strides|8 1 2 auto_pad =kernel_shape pads storage_order strides|10 1 2 auto_pad ceil_mode dilations =kernel_shape pads storage_order strides
MaxRoiPool 1 2 1 =pooled_shape spatial_scale
MaxUnpool 9 3 1 =kernel_shape pads strides
Mean 1 * 1 ~consumed_inputs|6 * 1
MeanVarianceNormalization 9 1 1 axes
MelWeightMatrix 17 5 1 output_datatype
Min 1 * 1 ~consumed_inputs|6 * 1
Mish 18 1 1
Mod 10 2 1 fmod
Mul 1 2 1 axis broadcast ~consumed_inputs|6 2 1 axis broadcast|7 2 1
Multinomial 7 1 1 dtype sample_size seed
Neg 1 1 1 ~consumed_inputs|6 1 1
NegativeLogLikelihoodLoss 12 3 1 ignore_index reduction
NonMaxSuppression 10 5 1 center_point_box
NonZero 9 1 1
Not 1 1 1
OneHot 9 3 1 axis
Optional 15 1 1 type
OptionalGetElement 15 1 1
OptionalHasElement 15 1 1
Or 1 2 1 axis broadcast|7 2 1
PRelu 1 2 1 ~consumed_inputs|6 2 1
Pad 1 !|2 1 1 mode =pads value|11 3 1 mode|18 4 1 mode
Pow 1 2 1 axis broadcast|7 2 1
QLinearConv 10 9 1 auto_pad dilations group kernel_shape pads strides
QLinearMatMul 10 8 1
QuantizeLinear 10 3 1|13 3 1 axis|19 3 1 axis saturate|21 3 1 axis block_size output_dtype saturate|23 3 1 axis block_size output_dtype precision saturate
RMSNormalization 23 2 1 axis epsilon stash_type
RNN 1 !|7 6 2 activation_alpha activation_beta activations clip direction hidden_size|14 6 2 activation_alpha activation_beta activations clip direction hidden_size layout
RandomNormal 1 0 1 dtype mean scale seed =shape
RandomNormalLike 1 1 1 dtype mean scale seed
RandomUniform 1 0 1 dtype high low seed =shape
RandomUniformLike 1 1 1 dtype high low seed
Range 11 3 1|27 3 1 stash_type
Reciprocal 1 1 1 ~consumed_inputs|6 1 1
ReduceL1 1 1 1 axes keepdims|18 2 1 keepdims noop_with_empty_axes
ReduceL2 1 1 1 axes keepdims|18 2 1 keepdims noop_with_empty_axes
ReduceLogSum 1 1 1 axes keepdims|18 2 1 keepdims noop_with_empty_axes
ReduceLogSumExp 1 1 1 axes keepdims|18 2 1 keepdims noop_with_empty_axes
ReduceMax 1 1 1 axes keepdims|18 2 1 keepdims noop_with_empty_axes
ReduceMean 1 1 1 axes keepdims|18 2 1 keepdims noop_with_empty_axes
ReduceMin 1 1 1 axes keepdims|18 2 1 keepdims noop_with_empty_axes
ReduceProd 1 1 1 axes keepdims|18 2 1 keepdims noop_with_empty_axes
ReduceSum 1 1 1 axes keepdims|13 2 1 keepdims noop_with_empty_axes
ReduceSumSquare 1 1 1 axes keepdims|18 2 1 keepdims noop_with_empty_axes
RegexFullMatch 20 1 1 pattern
Relu 1 1 1 ~consumed_inputs|6 1 1
Reshape 1 1 1 ~consumed_inputs shape|5 2 1|14 2 1 allowzero
Resize 10 2 1 mode|11 4 1 coordinate_transformation_mode cubic_coeff_a exclude_outside extrapolation_value mode nearest_mode|18 4 1 antialias axes coordinate_transformation_mode cubic_coeff_a exclude_outside extrapolation_value keep_aspect_ratio_policy mode nearest_mode
ReverseSequence 10 2 1 batch_axis time_axis
RoiAlign 10 3 1 mode output_height output_width sampling_ratio spatial_scale|16 3 1 coordinate_transformation_mode mode output_height output_width sampling_ratio spatial_scale
RotaryEmbedding 23 4 1 interleaved num_heads rotary_embedding_dim
Round 11 1 1
STFT 17 4 1 onesided
Scan 8 * * =body directions =num_scan_inputs|9 * * =body =num_scan_inputs scan_input_axes scan_input_directions scan_output_axes scan_output_directions
Scatter 9 3 1 axis|11 -
ScatterElements 11 3 1 axis|16 3 1 axis reduction
ScatterND 11 3 1|16 3 1 reduction
Selu 1 !|6 1 1 alpha gamma
SequenceAt 11 2 1
SequenceConstruct 11 * 1
SequenceEmpty 11 0 1 dtype
SequenceErase 11 2 1
SequenceInsert 11 3 1
SequenceLength 11 1 1
SequenceMap 17 * * =body
Shape 1 1 1|15 1 1 end start
Shrink 9 1 1 bias lambd
Sigmoid 1 1 1 ~consumed_inputs|6 1 1
Sign 9 1 1
Sin 7 1 1
Sinh 9 1 1
Size 1 1 1
Slice 1 1 1 axes =ends =starts|10 5 1
Softmax 1 1 1 axis
SoftmaxCrossEntropyLoss 12 3 2 ignore_index reduction
Softplus 1 1 1
Softsign 1 1 1
SpaceToDepth 1 1 1 =blocksize|28 1 1 =blocksize mode
Split 1 !|2 1 * axis split|13 2 * axis|18 2 * axis num_outputs
SplitToSequence 11 2 1 axis keepdims
Sqrt 1 1 1 ~consumed_inputs|6 1 1
Squeeze 1 1 1 axes|13 2 1
StringConcat 20 2 1
StringNormalizer 10 1 1 case_change_action is_case_sensitive locale stopwords
StringSplit 20 1 2 delimiter maxsplit
Sub 1 2 1 axis broadcast ~consumed_inputs|6 2 1 axis broadcast|7 2 1
Sum 1 * 1 ~consumed_inputs|6 * 1
SwiGLU 28 2 1 alpha
Swish 24 1 1 alpha
Tan 7 1 1
Tanh 1 1 1 ~consumed_inputs|6 1 1
TensorScatter 24 3 1 axis mode
TfIdfVectorizer 9 1 1 =max_gram_length =max_skip_count =min_gram_length =mode =ngram_counts =ngram_indexes pool_int64s pool_strings weights
ThresholdedRelu 10 1 1 alpha
Tile 1 !|6 2 1
TopK 1 1 2 axis =k|10 2 2 axis|11 2 2 axis largest sorted
Transpose 1 1 1 perm
Trilu 14 2 1 upper
Unique 11 1 4 axis sorted
Unsqueeze 1 1 1 =axes|13 2 1
Upsample 1 !|7 1 1 mode =scales|9 2 1 mode|10 -
Where 9 3 1
Xor 1 2 1 axis broadcast|7 2 1
ai.onnx.ml.ArrayFeatureExtractor 1 2 1
ai.onnx.ml.Binarizer 1 1 1 threshold
ai.onnx.ml.CastMap 1 1 1 cast_to map_form max_map
ai.onnx.ml.CategoryMapper 1 1 1 cats_int64s cats_strings default_int64 default_string
ai.onnx.ml.DictVectorizer 1 1 1 int64_vocabulary string_vocabulary
ai.onnx.ml.FeatureVectorizer 1 * 1 inputdimensions
ai.onnx.ml.Imputer 1 1 1 imputed_value_floats imputed_value_int64s replaced_value_float replaced_value_int64
ai.onnx.ml.LabelEncoder 1 1 1 classes_strings default_int64 default_string|2 1 1 default_float default_int64 default_string keys_floats keys_int64s keys_strings values_floats values_int64s values_strings|4 1 1 default_float default_int64 default_string default_tensor keys_floats keys_int64s keys_strings keys_tensor values_floats values_int64s values_strings values_tensor
ai.onnx.ml.LinearClassifier 1 1 2 classlabels_ints classlabels_strings =coefficients intercepts multi_class post_transform
ai.onnx.ml.LinearRegressor 1 1 1 coefficients intercepts post_transform targets
ai.onnx.ml.Normalizer 1 1 1 norm
ai.onnx.ml.OneHotEncoder 1 1 1 cats_int64s cats_strings zeros
ai.onnx.ml.SVMClassifier 1 1 2 classlabels_ints classlabels_strings coefficients kernel_params kernel_type post_transform prob_a prob_b rho support_vectors vectors_per_class
ai.onnx.ml.SVMRegressor 1 1 1 coefficients kernel_params kernel_type n_supports one_class post_transform rho support_vectors
ai.onnx.ml.Scaler 1 1 1 offset scale
ai.onnx.ml.TreeEnsemble 5 1 1 aggregate_function =leaf_targetids =leaf_weights membership_values n_targets =nodes_falseleafs =nodes_falsenodeids =nodes_featureids nodes_hitrates nodes_missing_value_tracks_true =nodes_modes =nodes_splits =nodes_trueleafs =nodes_truenodeids post_transform =tree_roots
ai.onnx.ml.TreeEnsembleClassifier 1 1 2 base_values class_ids class_nodeids class_treeids class_weights classlabels_int64s classlabels_strings nodes_falsenodeids nodes_featureids nodes_hitrates nodes_missing_value_tracks_true nodes_modes nodes_nodeids nodes_treeids nodes_truenodeids nodes_values post_transform|3 1 2 base_values base_values_as_tensor class_ids class_nodeids class_treeids class_weights class_weights_as_tensor classlabels_int64s classlabels_strings nodes_falsenodeids nodes_featureids nodes_hitrates nodes_hitrates_as_tensor nodes_missing_value_tracks_true nodes_modes nodes_nodeids nodes_treeids nodes_truenodeids nodes_values nodes_values_as_tensor post_transform|5 -
ai.onnx.ml.TreeEnsembleRegressor 1 1 1 aggregate_function base_values n_targets nodes_falsenodeids nodes_featureids nodes_hitrates nodes_missing_value_tracks_true nodes_modes nodes_nodeids nodes_treeids nodes_truenodeids nodes_values post_transform target_ids target_nodeids target_treeids target_weights|3 1 1 aggregate_function base_values base_values_as_tensor n_targets nodes_falsenodeids nodes_featureids nodes_hitrates nodes_hitrates_as_tensor nodes_missing_value_tracks_true nodes_modes nodes_nodeids nodes_treeids nodes_truenodeids nodes_values nodes_values_as_tensor post_transform target_ids target_nodeids target_treeids target_weights target_weights_as_tensor|5 -
ai.onnx.ml.ZipMap 1 1 1 classlabels_int64s classlabels_strings
ai.onnx.preview.FlexAttention 1 3 1 prob_mod scale score_mod softmax_precision

"""

  /// The same for com.microsoft, as onnxruntime defines it.
  static let microsoft: StaticString = """
com.microsoft.Attention 1 7 2 do_rotary mask_filter_value =num_heads past_present_share_buffer qkv_hidden_sizes rotary_embedding_dim scale unidirectional
com.microsoft.BiasGelu 1 2 1
com.microsoft.BiasSoftmax 1 2 1 axis =is_inner_broadcast
com.microsoft.DequantizeLinear 1 3 1 axis
com.microsoft.DynamicQuantizeLSTM 1 12 3 activation_alpha activation_beta activations clip direction hidden_size input_forget
com.microsoft.DynamicQuantizeMatMul 1 5 1
com.microsoft.EmbedLayerNormalization 1 9 3 epsilon mask_index_type
com.microsoft.FastGelu 1 2 1
com.microsoft.FusedConv 1 4 1 activation activation_params auto_pad dilations group kernel_shape pads strides
com.microsoft.FusedGemm 1 3 1 activation activation_alpha activation_beta activation_gamma alpha beta transA transB
com.microsoft.FusedMatMul 1 2 1 alpha transA transB transBatchA transBatchB
com.microsoft.FusedMatMulActivation 1 2 1 =activation activation_alpha activation_axis activation_beta activation_gamma alpha transA transB transBatchA transBatchB
com.microsoft.GatherBlockQuantized 1 4 1 bits block_size gather_axis quantize_axis
com.microsoft.Gelu 1 1 1
com.microsoft.GroupQueryAttention 1 16 4 causal do_rotary k_quant_type kv_cache_bit_width =kv_num_heads local_window_size =num_heads qk_norm_epsilon qk_output rotary_interleaved scale sliding_window_cache smooth_softmax softcap v_quant_type
com.microsoft.MatMulIntegerToFloat 1 7 1
com.microsoft.MatMulNBits 1 6 1 =K =N accuracy_level bits =block_size weight_prepacked
com.microsoft.MultiHeadAttention 1 10 4 mask_filter_value =num_heads scale unidirectional
com.microsoft.NhwcConv 1 3 1 auto_pad dilations group kernel_shape pads strides
com.microsoft.NhwcFusedConv 1 4 1 activation activation_params auto_pad dilations group kernel_shape pads strides
com.microsoft.NhwcMaxPool 1 1 1 auto_pad ceil_mode dilations =kernel_shape pads strides
com.microsoft.Pad 1 3 1 mode
com.microsoft.QAttention 1 9 2 do_rotary mask_filter_value =num_heads past_present_share_buffer scale unidirectional
com.microsoft.QEmbedLayerNormalization 1 18 2 epsilon
com.microsoft.QGemm 1 9 1 alpha transA transB
com.microsoft.QLinearAdd 1 8 1
com.microsoft.QLinearAveragePool 1 5 1 auto_pad ceil_mode channels_last count_include_pad =kernel_shape pads strides
com.microsoft.QLinearConcat 1 * 1 =axis
com.microsoft.QLinearConv 1 9 1 auto_pad channels_last dilations group kernel_shape pads strides
com.microsoft.QLinearGlobalAveragePool 1 5 1 channels_last
com.microsoft.QLinearLeakyRelu 1 5 1 alpha
com.microsoft.QLinearMul 1 8 1
com.microsoft.QLinearReduceMean 1 5 1 =axes =keepdims
com.microsoft.QLinearSigmoid 1 5 1
com.microsoft.QLinearSoftmax 1 5 1 axis =opset
com.microsoft.QLinearWhere 1 9 1
com.microsoft.QuantizeLinear 1 3 1 axis
com.microsoft.QuickGelu 1 1 1 alpha
com.microsoft.RotaryEmbedding 1 4 1 interleaved is_packed_batching num_heads rotary_embedding_dim scale
com.microsoft.SkipLayerNormalization 1 5 4 epsilon
com.microsoft.SkipSimplifiedLayerNormalization 1 4 4 epsilon
com.microsoft.TransposeMatMul 1 2 1 alpha transA transB
com.microsoft.Trilu 1 2 1 upper
com.microsoft.Unique 1 1 3

"""
}
