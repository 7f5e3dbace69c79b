#!/usr/bin/env bash
# Breaks lines of Sources one by one and tells whether the tests notice:
#   bash Tests/mutation.sh [NAME...]      those lines of Tests/mutations.tsv, or all
# A line is found by its text. It is broken, built (debug, what changed alone), and the smallest suite that should
# notice runs; then the line is put back, whatever happens. A table follows. Ends with 1 where a broken line survived.
# A program and no suite of run.sh: a line costs a build of one to three minutes.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
root=$PWD table=Tests/mutations.tsv
folder=$(mktemp -d)
broken=

restore() { [[ -z $broken ]] || cp "$folder/kept" "$broken"; broken=; }
trap 'restore; rm -rf "$folder"' EXIT
trap 'exit 130' INT TERM HUP
fail() { echo "error: $*" >&2; exit 2; }

[[ -z $(git status --porcelain -- Sources) ]] || fail "Sources has changes, expected none: commit or stash them"

# Writes the file with `text` replaced to $folder/broken; fails unless it is there exactly once.
change() { # FILE TEXT INSTEAD
  python3 - "$@" "$folder/broken" <<'PYTHON'
import sys
path, text, instead, out = sys.argv[1:]
whole = open(path, encoding="utf-8").read()
if whole.count(text) != 1:
    sys.exit(f"{path}: '{text}' is there {whole.count(text)} times, expected once")
open(out, "w", encoding="utf-8").write(whole.replace(text, instead))
PYTHON
}

# The first test that failed.
noticed() {
  sed -nE 's/^. Test (.*) recorded an issue.*/\1/p; s/^FAILED ([^ ]*).*/\1/p' "$folder/log" | sed 's@.*::@@' | head -n 1
}

# Builds and runs a suite. 0: green, 1: red, 2: does not build, 3: ran no test.
run() { # SUITE
  local kind=${1%% *} what=${1#* } log=$folder/log
  case $kind in
    swift)
      swift build --build-tests >"$log" 2>&1 || return 2
      timeout 900 swift test --skip-build --filter "$what" >"$log" 2>&1 || return 1
      grep -qE 'Test run with [1-9][0-9]* tests? .*passed' "$log" || return 3
      ;;
    python)
      swift build --product efferent >"$log" 2>&1 || return 2
      # shellcheck disable=SC2086
      EFFERENT_LIBRARY=$root/.build/debug/libefferent.so PYTHONPATH=$root/bindings/python PYTHONDONTWRITEBYTECODE=1 \
        timeout 900 "$root/.venv/bin/python" -m pytest -q -x $what >"$log" 2>&1
      case $? in 0) ;; 5) return 3 ;; *) return 1 ;; esac
      ;;
    *) fail "$table: suite '$1', expected swift FILTER or python FILES" ;;
  esac
}

names=() files=() texts=() insteads=() suites=()
# a tab is no white space here, so that an empty field stays one
while IFS=$'\x1f' read -r name file text instead suite; do
  [[ $name == \#* ]] && continue
  (($#)) && [[ " $* " != *" $name "* ]] && continue
  change "$file" "$text" "$instead" || fail "$table: $name"
  names+=("$name") files+=("$file") texts+=("$text") insteads+=("$instead") suites+=("$suite")
done < <(tr '\t' '\037' <$table)
((${#names[@]})) || fail "no line of $table has one of these names: $*"

echo "unbroken:"
while read -r suite; do
  run "$suite"
  case $? in
    0) echo "  green: $suite" ;;
    3) fail "$suite runs no test" ;;
    *) tail -n 20 "$folder/log"; fail "$suite is red, or does not build, before anything is broken" ;;
  esac
done < <(printf '%s\n' "${suites[@]}" | sort -u)

survived=0
printf '\n%-17s %-8s %7s  %s\n' line result seconds 'noticed by, or the suite that did not'
for i in "${!names[@]}"; do
  began=$SECONDS
  change "${files[i]}" "${texts[i]}" "${insteads[i]}" || fail "$table: ${names[i]}"
  cp "${files[i]}" "$folder/kept" && broken=${files[i]} && cp "$folder/broken" "$broken"
  by=
  run "${suites[i]}"
  case $? in
    0) result=SURVIVED survived=$((survived + 1)) ;;
    1) result=red by=$(noticed) ;;
    2) result='no build' survived=$((survived + 1)) && tail -n 20 "$folder/log" ;;
    3) result='no test' survived=$((survived + 1)) ;;
  esac
  restore
  printf '%-17s %-8s %7d  %s\n' "${names[i]}" "$result" $((SECONDS - began)) "${by:-${suites[i]}}"
done
echo "$((${#names[@]} - survived)) of ${#names[@]} broken lines were noticed"
((survived == 0))
