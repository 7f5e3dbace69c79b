#!/usr/bin/env bash
# What the installed library exports and needs, its size, and whether its headers compile alone:
#   bash Tests/Symbols/check.sh PREFIX_WITH_BRIDGE PREFIX_WITHOUT_BRIDGE
# needed*.txt are reviewed lists: a change there is a decision. Ends with "N passed, N failed".
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
passed=0 failed=0
check() { # DESCRIPTION, then a command
  local what=$1 out
  shift
  if out=$("$@" 2>&1); then passed=$((passed + 1)); else failed=$((failed + 1)); printf 'FAIL %s\n%s\n' "$what" "$out"; fi
}

exports() { nm -D --defined-only "$1" | awk '$2 != "A" {print $3}' | sed 's/@.*//' | LC_ALL=C sort -u; }
needed() { readelf -d "$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | sed 's/^ld-linux.*/ld-linux/' | LC_ALL=C sort; }
declared() { # every EFF_API function of the headers in a folder
  cat "$1"/*.h | tr '\n' ' ' | sed 's@/\*[^*]*\*\+\([^/*][^*]*\*\+\)*/@ @g' | grep -o 'EFF_API [^;]*;' | grep -o 'eff_[a-z0-9_]* *(' | tr -d ' (' | LC_ALL=C sort -u
}
same() { diff <(printf '%s\n' "$1") <(printf '%s\n' "$2"); }
only_c_library() { # the list may hold the loader and the C library alone
  needed "$1" | grep -vE '^(libc|libm|libpthread|libdl)\.so\.6$|^ld-linux$' && return 1 || return 0
}
# the newest version of glibc that a symbol asks for: what Ubuntu 20.04 (2.31), JetPack and RHEL 8 (2.28) can load
newest_glibc() { objdump -T "$1" | grep -oE 'GLIBC_[0-9.]+' | sed 's/GLIBC_//' | LC_ALL=C sort -uV | tail -n 1; }
not_newer() { # FOUND BOUND
  echo "GLIBC_$1 is asked for, GLIBC_$2 is the newest allowed"
  [[ $1 && $(printf '%s\n%s\n' "$1" "$2" | LC_ALL=C sort -V | tail -n 1) == "$2" ]]
}
below() { echo "$1 bytes, expected less than $2"; (($1 < $2)); }
compiles() { # COMPILER STANDARD LANGUAGE INCLUDE HEADER
  printf '#include <efferent/%s>\nint main(void) { return 0; }\n' "$5" | "$1" -std="$2" -x "$3" -Wall -Wextra -Wpedantic -Werror -fsyntax-only -I"$4" -
}
no_writable_code() { ! readelf -lW "$1" | grep -E 'LOAD|GNU_STACK' | grep -E 'RWE'; }

# the same bytes in every folder: nothing in the library counts the paths of the machine that compiled it
no_module_hash() { # nothing but zeros, if anything
  local hashes
  hashes=$(mktemp)
  objcopy -O binary --only-section=.swift_modhash "$1" "$hashes" && ! tr -d '\0' <"$hashes" | grep -q .
  local status=$?
  rm -f "$hashes"
  return $status
}
identified_by_its_bytes() { # the build-id is the SHA-1 of the library with a build-id of zeros
  local copy note found
  copy=$(mktemp) note=$(mktemp)
  objcopy -O binary --only-section=.note.gnu.build-id "$1" "$note" && truncate -s 16 "$note" && truncate -s 36 "$note" &&
    objcopy --update-section .note.gnu.build-id="$note" "$1" "$copy" && found=$(sha1sum <"$copy" | cut -c 1-40)
  rm -f "$copy" "$note"
  echo "SHA-1 $found, build-id $(readelf -n "$1" | sed -n 's/.*Build ID: //p')"
  [[ $found && $found == $(readelf -n "$1" | sed -n 's/.*Build ID: //p') ]]
}

part() { sed -n "s/^#define EFF_VERSION_$1 \([0-9]*\)$/\1/p" "$here/../../include/efferent/efferent.h"; }
series=$(part MAJOR)
((series > 0)) || series+=.$(part MINOR)

for kind in '' -nobridge; do
  prefix=$1
  [[ $kind ]] && prefix=$2
  library=$prefix/lib/libefferent.so
  name="libefferent$kind"
  check "$name is there" test -f "$library"
  check "$name exports exactly the functions of its headers" same "$(declared "$prefix/include/efferent")" "$(exports "$library")"
  check "$name needs what needed$kind.txt lists" same "$(cat "$here/needed$kind.txt")" "$(needed "$library")"
  check "$name has its soname" same "libefferent.so.$series" "$(readelf -d "$library" | sed -n 's/.*(SONAME).*\[\(.*\)\]/\1/p')"
  check "$name has its functions in the version node EFFERENT_$series" same "EFFERENT_$series" \
    "$(nm -D --defined-only "$library" | awk '$2 == "T" {print $3}' | sed 's/.*@@*//' | LC_ALL=C sort -u)"
  check "$name has no run path" same '' "$(readelf -d "$library" | grep -E 'RPATH|RUNPATH' || true)"
  check "$name has no writable code and no executable stack" no_writable_code "$library"
  check "$name has no hashes of modules" no_module_hash "$library"
  check "$name resolves every library" bash -c "! ldd '$library' | grep 'not found'"
  check "$name asks for no glibc after 2.28" not_newer "$(newest_glibc "$library")" 2.28
  size=$(stat -Lc %s "$library")
  printf '%s: %d bytes\n' "$name" "$size"
done
# The aim is 2 MB (issue K); this is what it may not grow beyond without a decision. Of what were 3.2 MB (November 2026) kernels
# for four instruction sets and their naive twins are 0.83, the graph with every operator, role and refusal 0.79,
# running, learning and controllers 0.38, policy cards 0.24, parts of Swift and its Unicode tables 0.31, reading ONNX
# and safetensors 0.19, tables and constants 0.25. December: 0.2 more for cells that learn, convolutions by Winograd's
# and as they learn, transposed ones by phases, max pools, names as bytes.
check "libefferent-nobridge is within its size budget" below "$size" 3200000
check "libefferent-nobridge needs the C library alone" only_c_library "$2/lib/libefferent.so"

check "libefferent is identified by its bytes" identified_by_its_bytes "$(readlink -f "$1/lib/libefferent.so")"
check "programs that are built against the release before go on working" python3 "$here/abi.py" "$1/include"

for prefix in "$1" "$2"; do
  for header in "$prefix"/include/efferent/*.h; do
    for compiler in gcc clang; do
      command -v "$compiler" >/dev/null || { echo "no $compiler here: not tried"; continue; }
      check "$header is C11 for $compiler" compiles "$compiler" c11 c "$prefix/include" "$(basename "$header")"
      check "$header is C++17 for $compiler" compiles "$compiler" c++17 c++ "$prefix/include" "$(basename "$header")"
    done
  done
  for compiler in gcc clang; do
    command -v "$compiler" >/dev/null || continue
    for header in "$prefix"/include/efferent/*.hpp; do
      check "$header is C++17 for $compiler" compiles "$compiler" c++17 c++ "$prefix/include" "$(basename "$header")"
      check "$header is C++20 for $compiler" compiles "$compiler" c++20 c++ "$prefix/include" "$(basename "$header")"
    done
  done
done
printf '%d passed, %d failed\n' "$passed" "$failed"
((failed == 0))
