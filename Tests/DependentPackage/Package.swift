// swift-tools-version: 6.2
import PackageDescription

// A package as a user would write one: it depends on Efferent in the ordinary build, without the bridge.
let package = Package(
  name: "dependent",
  dependencies: [.package(name: "efferent", path: "../..", traits: [])],
  targets: [.executableTarget(name: "Dependent", dependencies: [.product(name: "EfferentSwift", package: "efferent")])])
