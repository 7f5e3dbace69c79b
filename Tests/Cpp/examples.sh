#!/usr/bin/env bash
# Builds examples/cpp against a moved prefix and runs its programs:   bash Tests/Cpp/examples.sh PREFIX BUILD PYTHON
# MuJoCo's C library is that of the Python package; go1 and g1 run where EFFERENT_POLICIES, EFFERENT_CARDS or ../shared have policies and cards.
# Ends with "N passed, N failed".
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1
prefix=$1 build=$2 python=$3 passed=0 failed=0
shared=$(for folder in .. ../.. ../../..; do [[ -d $folder/shared ]] && { echo "$folder/shared"; break; }; done)
policies=${EFFERENT_POLICIES:-$shared/policies} cards=${EFFERENT_CARDS:-$shared/cards}

expect() { # WORDS COMMAND...
  local words=$1 text status
  shift
  text=$("$@" 2>&1)
  status=$?
  printf '%s: %s\n' "$(basename "$1")" "$text"
  if ((status == 0)) && [[ $text =~ $words ]]; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "FAIL ($status): $*"; fi
}

mujoco=$("$python" -c 'import mujoco; print(mujoco.__path__[0])' 2>/dev/null)
for compiler in gcc clang; do
  command -v $compiler >/dev/null || continue
  made=$build/examples-$compiler
  rm -rf "$made" && mkdir -p "$made" && cp -a "$prefix" "$made/moved"
  if { cmake -S examples/cpp -B "$made" -DCMAKE_PREFIX_PATH="$made/moved" -DMUJOCO_DIR="$mujoco" -DCMAKE_CXX_COMPILER=${compiler/gcc/g}++ &&
    cmake --build "$made" -j 2; } >"$made.log" 2>&1; then
    passed=$((passed + 1))
  else
    cat "$made.log"
    failed=$((failed + 1))
  fi
done
made=$build/examples-gcc
[[ -d $made ]] || made=$build/examples-clang
EFFERENT_LIBRARY=$prefix/lib/libefferent.so PYTHONPATH=bindings/python "$python" Tests/Python/controller_cases.py "$build" || failed=$((failed + 1))
small=("$build/card.json" "$build/controller.onnx" ankle,spare,hip,knee)
expect '^(.*\n)*1000 ticks, 100 runs of the networks, .* 0 refused' "$made/lowstate" "${small[@]}" 2
expect '^100 of 100 updates, 10 runs; .* refused and held' "$made/ros2_control" "${small[@]}"
expect 'wake-ups, late by: 500, .*steps: 500, .*500 periods of 1.000 ms, ' "$made/jitter" examples/policies/half_cheetah.onnx 1000 0.5
expect '^step  4000: reward -[1-9].*step 40000: reward -0\.[12].*, roll-backs 0$' env -C "$build" "$(readlink -f "$made/learn")"
if [[ -x $made/go1 && -f $policies/mjplayground_go1.onnx && -f $cards/cases/playground_go1/card.json ]]; then
  expect 'no fall in 10.0 s; command 1.00 m/s, mean 1.0[0-4]' "$made/go1" "$cards/cases/playground_go1/card.json" "$policies/mjplayground_go1.onnx" \
    "$policies/mjcf/go1.xml" 1.0
  expect 'no fall in 10.0 s; command 0.50 m/s, mean 0.4[678]' "$made/g1" "$cards/cases/gym_g1_lstm/card.json" "$policies/unitree_rl_gym_g1_lstm.onnx" \
    "$policies/mjcf/unitree_g1_12dof.xml" 0.5
else
  echo "no MuJoCo, no policies or no cards here: go1 and g1 are not run"
fi
echo "$passed passed, $failed failed"
((failed == 0))
