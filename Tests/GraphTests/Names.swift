import TestSupport

// the writer's node, not the builder's
typealias Node = TestSupport.Node
