import Base
import Kernels
import Onnx

extension Builder {
  mutating func buildMachineLearning(_ n: Node) throws(Failure) -> [Int]? { nil }
}
