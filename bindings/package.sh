#!/usr/bin/env bash
# Makes every package of Efferent for Linux, from this checkout into dist/:
#   bash bindings/package.sh [x86_64] [aarch64]      without a name: both
# Per processor: a Python wheel with its own libzmq, a tarball (library, archive, headers, CMake, pkg-config), two .deb.
# Once: efferent-client, a wheel for the plant's machine; SHA256SUMS; an SPDX file. The same commit gives the same bytes.
# Needs Swift, Python 3.11, dpkg-deb and, for aarch64, g++-aarch64-linux-gnu.
# --prefix ARCH=DIR packs what install.sh put there instead of building.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
say() { printf '[package] %s\n' "$*"; }
fail() { printf '[package] error: %s\n' "$*" >&2; exit 1; }

archs=()
declare -A prefix
while (($#)); do
  case $1 in
    x86_64 | aarch64) archs+=("$1") ;;
    --prefix) (($# > 1)) && [[ $2 == *=* ]] || fail "--prefix needs ARCH=DIR"; prefix[${2%%=*}]=${2#*=}; shift ;;
    -h | --help) sed -n '2,7s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 0 ;;
    *) fail "unknown argument '$1': x86_64 and aarch64 are possible" ;;
  esac
  shift
done
((${#archs[@]})) || archs=(x86_64 aarch64)
command -v dpkg-deb >/dev/null || fail "dpkg-deb is missing (Debian: apt-get install dpkg)"
for python in python3 python3.11 python3.12 python3.13 ''; do
  [[ $python ]] || fail "Python 3.11 or later is missing"
  "$python" -c 'import tomllib, pip' 2>/dev/null && break
done

# files carry the time of the last commit
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)} LC_ALL=C TZ=UTC
umask 022
rm -rf dist && mkdir -p dist
for arch in "${archs[@]}"; do
  if [[ ! ${prefix[$arch]:-} ]]; then
    prefix[$arch]=$root/.build/package/$arch
    rm -rf "${prefix[$arch]}"
    bash bindings/c/install.sh --arch "$arch" --prefix "${prefix[$arch]}"
  fi
  say "packing for $arch"
  "$python" bindings/package/pack.py "$arch" "${prefix[$arch]}" dist
done
"$python" bindings/package/pack.py client dist
"$python" bindings/package/pack.py sums dist
say "$(ls dist | wc -l) files in dist/"
(cd dist && wc -c -- * | sed '$d; s/^/[package] /')
