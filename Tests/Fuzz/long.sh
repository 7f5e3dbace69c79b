#!/usr/bin/env bash
# Fuzzes every target for a long time and keeps what it learns in .build/fuzz/corpus: bash Tests/Fuzz/long.sh [MINUTES=30] [TARGET...]
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1
minutes=${1:-30}
shift || true
bash Tests/Fuzz/build.sh || exit 1
bin=.build/fuzz/bin findings=.build/fuzz/findings bad=0
mkdir -p "$findings"
targets=("$@")
((${#targets[@]})) || mapfile -t targets < <(cd "$bin" && ls -d fuzz_*)
for name in "${targets[@]}"; do
  mkdir -p ".build/fuzz/corpus/$name"
  dictionary=()
  [[ ! -f Tests/Fuzz/${name#fuzz_}.dict ]] || dictionary=(-dict="Tests/Fuzz/${name#fuzz_}.dict")
  echo "$name for $minutes minutes"
  nice -n 10 "$bin/$name" -max_total_time=$((60 * minutes)) -timeout=20 -rss_limit_mb=4096 -malloc_limit_mb=2048 -max_len=65536 "${dictionary[@]}" -print_final_stats=1 \
    -artifact_prefix="$findings/$name-" ".build/fuzz/corpus/$name" Tests/Fuzz/seeds 2>&1 | tee "$findings/$name-long.log" | grep -E 'ERROR|SUMMARY|artifact|DONE|stat::' || true
  [[ ${PIPESTATUS[0]} -eq 0 ]] || bad=1
done
exit $bad
