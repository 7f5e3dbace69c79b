import Base
import Onnx

/// What a parameter starts as.
enum InitialNumbers {
  case data(TensorData)
  case number(Double)
  /// As the layers of a described network: rows of so many inputs.
  case fresh(inputs: Int)
  /// Uniform between this number and its negative.
  case uniform(Double)
  /// Of recurrent trace units [2, units]: radii of 0.5 to 0.995, whose squares are uniform, and angles of up to a
  /// quarter turn, uniform; as lambda's nu and a (learning.h).
  case poles
}

/// How the matrix of a layer is kept: the longer of its two sides is contiguous, padded to 64 bytes.
struct LayerMatrix {
  let inputs: Int
  let outputs: Int
  /// The file has it [inputs, outputs].
  let isTransposed: Bool
  /// Elements from one stored row to the next.
  let lanes: Int

  init(inputs: Int, outputs: Int, isTransposed: Bool, isDouble: Bool) {
    (self.inputs, self.outputs, self.isTransposed) = (inputs, outputs, isTransposed)
    lanes = padded(max(inputs, outputs), isDouble: isDouble)
  }

  /// It is stored [inputs, outputs].
  var isByInput: Bool { outputs > inputs }
  var rows: Int { min(inputs, outputs) }
  var count: Int { rows * lanes }

  /// Where element `k` of the file's array is stored.
  func place(_ k: Int) -> Int {
    let (o, i) = isTransposed ? (k % outputs, k / outputs) : (k / inputs, k % inputs)
    return isByInput ? i * lanes + o : o * lanes + i
  }
}

/// `count` elements and what fills their last 64 bytes.
func padded(_ count: Int, isDouble: Bool) -> Int { isDouble ? (count + 7) & ~7 : (count + 15) & ~15 }

/// An array that learns: a value of the graph, and its place in w, e and v.
struct LearnedParameter {
  var name: String
  var value: Int
  var shape: [Int]
  var initial: InitialNumbers
  /// Of the weights of a layer.
  var matrix: LayerMatrix? = nil
  /// In elements.
  var offset = 0

  init(name: String, value: Int, shape: [Int], initial: InitialNumbers) {
    (self.name, self.value, self.shape, self.initial) = (name, value, shape, initial)
  }

  var count: Int { shape.reduce(1, *) }

  /// Where element `k` lies in w.
  func place(_ k: Int) -> Int { offset + (matrix?.place(k) ?? k) }

  /// Elements that it takes in w.
  func size(isDouble: Bool) -> Int { matrix?.count ?? padded(count, isDouble: isDouble) }
}
