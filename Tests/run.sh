#!/usr/bin/env bash
# Every suite: bash Tests/run.sh [SUITE...]
# Installs what is missing, says what it does, and ends with one line: "N passed, N failed". Asks nothing.
# The trained policies and the zoo are tested where EFFERENT_POLICIES, EFFERENT_ZOO or ../shared has them.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
root=$PWD build=$PWD/.build/tests
prefix=$root/.build/prefix bare=$root/.build/prefix-nobridge
python=$root/.venv/bin/python
mkdir -p "$build"
exec </dev/null
export DEBIAN_FRONTEND=noninteractive PYTHONDONTWRITEBYTECODE=1

passed=0 failed=0 skipped=0 started=$SECONDS
declare -a summary broken
zoo=
say() { printf '\n==> %s\n' "$*"; }

# ---- what the suites need ----

install_missing() {
  local missing=() package
  for package in "$@"; do dpkg -s "$package" >/dev/null 2>&1 || missing+=("$package"); done
  ((${#missing[@]})) || return 0
  if ((EUID != 0)) || ! command -v apt-get >/dev/null; then
    echo "missing: ${missing[*]}. Run: sudo apt-get install -y ${missing[*]}"
    return 1
  fi
  echo "installing ${missing[*]}"
  apt-get update -qq >/dev/null || true
  apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

prepare() {
  command -v swift >/dev/null || PATH=$PATH:/opt/swift/usr/bin:$HOME/.local/share/swiftly/bin
  command -v swift >/dev/null || { echo "no Swift toolchain: install Swift 6.3 or later from https://swift.org/install"; return 1; }
  if command -v dpkg >/dev/null; then
    install_missing g++ make binutils cmake pkg-config libzmq3-dev libeigen3-dev python3-venv g++-aarch64-linux-gnu qemu-user || return 1
  fi
  local stamp=$root/.venv/requirements.sum sum
  sum=$(sha256sum Tests/requirements.txt)
  if [[ ! -x $python || $(cat "$stamp" 2>/dev/null) != "$sum" ]]; then
    echo "making .venv with Tests/requirements.txt"
    { python3 -m venv .venv && "$python" -m pip install -q --disable-pip-version-check -r Tests/requirements.txt; } || return 1
    echo "$sum" >"$stamp"
  fi
  PYTHONPATH=$root/bindings/python "$python" Tests/Python/models.py .build/models || return 1
  models=("$root/.build/models" "$root/examples/policies")
  local policies
  { read -r policies; read -r zoo; } < <("$python" -c 'import sys; sys.path[:0] = ["bindings/python", "Tests/Python"]; import suites; print(suites.POLICIES or ""); print(suites.ZOO or "")')
  [[ -z $policies ]] || models+=("$policies")
  return 0
}

# ---- running a suite: its output passes through, its counts are read from it ----

suite() { # NAME COMMAND...
  local name=$1 log p f s status began=$SECONDS
  shift
  [[ ${#wanted[@]} -eq 0 || " ${wanted[*]} " == *" $name "* ]] || return 0
  log=$build/$name.log
  say "$name"
  # the form of the summary line is kept for the last line
  "$@" 2>&1 | tee "$log" | sed -u 's/^\([0-9]\+\) passed, \([0-9]\+\) failed$/\1 ok, \2 failed/'
  status=${PIPESTATUS[0]}
  read -r p f s < <(counts "$log")
  if ((status != 0 && f == 0)); then
    echo "$name stopped with status $status"
    f=1
  elif ((status == 0 && p + f == 0)); then
    echo "$name ran no test"
    f=1
  fi
  ((f == 0)) || broken+=("$name")
  passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
  summary+=("$(printf '%-12s %6d passed %4d failed %4d skipped %5d s' "$name" "$p" "$f" "$s" $((SECONDS - began)))")
}

# Sums what passed, failed and was skipped: our own "N passed, N failed", pytest's last line, and Swift Testing's marks.
counts() {
  sed 's/\x1b\[[0-9;]*m//g' "$1" | awk '
    /^[0-9]+ passed, [0-9]+ failed$/ { p += $1; f += $3; next }
    /^(=+ )?([0-9]+ [a-z]+,? )+in [0-9.]+s/ {
      for (i = 1; i < NF; i++) {
        if ($(i + 1) ~ /^passed/) p += $i
        if ($(i + 1) ~ /^(failed|errors?)/) f += $i
        if ($(i + 1) ~ /^skipped/) s += $i
      }
      next
    }
    /^. Test run / || /^. Suite / { next }
    /^✔ Test .* passed after/ { p++ }
    /^✘ Test .* failed after/ { f++ }
    /^. Test .* skipped/ { s++ }
    END { print p + 0, f + 0, s + 0 }'
}

# ---- the suites ----

swift_suite() { swift test 2>&1 | grep -vE '^. Test .* started\.$|^◇|prohibited flag'; }

install_suite() {
  local p=0 f=0 before first
  one() { if "$@"; then p=$((p + 1)); else f=$((f + 1)); echo "FAIL $*"; fi; }
  # beside each other: modules wait for one another, and most of a module is compiled on one core
  bash bindings/c/install.sh --prefix "$prefix" & first=$!
  one bash bindings/c/install.sh --prefix "$bare" --no-bridge --debug-symbols
  one wait "$first"
  before=$(sha256sum "$prefix/lib/libefferent.so")
  one bash bindings/c/install.sh --prefix "$prefix" # again
  one test "$before" = "$(sha256sum "$prefix/lib/libefferent.so")"
  one test ! -e "$bare/include/efferent/bridge.h"
  echo "$p passed, $f failed"
  ((f == 0))
}

# Builds a CMake project against a moved copy of an installed prefix; prints nothing unless it fails.
cmake_build() { # SOURCE BUILD PREFIX C_COMPILER CXX_COMPILER
  rm -rf "$2" && mkdir -p "$2" && cp -a "$3" "$2/moved" || return 1
  if ! { cmake -S "$1" -B "$2" -DCMAKE_PREFIX_PATH="$2/moved" -DCMAKE_C_COMPILER="$4" -DCMAKE_CXX_COMPILER="$5" && cmake --build "$2" -j 2; } >"$2.log" 2>&1; then
    cat "$2.log"
    return 1
  fi
}

c_suite() {
  local compiler bad=0
  for compiler in gcc clang; do
    command -v $compiler >/dev/null || { echo "no $compiler here: not tried"; continue; }
    echo "C11 with $compiler"
    cmake_build Tests/C "$build/c-$compiler" "$prefix" $compiler ${compiler/gcc/g}++ || { bad=1; continue; }
    "$build/c-$compiler/policy_test" "${models[@]}" || bad=1
  done
  echo "locked memory"
  "$build/c-gcc/lock_test" "${models[@]}" || bad=1
  echo "allocations and system calls of the real-time functions"
  "$build/c-gcc/alloc_test" "${models[@]}" || bad=1
  [[ -z $zoo ]] || CALLS=100 REFUSED=skip "$build/c-gcc/alloc_test" "$zoo" || bad=1
  "$build/c-gcc/learner_test" || bad=1
  EFFERENT_LIBRARY=$prefix/lib/libefferent.so PYTHONPATH=$root/bindings/python "$python" Tests/Python/controller_cases.py "$build" && "$build/c-gcc/controller_test" "$build/controllers.txt" || bad=1
  echo "pre-flight"
  "$build/c-gcc/preflight_test" "$build" || bad=1
  if [[ -x $build/c-clang/sanitizer_test ]]; then
    echo "RealtimeSanitizer"
    "$build/c-clang/sanitizer_test" "${models[@]}" "$build/controllers.txt" || bad=1
  else
    echo "no clang with -fsanitize=realtime here: not tried"
  fi
  echo "the bridge"
  "$build/c-gcc/bridge_test" "$root/.build/models/mlp.onnx" || bad=1
  echo "the receiver"
  "$build/c-gcc/receiver_test" "$root/.build/models/mlp.onnx" || bad=1
  "$build/c-gcc/receiver_local_test" "$root/.build/models/mlp.onnx" || bad=1
  "$build/c-gcc/ladder_test" "$build" || bad=1
  if [[ -x $build/c-gcc/receiver_thread_test ]]; then
    echo "under the thread sanitizer"
    TSAN_OPTIONS="suppressions=$root/Tests/C/receiver.tsan halt_on_error=1" "$build/c-gcc/receiver_thread_test" "$root/.build/models/mlp.onnx" || bad=1
  else
    echo "no gcc with -fsanitize=thread here: not tried"
  fi
  echo "C11 with pkg-config, the library without the bridge"
  mkdir -p "$build/pkg-config"
  export PKG_CONFIG_PATH=$bare/lib/pkgconfig
  # shellcheck disable=SC2046
  cc -std=c11 -Wall -Wextra -Wpedantic -Werror $(pkg-config --cflags efferent) Tests/C/policy_test.c -o "$build/pkg-config/policy_test" \
    $(pkg-config --libs efferent) -lm -lpthread -Wl,-rpath,"$bare/lib" && "$build/pkg-config/policy_test" "$root/.build/models" || bad=1
  return $bad
}

cpp_suite() {
  local compiler bad=0
  for compiler in gcc clang; do
    command -v $compiler >/dev/null || continue
    cmake_build Tests/Cpp "$build/cpp-$compiler" "$prefix" $compiler ${compiler/gcc/g}++ || { bad=1; continue; }
    for program in cpp_test eigen_test; do
      echo "C++17 with $compiler: $program"
      "$build/cpp-$compiler/$program" "$root/.build/models/mlp.onnx" || bad=1
    done
  done
  echo "examples in C++"
  bash Tests/Cpp/examples.sh "$prefix" "$build" "$python" || bad=1
  return $bad
}

# Test programs of the kernels: all files with one prefix (before the first _) are one program.
kernels_suite() {
  local group bad=0 jobs=2
  mkdir -p "$build/kernels"
  find Sources/Kernels -name '*.cpp' -print0 | xargs -0 -P $jobs -I{} bash -c '
    o='"$build"'/kernels/$(echo {} | tr / _).o
    [[ -f $o && -z $(find Sources/Kernels -newer $o \( -name "*.h" -o -name "*.inl" -o -path {} \) -print -quit) ]] ||
      clang++ -std=c++17 -O2 -fno-exceptions -fno-rtti -I Sources/Kernels/include -isystem /usr/include/eigen3 -c {} -o $o' || return 1
  for group in $(ls Tests/Kernels/*.cpp | sed 's@.*/\([a-z0-9]*\)[_.].*@\1@' | sort -u); do
    echo "kernels: $group"
    clang++ -std=c++17 -O1 -I Sources/Kernels/include Tests/Kernels/"$group"[_.]*cpp "$build"/kernels/*.o -lm -lpthread -o "$build/kernels/$group" &&
      "$build/kernels/$group" || bad=1
  done
  echo "under the address and undefined-behaviour sanitizers"
  bash Tests/Kernels/sanitized.sh || return 1
  for group in $(ls Tests/Kernels/*.cpp | sed 's@.*/\([a-z0-9]*\)[_.].*@\1@' | sort -u); do
    clang++ -std=c++17 -O1 -g1 -fsanitize=address,undefined -fno-sanitize-recover=undefined -I Sources/Kernels/include Tests/Kernels/"$group"[_.]*cpp \
      "$build"/kernels-sanitized/*.o -lm -lpthread -o "$build/kernels-sanitized/$group" \
      2> >(grep -v 'Cannot export local symbol' >&2) && "$build/kernels-sanitized/$group" || bad=1
  done
  return $bad
}

python_suite() {
  EFFERENT_LIBRARY=$prefix/lib/libefferent.so PYTHONPATH=$root/bindings/python timeout 1200 "$python" -m pytest -q -rs -p no:cacheprovider --durations=3 Tests/Python
}

# pip builds a wheel that carries the library; it works from an empty environment that has numpy alone
wheel_suite() {
  local made=$build/wheel p=0 f=0
  one() { if "$@"; then p=$((p + 1)); else f=$((f + 1)); echo "FAIL $*"; fi; }
  rm -rf "$made" && python3 -m venv "$made" || return 1
  local pip=("$made/bin/python" -m pip --disable-pip-version-check) wheels=$made/wheels
  one "${pip[@]}" wheel -q --no-deps -w "$wheels" ./bindings/python
  one "${pip[@]}" install -q "$wheels"/efferent-*.whl
  one env -u EFFERENT_LIBRARY -u PYTHONPATH "$made/bin/python" -c "
import os; os.chdir('/'); import efferent, numpy
action = efferent.Policy('$root/.build/models/mlp.onnx').session().step(numpy.ones(7))
assert action.shape == (3,), action
from efferent import _library; assert _library.lib.path.startswith('$made'), _library.lib.path"
  one bash -c "! '$made/bin/efferent' --help 2>'$made/said' && [[ \$(cat '$made/said') == *\"typer is not installed: pip install 'efferent[cli]'\"* ]]"
  one "${pip[@]}" install -q "$(echo "$wheels"/efferent-*.whl)[cli]"
  one "$made/bin/efferent" --help
  one test -z "$(git status --porcelain -- bindings 2>/dev/null)"
  echo "$p passed, $f failed"
  ((f == 0))
}

dependent_suite() {
  local p=0 f=0
  one() { if "$@"; then p=$((p + 1)); else f=$((f + 1)); echo "FAIL $*"; fi; }
  echo "a Swift package that depends on this one"
  one swift build -q --package-path Tests/DependentPackage --scratch-path .build/dependent
  one .build/dependent/debug/Dependent "$root/.build/models/mlp.onnx"
  echo "$p passed, $f failed"
  ((f == 0))
}

wanted=("$@")
say "preparing"
prepare || { echo "0 passed, 1 failed"; exit 1; }
suite swift swift_suite
suite install install_suite
suite symbols bash Tests/Symbols/check.sh "$prefix" "$bare"
suite kernels kernels_suite
suite neon bash Tests/Kernels/neon.sh
suite extents bash Tests/Extents/run.sh
suite c c_suite
suite cpp cpp_suite
suite python python_suite
suite wheel wheel_suite
suite packages bash Tests/packages.sh --short --prefix "x86_64=$prefix"
suite dependent dependent_suite
suite fuzz bash Tests/Fuzz/smoke.sh

say "summary after $((SECONDS - started)) s"
printf '%s\n' "${summary[@]}"
((skipped == 0)) || echo "$skipped skipped: the reasons stand in the logs (.build/tests)"
((failed == 0)) || echo "failed: ${broken[*]} (logs in .build/tests)"
echo "$passed passed, $failed failed"
((failed == 0))
