import Base
import Kernels
import Onnx

extension Builder {
  mutating func buildMachineLearning(_ n: Node) throws(Failure) -> [Int]? {
    switch n.op {
    case "TreeEnsembleRegressor": return try buildTreeRegressor(n)
    case "TreeEnsemble": return try buildTreeEnsemble(n)
    default: return nil
    }
  }
}
