// The shipped library loads where glibc is older than the one it was linked with. Files of this target define, hidden,
// the few functions whose newest version in glibc is later than the first one (2.2.5 on x86-64, 2.17 on aarch64), so
// that the whole library calls these.
//   versions.c  passes on to the first version; for the shared library alone, since an archive is linked with the glibc
//               of its user
//   random.c    arc4random_buf, which Swift asks for and glibc has from 2.36 on; for the archive too
// Tests/Symbols/check.sh reads the newest version that the library asks for.
#pragma once
#define OLD_HIDDEN __attribute__((visibility("hidden")))
