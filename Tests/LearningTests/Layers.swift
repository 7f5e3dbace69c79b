@testable import Runtime

/// The layers of a described network: a matrix and a bias each.
extension LearnerHandle {
  private func parameters(_ net: NetworkKind) -> [LearnedParameter] {
    net == .actor ? networks.actor : networks.critic
  }

  func layerCount(_ net: NetworkKind) -> Int { parameters(net).count / 2 }

  /// Every parameter of layer `i` in the order matrix [outputs, inputs] row by row, then bias [outputs].
  func visit(_ net: NetworkKind, layer i: Int, _ tensor: TensorKind, _ body: (Int, inout Double) -> Void) {
    visit(net, tensor, parameter: 2 * i, body)
    let count = parameters(net)[2 * i].count
    visit(net, tensor, parameter: 2 * i + 1) { body(count + $0, &$1) }
  }
}
