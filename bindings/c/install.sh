#!/usr/bin/env bash
# Builds libefferent (Embedded Swift, release) and installs it for C and C++ programs:
#   bash bindings/c/install.sh --prefix DIR [--no-bridge] [--debug-symbols]
# Installs the library, its headers, a CMake package and a pkg-config file. Safe to run again; asks nothing.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
here=$root/bindings/c
say() { printf '[install] %s\n' "$*"; }
fail() { printf '[install] error: %s\n' "$*" >&2; exit 1; }
usage() { sed -n '2,4s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; }

prefix='' bridge=1 symbols=0
while (($#)); do
  case $1 in
    --prefix) (($# > 1)) || fail "--prefix needs a folder"; prefix=$2; shift 2 ;;
    --prefix=*) prefix=${1#*=}; shift ;;
    --no-bridge) bridge=0; shift ;;
    --debug-symbols) symbols=1; shift ;;
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
tables=$resources/embedded/$triple
[[ -f $tables/libswiftUnicodeDataTables.a ]] || fail "this toolchain has no Embedded Swift for $triple ($tables/libswiftUnicodeDataTables.a is missing)"

missing=()
command -v c++ >/dev/null || missing+=(g++)
command -v strip >/dev/null && command -v objcopy >/dev/null || missing+=(binutils)
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

scratch=$root/.build/embedded traits=() what="with the bridge"
((bridge)) || { scratch+=-nobridge; traits=(--disable-default-traits); what="without the bridge"; }
say "building libefferent $what for $triple with Swift $version; the first time takes a minute or two"
log=$(mktemp)
stripped=$(mktemp)
trap 'rm -f "$log" "$stripped"' EXIT
started=$SECONDS next=$((SECONDS + 15))
EFFERENT_EMBEDDED=1 EFFERENT_TABLES=$tables swift build --package-path "$root" -c release --product efferent \
  --scratch-path "$scratch" --disable-local-rpath ${traits[@]+"${traits[@]}"} </dev/null >"$log" 2>&1 &
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
built=$scratch/release/libefferent.so
[[ -f $built ]] || { cat "$log" >&2; fail "swift build left no $built"; }
say "built in $((SECONDS - started)) s"

# ---- install: every file is put in place by a rename, so that running programs keep the one they have ----

part() { sed -n "s/^#define EFF_VERSION_$1 \([0-9]*\)$/\1/p" "$root/include/efferent/efferent.h"; }
major=$(part MAJOR) number=$(part MAJOR).$(part MINOR).$(part PATCH)
name=libefferent.so.$number
place() { # SOURCE DESTINATION MODE
  mkdir -p "$(dirname "$2")"
  install -m "$3" "$1" "$2.new" && mv -f "$2.new" "$2"
}
fill() { # SOURCE DESTINATION
  sed -e "s/@VERSION@/$number/g" -e "s/@MAJOR@/$major/g" -e "s/@BRIDGE@/$bridge/g" "$1" >"$log"
  place "$log" "$2" 644
}

strip --strip-unneeded -R .comment -o "$stripped" "$built"
if ((symbols)); then
  objcopy --only-keep-debug "$built" "$prefix/lib/$name.debug"
  (cd "$prefix/lib" && objcopy --add-gnu-debuglink="$name.debug" "$stripped")
else
  rm -f "$prefix/lib/$name.debug"
fi
place "$stripped" "$prefix/lib/$name" 755
ln -sfn "$name" "$prefix/lib/libefferent.so.$major"
ln -sfn "libefferent.so.$major" "$prefix/lib/libefferent.so"

for header in "$root"/include/efferent/*.h "$root"/bindings/cpp/*.hpp; do
  [[ -f $header ]] || continue
  to=$prefix/include/efferent/$(basename "$header")
  if ((!bridge)) && [[ $header == */bridge.h* ]]; then rm -f "$to"; else place "$header" "$to" 644; fi
done
fill "$here/efferent.pc.in" "$prefix/lib/pkgconfig/efferent.pc"
fill "$here/cmake/efferentConfig.cmake.in" "$prefix/lib/cmake/efferent/efferentConfig.cmake"
fill "$here/cmake/efferentConfigVersion.cmake.in" "$prefix/lib/cmake/efferent/efferentConfigVersion.cmake"

size=$(stat -c %s "$prefix/lib/$name")
glibc=$(objdump -T "$prefix/lib/$name" | grep -oE 'GLIBC_[0-9.]+' | sort -uV | tail -n 1)
needed=$(readelf -d "$prefix/lib/$name" | sed -n 's/.*NEEDED.*\[\(.*\)\]/\1/p' | tr '\n' ' ')
say "installed $prefix/lib/$name: $size bytes, needs ${needed% } ($glibc or later)"
((!bridge)) || ldconfig -p 2>/dev/null | grep -q 'libzmq\.so\.5' || say "no libzmq here: bridges need it when they are made (Debian: apt-get install libzmq5)"
say "CMake: -DCMAKE_PREFIX_PATH=$prefix, find_package(efferent), efferent::efferent; pkg-config: PKG_CONFIG_PATH=$prefix/lib/pkgconfig"
