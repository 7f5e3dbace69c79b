// swift-tools-version: 6.2
import PackageDescription

// Two builds of one source. `swift build` and `swift test` are ordinary Swift. The shipped library is the same targets
// as Embedded Swift in release: bindings/c/install.sh sets EFFERENT_EMBEDDED, uses its own --scratch-path and links.
let embedded = Context.environment["EFFERENT_EMBEDDED"] != nil

let swift: [SwiftSetting] = embedded
  ? [.enableExperimentalFeature("Embedded"),
     .unsafeFlags(["-wmo", "-Osize", "-enforce-exclusivity=unchecked", "-Xfrontend", "-function-sections",
       "-Xcc", "-fno-asynchronous-unwind-tables"])]
  : []
// Code that only loading runs: repeated instruction sequences are shared, over one object for the module (-num-threads
// 0). install.sh takes that object of every target that has `swiftSettings: cold` on its line.
let outlining = ["-enable-machine-outliner=always", "-machine-outliner-reruns=2", "-enable-linkonceodr-outlining"]
let cold: [SwiftSetting] = swift
  + (embedded ? [.unsafeFlags(["-num-threads", "0"] + outlining.flatMap { ["-Xllvm", $0] })] : [])
let sections = [
  "-O2", "-ffunction-sections", "-fdata-sections", "-fvisibility=hidden", "-fno-asynchronous-unwind-tables",
]
// kernels say themselves how often a loop is unrolled
let native: [CXXSetting] = embedded
  ? [.unsafeFlags(sections + ["-fno-exceptions", "-fno-rtti", "-fno-unroll-loops"])]
  : []
let plain: [CSetting] = embedded ? [.unsafeFlags(sections + ["-DEFF_SHIPPED"])] : []

let package = Package(
  name: "efferent",
  products: [
    .library(name: "efferent", type: .dynamic, targets: ["CABI"]),
    // for other Swift packages
    .library(name: "EfferentSwift", targets: ["CABI", "Base", "Onnx", "Card", "Safetensors", "Graph", "Runtime"]),
  ],
  traits: [
    .default(enabledTraits: ["Bridge"]),
    .trait(name: "Bridge", description: "ZeroMQ endpoints; libzmq is opened when the first one is made"),
  ],
  targets: [
    .systemLibrary(name: "CEfferent", path: "include"),
    .target(name: "CZeroMQ", cSettings: plain, linkerSettings: [.linkedLibrary("dl", .when(platforms: [.linux]))]),
    .systemLibrary(name: "Platform", path: "Sources/Platform"),
    .target(name: "Handles", cSettings: plain),
    .target(name: "Pages", cSettings: plain),
    .target(name: "OldGlibc", cSettings: plain),
    .target(name: "EmbeddedRuntime", cSettings: plain),
    .target(name: "Kernels", cxxSettings: native, linkerSettings: [.linkedLibrary("m")]),
    .target(name: "Base", dependencies: ["Pages", "Platform"], swiftSettings: cold),
    .target(name: "Onnx", dependencies: ["Base", "Platform"], swiftSettings: cold),
    .target(name: "Card", dependencies: ["Base", "Onnx", "Platform"], swiftSettings: cold),
    .target(name: "Safetensors", dependencies: ["Base", "Onnx"], exclude: ["FORMAT.md"], swiftSettings: cold),
    .target(name: "Graph", dependencies: ["Base", "Onnx", "Kernels", "Platform"], swiftSettings: cold),
    .target(
      name: "Runtime", dependencies: ["Base", "Card", "Graph", "Safetensors", "Onnx", "Kernels", "Platform"],
      swiftSettings: swift),
    .target(
      name: "Bridge",
      dependencies: ["Base", "Platform", .target(name: "CZeroMQ", condition: .when(traits: ["Bridge"]))],
      exclude: ["PROTOCOL.md"], swiftSettings: swift),
    .target(
      name: "CABI",
      dependencies: [
        "CEfferent", "Handles", "OldGlibc", "EmbeddedRuntime", "Base", "Card", "Runtime", "Graph", "Onnx", "Kernels",
        "Platform",
        .target(name: "Bridge", condition: .when(traits: ["Bridge"])),
      ],
      exclude: ["exports.map"], swiftSettings: swift),
  ] + (embedded ? [] : [
    .target(name: "TestSupport", path: "Tests/Support"),
    .testTarget(name: "OnnxTests", dependencies: ["TestSupport", "Base", "Onnx", "Platform"]),
    .testTarget(
      name: "SafetensorsTests", dependencies: ["TestSupport", "Base", "Runtime", "Safetensors", "Graph", "Onnx"]),
    .testTarget(name: "GraphTests", dependencies: ["TestSupport", "Base", "Graph", "Onnx", "Kernels"]),
    .testTarget(
      name: "RuntimeTests",
      dependencies: ["TestSupport", "Base", "CABI", "CEfferent", "Runtime", "Graph", "Onnx", "Kernels", "Platform"]),
    .testTarget(name: "LearningTests", dependencies: ["TestSupport", "Base", "Runtime", "Graph", "Onnx", "Kernels"]),
    .testTarget(
      name: "BridgeTests",
      dependencies: ["Bridge", "Base", "Platform", .target(name: "CZeroMQ", condition: .when(traits: ["Bridge"]))]),
  ]),
  cxxLanguageStandard: .cxx17)
