#!/usr/bin/env bash
# The hot loops of the NEON kernels by llvm-mca: cycles per multiply-add instruction on four processors, beside the limit of their ports.
#   bash Tests/Benchmarks/mca.sh [REGEX]      REGEX: loops of functions that match (default: every loop of 8 multiply-adds or more)
# The limit is measured by llvm-mca too, on 24 independent multiply-adds of the same kind. The last column is the worst of the four over its
# limit. The models know ports and latencies, not caches. LLVM up to 19 takes Cortex-A57's model for A72, A76 and A78; that of N1 is nearest to the
# ports of A76 and A78.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
out=.build/benchmarks/mca
rm -rf "$out" && mkdir -p "$out"
mca=''
for name in llvm-mca-{22,21,20,19,18,17} llvm-mca; do ! command -v "$name" >/dev/null || { mca=$name; break; }; done
if [[ ! $mca ]]; then
  echo "no llvm-mca here: sudo apt-get install -y llvm-19 (or another version of llvm)" >&2
  exit 1
fi
headers=/usr/aarch64-linux-gnu/include
if [[ ! -d $headers ]]; then
  echo "no headers for aarch64 here: sudo apt-get install -y g++-aarch64-linux-gnu" >&2
  exit 1
fi
libstdcxx=$(find "$headers/c++" -mindepth 1 -maxdepth 1 | sort -V | tail -n 1)
processors=(cortex-a72 cortex-a76 cortex-a78 neoverse-n1)
for family in dense conv matmul rnn; do
  ${CXX:-clang++} --target=aarch64-linux-gnu -isystem "$libstdcxx" -isystem "$libstdcxx/aarch64-linux-gnu" -isystem "$headers" \
    -std=c++17 -O2 -fno-exceptions -fno-rtti -fno-unroll-loops -fno-asynchronous-unwind-tables -I Sources/Kernels/include \
    -S "Sources/Kernels/simd/$family.cpp" -o "$out/$family.s"
done
# An innermost loop of one block: a label, and a branch back to it with no other label between. `kind` is its commonest multiply-add.
awk -v out="$out" '
  /^[_A-Za-z][^ ]*:/ { name = $1; sub(":.*", "", name) }
  /^\.L[A-Za-z0-9_]*:/ { label = $1; sub(":.*", "", label); n = 0; next }
  !/^\t[a-z]/ || label == "" { next }
  {
    line[++n] = $0
    if ($1 ~ /^(b\.|cb|tb)/ && $NF == label) {
      adds = 0
      split("", kinds)
      for (i = 1; i <= n; i++)
        if (match(line[i], /^\t(fmla|sdot|usdot|smmla|bfmmla|smlal2?)\t/)) {
          adds++
          kind = substr(line[i], 2, RLENGTH - 2)
          if (kind == "fmla" && line[i] ~ /\.s\[[0-3]\]/) kind = "lane"
          kinds[kind]++
        }
      kind = ""
      for (k in kinds) if (kind == "" || kinds[k] > kinds[kind]) kind = k
      if (adds >= 8) {
        file = sprintf("%s/loop%03d", out, ++count)
        printf "%s %d %d %s\n", name, adds, n, kind > (file ".head")
        for (i = 1; i <= n; i++) print line[i] > (file ".body")
        close(file ".head")
        close(file ".body")
      }
      label = ""
    } else if ($1 ~ /^(b|b\.[a-z]+|cbz|cbnz|tbz|tbnz|ret|br)$/) label = ""
  }' "$out"/{dense,conv,matmul,rnn}.s
cycles() { # PROCESSOR FILE COUNT: cycles per multiply-add
  "$mca" -mtriple=aarch64-linux-gnu -mcpu="$1" -mattr=+dotprod,+i8mm,+bf16,+fullfp16 -iterations=200 "$2" 2>"$out/errors" |
    awk -v n="$3" '/^Total Cycles/ { printf "%.3f", $3 / 200 / n }'
}
declare -A limit
for kind in fmla lane sdot smlal smlal2; do
  for ((i = 0; i < 24; i++)); do
    case $kind in
      fmla) printf '\tfmla v%d.4s, v30.4s, v31.4s\n' $i ;;
      lane) printf '\tfmla v%d.4s, v30.4s, v15.s[1]\n' $((i > 14 ? i + 1 : i)) ;;
      sdot) printf '\tsdot v%d.4s, v30.16b, v31.16b\n' $i ;;
      smlal) printf '\tsmlal v%d.4s, v30.4h, v31.4h\n' $i ;;
      smlal2) printf '\tsmlal2 v%d.4s, v30.8h, v31.8h\n' $i ;;
    esac
  done >"$out/limit.$kind"
  for processor in "${processors[@]}"; do limit[$kind $processor]=$(cycles "$processor" "$out/limit.$kind" 24); done
done
printf '%s, %s\n' "$("$mca" --version | sed -n 's/^ *\(.*LLVM version\)/\1/p' | head -n 1)" "$(git describe --always --dirty 2>/dev/null || echo 'no git')"
printf '%-58s %6s %5s %5s' "loop (cycles per multiply-add/limit)" kind adds lines
printf ' %11s' "${processors[@]}"
printf ' %6s\n' worst
filter=$(command -v llvm-cxxfilt || command -v c++filt || echo cat)
high=0 all=0
for head in "$out"/*.head; do
  read -r name adds lines kind <"$head"
  name=$("$filter" <<<"$name" | sed 's/^void //; s/eff_neon:://g; s/(.*//')
  [[ ! ${1:-} || $name =~ $1 ]] || continue
  [[ ${limit[$kind ${processors[0]}]:-} ]] || continue
  printf '%-58.58s %6s %5d %5d' "$name" "$kind" "$adds" "$lines"
  worst=0
  for processor in "${processors[@]}"; do
    found=$(cycles "$processor" "${head%.head}.body" "$adds")
    printf '  %.2f / %.2f' "$found" "${limit[$kind $processor]}"
    worst=$(awk -v a="$worst" -v f="$found" -v l="${limit[$kind $processor]}" 'BEGIN { r = f / l; print (r > a ? r : a) }')
  done
  printf ' %6.2f\n' "$worst"
  all=$((all + 1))
  high=$((high + $(awk -v w="$worst" 'BEGIN { print (w > 1.1) }')))
done
echo "$high of $all loops are above 1.10 of their limit"
