// swift-tools-version: 6.2
import PackageDescription

// Two builds of one source. `swift build` and `swift test` are ordinary Swift. The shipped library is the same targets
// as Embedded Swift in release: bindings/c/install.sh sets EFFERENT_EMBEDDED, EFFERENT_TABLES (the folder of
// libswiftUnicodeDataTables.a), EFFERENT_SONAME and EFFERENT_EXPORTS (from the version in the header) and uses its own
// --scratch-path.
let embedded = Context.environment["EFFERENT_EMBEDDED"] != nil

let swift: [SwiftSetting] = embedded
  ? [.enableExperimentalFeature("Embedded"),
     .unsafeFlags(["-wmo", "-Osize", "-enforce-exclusivity=unchecked", "-Xfrontend", "-function-sections",
       "-Xcc", "-fno-asynchronous-unwind-tables"])]
  : []
// code that only loading runs: repeated instruction sequences are shared
let outlining = ["-enable-machine-outliner=always", "-machine-outliner-reruns=2", "-enable-linkonceodr-outlining"]
let cold: [SwiftSetting] = swift + (embedded ? [.unsafeFlags(outlining.flatMap { ["-Xllvm", $0] })] : [])
let sections = [
  "-O2", "-ffunction-sections", "-fdata-sections", "-fvisibility=hidden", "-fno-asynchronous-unwind-tables",
]
// kernels say themselves how often a loop is unrolled
let native: [CXXSetting] = embedded
  ? [.unsafeFlags(sections + ["-fno-exceptions", "-fno-rtti", "-fno-unroll-loops"])]
  : []
let plain: [CSetting] = embedded ? [.unsafeFlags(sections + ["-DEFF_SHIPPED"])] : []
let link: [LinkerSetting] = embedded
  ? [.unsafeFlags([
      "-use-ld=lld", "-Xlinker", "--icf=safe",  // gold leaves local symbols in the dynamic table
      "-L", Context.environment["EFFERENT_TABLES"] ?? ".", "-lswiftUnicodeDataTables", "-lm",
      "-Xlinker", "-z", "-Xlinker", "defs", "-Xlinker", "--gc-sections",
      "-Xlinker", "-soname=\(Context.environment["EFFERENT_SONAME"] ?? "libefferent.so")",
      "-Xlinker", "--version-script=\(Context.environment["EFFERENT_EXPORTS"] ?? "")"]),
      // glibc before 2.34 has threads and dlopen in libraries of their own (OldGlibc)
    .unsafeFlags(
      ["-Xlinker", "-l:libpthread.so.0", "-Xlinker", "-l:libdl.so.2"], .when(platforms: [.linux], traits: ["Bridge"])),
  ]
  : []

let package = Package(
  name: "efferent",
  products: [
    .library(name: "efferent", type: .dynamic, targets: ["CABI"]),  // what install.sh ships
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
    .target(name: "OldGlibc", cSettings: plain),
    .target(name: "EmbeddedRuntime", cSettings: plain),
    .target(name: "Kernels", cxxSettings: native, linkerSettings: [.linkedLibrary("m")]),
    .target(name: "Base", dependencies: ["Platform"], swiftSettings: cold),
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
      exclude: ["exports.map"], swiftSettings: swift, linkerSettings: link),
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
