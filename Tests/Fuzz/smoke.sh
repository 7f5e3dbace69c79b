#!/usr/bin/env bash
# Hostile input, as every change is tested: all prefixes of five policies, 20,000 mutations, 3,000 frames through each way to a bridge, and half a minute of libFuzzer on each target,
# under the address and undefined-behaviour sanitizers. Ends with "N passed, N failed"; findings are kept in .build/fuzz/findings.
#   MUTATIONS=20000 FRAMES=3000 SECONDS_PER_TARGET=30 bash Tests/Fuzz/smoke.sh
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1
bin=.build/fuzz/bin findings=.build/fuzz/findings
passed=0 failed=0
mkdir -p "$findings"
ASAN_SYMBOLIZER_PATH=$(dirname "$(command -v swiftc || echo /opt/swift/usr/bin/swiftc)")/llvm-symbolizer
export ASAN_SYMBOLIZER_PATH
export SWIFT_BACKTRACE=enable=no  # its backtracer waits for ever beside the sanitizer
bash Tests/Fuzz/build.sh 2>&1 | grep -v 'Cannot export local symbol' || true
[[ -x $bin/hostile ]] || { echo "the harnesses do not build"; echo "0 passed, 1 failed"; exit 1; }

models=(Tests/Fuzz/seeds/*.onnx)
shared=${EFFERENT_POLICIES:-../shared/policies}
# small ones: a mutation of a large model is mostly a mutation of its weights
while IFS= read -r -d '' f; do models+=("$f"); done < <(find examples/policies "$shared" "${EFFERENT_ZOO:-../shared/zoo}" -name '*.onnx' -size -40k -print0 2>/dev/null)
echo "${#models[@]} models"
log=$findings/hostile.log
"$bin/hostile" --mutations "${MUTATIONS:-20000}" --findings "$findings" --prefixes Tests/Fuzz/seeds/lstm.onnx --prefixes Tests/Fuzz/seeds/control.onnx \
  --prefixes Tests/Fuzz/seeds/conv.onnx --prefixes Tests/Fuzz/seeds/dense.safetensors --prefixes Tests/Fuzz/seeds/memory.safetensors "${models[@]}" >"$log" 2>&1
grep -vE '^[0-9]+ passed' "$log" | tail -40
read -r p f < <(sed -n 's/^\([0-9]*\) passed, \([0-9]*\) failed$/\1 \2/p' "$log" | tail -1) || { p=0 f=1; }
passed=$((passed + ${p:-0})) failed=$((failed + ${f:-1}))

log=$findings/frames.log
timeout 1200 "$bin/frames" --frames "${FRAMES:-3000}" Tests/Fuzz/seeds/lstm.onnx >"$log" 2>&1
grep -vE '^[0-9]+ passed' "$log" | tail -40
read -r p f < <(sed -n 's/^\([0-9]*\) passed, \([0-9]*\) failed$/\1 \2/p' "$log" | tail -1) || { p=0 f=1; }
passed=$((passed + ${p:-0})) failed=$((failed + ${f:-1}))

# one line, "ok NAME: ..." or "FAIL NAME: ..."
fuzz() { # TARGET
  local name work dictionary=()
  name=$(basename "$1") work=$(mktemp -d)
  [[ ! -f Tests/Fuzz/${name#fuzz_}.dict ]] || dictionary=(-dict="Tests/Fuzz/${name#fuzz_}.dict")
  if timeout 300 "$1" -max_total_time="${SECONDS_PER_TARGET:-30}" -timeout=20 -rss_limit_mb=4096 -malloc_limit_mb=2048 -max_len=65536 "${dictionary[@]}" -print_final_stats=1 \
    -artifact_prefix="$findings/$name-" "$work" Tests/Fuzz/seeds >"$findings/$name.log" 2>&1; then
    echo "ok $name: $(sed -n 's/^stat::number_of_executed_units: *//p' "$findings/$name.log") runs, nothing found"
  else
    echo "FAIL $name: see $findings/$name.log $(grep -E 'ERROR|SUMMARY|runtime error|artifact' "$findings/$name.log" | head -5 | tr '\n' ' ')"
  fi
  rm -rf "$work"
}
export -f fuzz
export findings
# two at a time: each keeps one core busy
targets=("$bin"/fuzz_*) ran=0
while IFS= read -r line; do
  echo "${line#ok }"
  ran=$((ran + 1))
  if [[ $line == ok\ * ]]; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
done < <(printf '%s\n' "${targets[@]}" | xargs -P 2 -I{} bash -c 'fuzz "$1"' _ {})
((ran == ${#targets[@]})) || failed=$((failed + 1))
echo "$passed passed, $failed failed"
((failed == 0))
