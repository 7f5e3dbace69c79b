#!/usr/bin/env bash
# Builds libefferent (Embedded Swift, release) and installs it for C and C++ programs:
#   bash bindings/c/install.sh --prefix DIR [--no-bridge] [--debug-symbols] [--arch x86_64|aarch64]
# Installs the library, shared and static, the receiver (libefferent_receiver.a, libefferent_receiver_local.a without ZeroMQ, and their source),
# headers, a CMake package and pkg-config files.
# Safe to run again; asks nothing.
# --arch: another processor than this machine's is cross-built (aarch64, with g++-aarch64-linux-gnu).
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
here=$root/bindings/c
say() { printf '[install] %s\n' "$*"; }
fail() { printf '[install] error: %s\n' "$*" >&2; exit 1; }
usage() { sed -n '2,7s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; }

prefix='' bridge=1 symbols=0 host=$(uname -m) arch=$(uname -m)
while (($#)); do
  case $1 in
    --prefix) (($# > 1)) || fail "--prefix needs a folder"; prefix=$2; shift 2 ;;
    --prefix=*) prefix=${1#*=}; shift ;;
    --no-bridge) bridge=0; shift ;;
    --debug-symbols) symbols=1; shift ;;
    --arch) (($# > 1)) || fail "--arch needs a processor"; arch=$2; shift 2 ;;
    --arch=*) arch=${1#*=}; shift ;;
    -h | --help) usage; exit 0 ;;
    *) usage >&2; fail "unknown argument '$1'" ;;
  esac
done
[[ $prefix ]] || { usage >&2; fail "--prefix is missing"; }
mkdir -p "$prefix/lib" && prefix=$(cd "$prefix" && pwd)

# ---- what the build needs ----

for folder in /opt/swift/usr/bin "$HOME/.local/share/swiftly/bin" /usr/local/swift/usr/bin; do
  command -v swift >/dev/null && break
  PATH=$PATH:$folder
done
command -v swift >/dev/null || fail "no Swift toolchain found: install Swift 6.3 or later from https://swift.org/install and put 'swift' on PATH"
target=$(swift -print-target-info)
version=$(sed -n 's/.*Swift version \([0-9]*\.[0-9]*\).*/\1/p' <<<"$target" | head -n 1)
[[ $(printf '6.3\n%s\n' "$version" | sort -V | head -n 1) == 6.3 ]] || fail "Swift $version found, 6.3 or later is needed: see https://swift.org/install"
resources=$(sed -n 's/.*"runtimeResourcePath" *: *"\(.*\)".*/\1/p' <<<"$target")
triple=$(sed -n 's/.*"unversionedTriple" *: *"\(.*\)".*/\1/p' <<<"$target" | head -n 1)
cross=''
if [[ $arch != "$host" ]]; then
  [[ $arch == aarch64 ]] || fail "cannot build for '$arch' on $host: $host and aarch64 are possible"
  # the toolchain has Embedded Swift for this processor without an operating system; C and the link are those of Linux
  triple=aarch64-none-none-elf cross=aarch64-linux-gnu-
fi
tables=$resources/embedded/$triple
[[ -f $tables/libswiftUnicodeDataTables.a ]] || fail "this toolchain has no Embedded Swift for $triple ($tables/libswiftUnicodeDataTables.a is missing)"

missing=()
if [[ $cross ]]; then
  command -v ${cross}g++ >/dev/null || missing+=(g++-aarch64-linux-gnu)
else
  command -v c++ >/dev/null || missing+=(g++)
  command -v strip >/dev/null && command -v objcopy >/dev/null || missing+=(binutils)
fi
if ((${#missing[@]})); then
  if command -v apt-get >/dev/null && ((EUID == 0)); then
    say "installing ${missing[*]} with apt-get"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq </dev/null >/dev/null || say "apt-get update failed; trying with the package lists that are here"
    apt-get install -y -qq --no-install-recommends "${missing[@]}" </dev/null >/dev/null || fail "apt-get could not install ${missing[*]}"
  else
    fail "missing: ${missing[*]}. Run: sudo apt-get install -y ${missing[*]}"
  fi
fi

# ---- build ----

part() { sed -n "s/^#define EFF_VERSION_$1 \([0-9]*\)$/\1/p" "$root/include/efferent/efferent.h"; }
number=$(part MAJOR).$(part MINOR).$(part PATCH) series=$(part MAJOR)
((series > 0)) || series+=.$(part MINOR) # until 1.0 each minor version is an interface of its own
name=libefferent.so.$number soname=libefferent.so.$series

scratch=$root/.build/embedded options=() what="with the bridge"
((bridge)) || { scratch+=-nobridge; options=(--disable-default-traits); what="without the bridge"; }
if [[ $cross ]]; then
  scratch+=-$arch
  mkdir -p "$scratch"
  flag='"-Xcc", "--target=aarch64-linux-gnu", "-Xcc", "-isystem", "-Xcc", "/usr/aarch64-linux-gnu/include"'
  cat >"$scratch/toolset.json" <<END
{"schemaVersion": "1.0", "rootPath": "$(dirname "$(command -v swift)")",
 "swiftCompiler": {"extraCLIOptions": ["-Xllvm", "-relocation-model=pic", $flag]},
 "cCompiler": {"extraCLIOptions": ["--target=aarch64-linux-gnu"]}, "cxxCompiler": {"extraCLIOptions": ["--target=aarch64-linux-gnu"]}}
END
  options+=(--triple $triple --toolset "$scratch/toolset.json")
fi
mkdir -p "$scratch"
sed "s/@SERIES@/$series/" "$root/Sources/CABI/exports.map" >"$scratch/exports.map"
say "building libefferent $what for $triple with Swift $version; the first time takes a minute or two"
unset CC CXX CFLAGS CXXFLAGS LDFLAGS # SwiftPM would take them (CMake sets CC) instead of its own clang and flags
log=$(mktemp)
stripped=$(mktemp)
trap 'rm -f "$log" "$stripped"' EXIT
started=$SECONDS next=$((SECONDS + 15))
EFFERENT_EMBEDDED=1 swift build --package-path "$root" -c release --scratch-path "$scratch" --target CABI ${options[@]+"${options[@]}"} \
  </dev/null >"$log" 2>&1 &
build=$!
while kill -0 $build 2>/dev/null; do
  sleep 1
  ((SECONDS > next)) || continue
  next=$((SECONDS + 15))
  say "  $((SECONDS - started)) s: $(grep -aoE '^\[[0-9]+/[0-9]+\] .*' "$log" | tail -n 1 | cut -c 1-100)"
done
wait $build || {
  cat "$log" >&2
  fail "swift build failed"
}
# Objects of the sources that are there now; a folder of objects may hold those of older ones. Modules whose settings are `cold` have one for all.
cold=" $(sed -n 's/^ *\.target(name: "\([A-Za-z]*\)".*swiftSettings: cold),$/\1/p' "$root/Package.swift" | tr '\n' ' ')"
objects=()
while read -r source; do
  source=${source#"$root"/Sources/} module=${source%%/*}
  object=${source#*/}.o
  [[ $source != *.swift ]] || object=$(basename "$source").o
  [[ $source != *.swift || $cold != *" $module "* ]] || object=$module.o
  ((bridge)) || [[ $module != Bridge && $module != CZeroMQ ]] || continue
  object=$scratch/release/$module.build/$object
  [[ -f $object ]] || { cat "$log" >&2; fail "swift build left no $object"; }
  [[ " ${objects[*]-} " == *" $object "* ]] || objects+=("$object")
done < <(find "$root/Sources" -name '*.swift' -o -name '*.c' -o -name '*.cpp' | LC_ALL=C sort)

clang=("$(dirname "$(command -v swift)")/clang")
[[ ! $cross ]] || clang+=(--target=aarch64-linux-gnu)
# glibc before 2.34 has threads and dlopen in libraries of their own (OldGlibc)
old=()
((!bridge)) || old=(-l:libpthread.so.0 -l:libdl.so.2)
built=$scratch/libefferent.so
# lld, because gold leaves local symbols in the dynamic table. --icf=all, because nothing compares the addresses of functions or constants.
"${clang[@]}" -fuse-ld=lld -shared -o "$built" "${objects[@]}" -L "$tables" -lswiftUnicodeDataTables -lm \
  -Wl,--build-id=sha1,--icf=all,--gc-sections,-z,defs,-soname="$soname",--version-script="$scratch/exports.map" ${old[@]+"${old[@]}"} ||
  fail "the link for $arch failed"
say "built in $((SECONDS - started)) s"

# The archive is one object with the exported functions as its only symbols, so that the parts of Swift in it meet no others. What only the shared
# library needs (versions.c) stays out: an archive is linked with the glibc of its user. Sections stay apart, so that the linker of a program with
# --gc-sections leaves out what it does not call.
archive=$scratch/archive
rm -rf "$archive" && mkdir -p "$archive"
nm -D --defined-only "$built" | awk '{print $3}' | sed 's/@.*//' | grep "^eff_" | LC_ALL=C sort >"$archive/symbols"
mapfile -t members < <(printf '%s\n' "${objects[@]}" | grep -v '/OldGlibc.build/versions.c.o$')
(cd "$archive" && ${cross}ld -r --gc-sections --unique $(sed 's/^/-u /' symbols) -o efferent.o "${members[@]}" -L "$tables" -lswiftUnicodeDataTables &&
  ${cross}objcopy --strip-debug --remove-section=.comment --remove-section=.swift1_autolink_entries --remove-section=.swift_modhash --keep-global-symbols=symbols efferent.o &&
  ${cross}strip --strip-unneeded efferent.o && ${cross}ar rcsD libefferent.a efferent.o) || fail "the archive could not be made"

# The receiver needs none of the above: one archive over libzmq, and one of the ways that need no libzmq
if ((bridge)); then
  headers=()
  [[ ! $cross ]] || headers=(-isystem /usr/aarch64-linux-gnu/include)
  receive() { # OBJECT SOURCE [FLAG]
    "${clang[@]}" ${headers[@]+"${headers[@]}"} -std=c11 -O2 -fPIC -Wall -Wextra -Werror -I "$root/include" \
      -I "$root/examples/plants" "${@:3}" -c "$here/receiver/$2.c" -o "$archive/$1.o" || fail "the receiver could not be built: $2.c"
  }
  receive receiver receiver && receive receiver_local receiver_local && receive receiver_zeromq receiver_zeromq
  receive receiver_alone receiver -D EFF_RECEIVER_LOCAL && receive ladder ladder
  ${cross}ar rcsD "$archive/libefferent_receiver.a" "$archive"/{receiver{,_local,_zeromq},ladder}.o &&
    ${cross}ar rcsD "$archive/libefferent_receiver_local.a" "$archive"/{receiver_{alone,local},ladder}.o || fail "the receiver's archives could not be made"
fi

# ---- install: every file is put in place by a rename, so that running programs keep the one they have ----

place() { # SOURCE DESTINATION MODE
  mkdir -p "$(dirname "$2")"
  install -m "$3" "$1" "$2.new" && mv -f "$2.new" "$2"
}
fill() { # SOURCE DESTINATION
  sed -e "s/@VERSION@/$number/g" -e "s/@MAJOR@/$(part MAJOR)/g" -e "s|@PREFIX@|../..|g" -e "s|@INCLUDE@|../../../include|g" -e "s/@SONAME@/$soname/g" -e "s/@BRIDGE@/$bridge/g" "$1" >"$log"
  place "$log" "$2" 644
}

${cross}strip --strip-unneeded -R .comment -o "$stripped" "$built"
# The same sources give the same bytes in every folder. Two things count the paths in debug information: the hashes of Swift's modules, which
# nothing reads at run time and which become zeros, and the linker's build-id. The one that is put in its place is of the bytes that are shipped.
note=$scratch/build-id hashes=$scratch/modhash
${cross}objcopy -O binary --only-section=.swift_modhash "$stripped" "$hashes"
if [[ -s $hashes ]]; then
  size=$(stat -c %s "$hashes") && truncate -s 0 "$hashes" && truncate -s "$size" "$hashes"
  ${cross}objcopy --update-section .swift_modhash="$hashes" "$stripped"
fi
identify() { # 20 BYTES IN HEXADECIMAL, LIBRARY
  { head -c 16 "$note" && printf '%b' "$(sed 's/../\\x&/g' <<<"$1")"; } >"$note.new"
  ${cross}objcopy --update-section .note.gnu.build-id="$note.new" "$2"
}
${cross}objcopy -O binary --only-section=.note.gnu.build-id "$stripped" "$note"
[[ $(stat -c %s "$note") == 36 ]] || fail "the library has a build-id of $(stat -c %s "$note") bytes, expected 36"
identify "$(printf '00%.0s' {1..20})" "$stripped"
identify "$(sha1sum <"$stripped" | cut -c 1-40)" "$stripped"
if ((symbols)); then
  ${cross}objcopy --only-keep-debug "$built" "$prefix/lib/$name.debug"
  (cd "$prefix/lib" && ${cross}objcopy --add-gnu-debuglink="$name.debug" "$stripped")
else
  rm -f "$prefix/lib/$name.debug"
fi
place "$stripped" "$prefix/lib/$name" 755
ln -sfn "$name" "$prefix/lib/$soname"
ln -sfn "$soname" "$prefix/lib/libefferent.so"
rm -f "$prefix/lib/libefferent.so.0" # the soname of versions before 0.2
place "$archive/libefferent.a" "$prefix/lib/libefferent.a" 644

for header in "$root"/include/efferent/*.h "$root"/bindings/cpp/*.hpp; do
  [[ -f $header ]] || continue
  to=$prefix/include/efferent/$(basename "$header")
  if ((!bridge)) && [[ $header == */bridge.h* || $header == */receiver.h* || $header == */ladder.h* ]]; then rm -f "$to"; else place "$header" "$to" 644; fi
done
if ((bridge)); then
  for kind in receiver receiver_local; do
    place "$archive/libefferent_$kind.a" "$prefix/lib/libefferent_$kind.a" 644
    fill "$here/efferent-${kind/_/-}.pc.in" "$prefix/lib/pkgconfig/efferent-${kind/_/-}.pc"
  done
  for source in "$here"/receiver/*.[ch] "$root"/examples/plants/efferent_{frame,local}.h; do
    place "$source" "$prefix/share/efferent/receiver/$(basename "$source")" 644
  done
else
  rm -rf "$prefix"/lib/libefferent_receiver{,_local}.a "$prefix"/lib/pkgconfig/efferent-receiver{,-local}.pc "$prefix/share/efferent/receiver"
fi
fill "$here/efferent.pc.in" "$prefix/lib/pkgconfig/efferent.pc"
fill "$here/cmake/efferentConfig.cmake.in" "$prefix/lib/cmake/efferent/efferentConfig.cmake"
fill "$here/cmake/efferentConfigVersion.cmake.in" "$prefix/lib/cmake/efferent/efferentConfigVersion.cmake"

size=$(stat -c %s "$prefix/lib/$name")
glibc=$(objdump -T "$prefix/lib/$name" | grep -oE 'GLIBC_[0-9.]+' | sort -uV | tail -n 1)
needed=$(readelf -d "$prefix/lib/$name" | sed -n 's/.*NEEDED.*\[\(.*\)\]/\1/p' | tr '\n' ' ')
say "installed $prefix/lib/$name: $size bytes, needs ${needed% } ($glibc or later)"
say "installed $prefix/lib/libefferent.a: $(stat -c %s "$prefix/lib/libefferent.a") bytes"
((!bridge)) || say "installed $prefix/lib/libefferent_receiver.a: $(stat -c %s "$prefix/lib/libefferent_receiver.a") bytes; its source is in share/efferent/receiver"
((!bridge)) || [[ $cross ]] || grep -q 'libzmq\.so\.5' <<<"$(ldconfig -p 2>/dev/null)" || say "no libzmq here: bridges need it when they are made (Debian: apt-get install libzmq5)"
say "CMake: -DCMAKE_PREFIX_PATH=$prefix, find_package(efferent), efferent::efferent; pkg-config: PKG_CONFIG_PATH=$prefix/lib/pkgconfig"
