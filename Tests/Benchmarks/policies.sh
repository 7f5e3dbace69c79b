#!/usr/bin/env bash
# Times whole policies against onnxruntime and fixed-size Eigen, one command from a fresh clone:
#   bash Tests/Benchmarks/policies.sh [MODE...] [FILE.onnx...]      MODE: hot checks precision periodic batch threads load (default: all)
#   bash Tests/Benchmarks/policies.sh shapes        ResNet-18, 1-D U-Net, ACT decoder, Mamba at 1, 4, 16 and 64 rows (about 7 minutes)
# Writes .build/benchmarks/policies.txt, .csv and .png. EFFERENT_LIBRARY: measure this library instead of building one.
# OpenVINO and onnxruntime int8 are measured where the Python environment (BENCH_PYTHON, default .venv) has openvino and onnxruntime.quantization.
# BENCH_ROUNDS: rounds of the hot mode (default 301). BENCH_SMALL_ROUNDS: steps of the periodic mode (default 101).
# policies.sh roof [...]: shares of the multiply-add peak, per shape (roof.sh). policies.sh mca [...]: hot loops of NEON by llvm-mca (mca.sh).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
[[ ${1:-} != roof && ${1:-} != mca ]] || exec bash "Tests/Benchmarks/$1.sh" "${@:2}"
out=.build/benchmarks
mkdir -p "$out/bin"
source Tests/Benchmarks/common.sh
find_library
find_python "onnx, onnxruntime, matplotlib" matplotlib==3.11.2
onnxruntime=$("$python" -c 'import glob, onnxruntime, os; print(glob.glob(os.path.dirname(onnxruntime.__file__) + "/capi/libonnxruntime.so.*")[0])')
peers=(--onnxruntime "$onnxruntime")
openvino=$("$python" -c 'import glob, openvino, os; print(glob.glob(os.path.dirname(openvino.__file__) + "/libs/libopenvino_c.so*")[0])' 2>/dev/null) && peers+=(--openvino "$openvino")

"$python" Tests/Benchmarks/make_nets.py "$out/nets"
"$python" Tests/Benchmarks/make_int8.py "$out/nets" >/dev/null 2>&1 || echo "onnxruntime int8 is left out: onnxruntime.quantization does not run here"
${CXX:-clang++} -std=c++17 -O3 -march=native -Wall -Wextra -rdynamic -isystem /usr/include/eigen3 Tests/Benchmarks/policy_bench.cpp \
  Tests/Benchmarks/counters.cpp -o "$out/bin/policy_bench" -ldl -lpthread

modes=() files=()
for a in "$@"; do if [[ $a == *.onnx ]]; then files+=("$a"); else modes+=("$a"); fi; done
((${#modes[@]})) || modes=(hot checks precision periodic batch threads load)
[[ " ${modes[*]} " != *" shapes "* ]] || "$python" Tests/Benchmarks/make_shapes.py "$out/shapes"
nets=("$out"/nets/*.onnx)
few=("$out"/nets/{b_relu_256,c_elu_512,e_lstm_256}.onnx)
{
  printf '%s, %s\n' "$(git describe --always --dirty 2>/dev/null || echo 'no git')" "$(date -u +%FT%TZ)"
  printf '%s, %s cores, load %s\n' "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1)" "$(nproc)" "$(cut -d' ' -f1-3 /proc/loadavg)"
  printf '%s; kernel %s; kernels of Efferent: %s\n' "$(python3 --version)" "$(uname -r)" "${EFFERENT_ISA:-the best of the processor}"
  printf 'bash Tests/Benchmarks/policies.sh %s\n' "$*"
} >"$out/policies.txt"
: >"$out/policies.csv"
for mode in "${modes[@]}"; do
  case $mode in
    hot | checks | precision) list=("${nets[@]}" ${files[@]+"${files[@]}"}) rounds=${BENCH_ROUNDS:-301} ;;
    batch) list=(--batch "$out/nets/batch/b_relu_256.onnx" --batch "$out/nets/batch/c_elu_512.onnx") rounds=1 ;;
    shapes)
      list=() rounds=${BENCH_SHAPE_ROUNDS:-301}
      for net in "$out"/shapes/*.onnx; do list+=(--shape "$net"); done
      ;;
    *) list=("${few[@]}" ${files[@]+"${files[@]}"}) rounds=${BENCH_SMALL_ROUNDS:-101} ;;
  esac
  "$out/bin/policy_bench" --efferent "$library" "${peers[@]}" --csv "$out/$mode.csv" --rounds "$rounds" "$mode" "${list[@]}" | tee -a "$out/policies.txt"
  if [[ -s $out/policies.csv ]]; then tail -n +2 "$out/$mode.csv"; else cat "$out/$mode.csv"; fi >>"$out/policies.csv"
  rm "$out/$mode.csv"
done
"$python" Tests/Benchmarks/plot_policies.py "$out/policies.csv" "$out/policies.png"
echo "$out/policies.txt $out/policies.csv $out/policies.png"
