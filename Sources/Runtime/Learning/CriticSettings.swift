import Base

/// What a critic's outputs are.
public enum CriticKind: Sendable {
  /// The expected return: one number of a state, or of a choice.
  case mean
  /// Quantiles of the return (QR-DQN, arXiv 1710.10044).
  case quantile
  /// Logits of atoms with fixed places (C51, arXiv 1707.06887): the return's distribution.
  case categorical
  /// Logits of the same atoms for one number, the TD target, between two of them (arXiv 2403.03950).
  case twoHot
  /// Logits of bins for the TD target with Gaussian noise (HL-Gauss, arXiv 2403.03950).
  case hlGauss

  var isMean: Bool {
    @_noLocks get {
      switch self {
      case .mean: true
      default: false
      }
    }
  }
  var isQuantile: Bool {
    @_noLocks get {
      switch self {
      case .quantile: true
      default: false
      }
    }
  }
  /// The outputs say how the return is distributed; otherwise they are a way to say its mean.
  var isDistribution: Bool {
    @_noLocks get {
      switch self {
      case .quantile, .categorical: true
      default: false
      }
    }
  }
  /// In the hash of a checkpoint's layout.
  var code: Int {
    switch self {
    case .mean: 0
    case .quantile: 1
    case .categorical: 2
    case .twoHot: 3
    case .hlGauss: 4
    }
  }
}

/// What is climbed instead of the mean return.
public enum RiskMeasure: Sendable {
  case none
  /// The mean of the worst share `level` of returns.
  case cvar
  /// Mean minus `weight` standard deviations.
  case spread

  var isNone: Bool {
    @_noLocks get {
      switch self {
      case .none: true
      default: false
      }
    }
  }
  var isCVaR: Bool {
    @_noLocks get {
      switch self {
      case .cvar: true
      default: false
      }
    }
  }
}

/// The critic's head, and what is made of its distribution.
public struct CriticSettings {
  public var kind = CriticKind.mean
  /// Quantiles, atoms or bins.
  public var size = 32
  /// Range of the atoms in scaled rewards; both 0: -10 to 10.
  public var low = 0.0
  public var high = 0.0
  /// Quantile errors are bounded by this (Huber); 0: plain pinball.
  public var huber = 0.1
  /// HL-Gauss: standard deviation of the noise in widths of a bin.
  public var smoothing = 0.75
  public var risk = RiskMeasure.none
  public var level = 0.1
  public var weight = 1.0
  /// Updates over which the level comes down from 1, and the weight up from 0.
  public var warmup: UInt64 = 0
  /// The networks see the stock.
  public var hasStock = false
  /// Share of episodes that begin with any threshold.
  public var stockExploration = 0.25

  public init() {}

  /// Outputs of one state, or of one choice.
  var outputs: Int { @_noLocks get { kind.isMean ? 1 : size } }

  func validate(_ s: LearnerSettings) throws(Failure) {
    func require(_ condition: Bool, _ name: String, _ expected: String) throws(Failure) {
      if !condition { throw Failure(.argument, "learner option '" + name + "' must be " + expected) }
    }
    try require(size >= 2 && size <= 256, "critic_size", "2 to 256")
    try require(huber >= 0 && huber <= 1e30, "quantile_huber", "positive, or 0 for plain pinball")
    try require(smoothing >= 1e-3 && smoothing <= 1e3, "hl_gauss_sigma", "0.001 to 1000")
    try require(level > 0 && level <= 1, "risk_level", "above 0, at most 1")
    try require(weight >= 0 && weight <= 1e30, "risk_weight", "not negative")
    let isAutomatic = low == 0 && high == 0
    try require(
      isAutomatic || low >= -1e30 && low < high && high <= 1e30, "support_low", "below support_high, or both 0")
    try require(
      !isAutomatic || kind.isMean || kind.isQuantile || s.scalesRewards, "support_high",
      "given with support_low where rewards are not scaled (no_reward_scaling)")
    try require(
      risk.isNone || kind.isDistribution, "risk",
      "0 for this critic, which does not say how returns are spread; EFF_CRITIC_QUANTILE and _CATEGORICAL do")
    try require(risk.isNone || s.algorithm.acts, "risk", "0 for td, which chooses nothing")
    try require(stockExploration >= 0 && stockExploration <= 1, "stock_exploration", "in [0, 1]")
    try require(!hasStock || risk.isCVaR, "stock", "0 without EFF_RISK_CVAR")
    try require(!hasStock || s.gamma > 0, "gamma", "positive for a learner with a stock")
  }
}
