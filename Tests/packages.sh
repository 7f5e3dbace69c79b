#!/usr/bin/env bash
# Packages are made and used where their users are: bash Tests/packages.sh [--short] [--prefix ARCH=DIR]...
#   --short    this machine alone, x86_64: an empty environment without Swift, without libzmq and without the checkout
#   otherwise  also roots of Debian 12 and 11 (debootstrap), and aarch64 under qemu-user
#   --prefix   saves building (see bindings/package.sh)
# Ends with "N passed, N failed".
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
root=$PWD work=$PWD/.build/tests/packages policy=$PWD/examples/policies/half_cheetah.onnx
short=0 archs=(x86_64 aarch64) options=()
while (($#)); do
  case $1 in
    --short) short=1 archs=(x86_64) ;;
    --prefix) options+=(--prefix "$2"); shift ;;
    *) echo "unknown argument '$1'"; exit 1 ;;
  esac
  shift
done
version=$(sed -n 's/^#define EFF_VERSION_[A-Z]* \([0-9]*\)$/\1/p' include/efferent/efferent.h | paste -sd.)
passed=0 failed=0
check() { # DESCRIPTION, then a command
  local what=$1 out
  shift
  if out=$("$@" 2>&1); then passed=$((passed + 1)); else failed=$((failed + 1)); printf 'FAIL %s\n%s\n' "$what" "$(tail -n 30 <<<"$out")"; fi
}
finish() { echo "$passed passed, $failed failed"; ((failed == 0)); exit; }
timed() { # NAME, then a command: how long it took
  local name=$1 began=$EPOCHREALTIME status
  shift
  "$@"
  status=$?
  awk "BEGIN { printf \"%s %.1f\\n\", \"$name\", $EPOCHREALTIME - $began }" >>"$work/times"
  return $status
}
says() { # TEXT, then a command whose output has it, in whatever lines
  local text=$1 out
  shift
  out=$("$@" 2>&1)
  echo "$out" && tr -s '[:space:]' ' ' <<<"$out" | grep -qF -- "$text"
}
rm -rf "$work" && mkdir -p "$work"

# ---- made twice from one build, the same bytes ----

check "packages are made" bash bindings/package.sh "${archs[@]}" ${options[@]+"${options[@]}"}
((failed == 0)) || finish
cp -r dist "$work/first"
again=()
for arch in "${archs[@]}"; do
  given=$(printf '%s\n' ${options[@]+"${options[@]}"} | sed -n "s/^$arch=//p")
  again+=(--prefix "$arch=${given:-$root/.build/package/$arch}")
done
check "packages are made again" bash bindings/package.sh "${archs[@]}" "${again[@]}"
check "they are the same bytes" diff -r dist "$work/first"
check "SHA256SUMS is true" bash -c "cd dist && sha256sum -c --quiet SHA256SUMS"
check "every file is in SHA256SUMS" bash -c 'diff <(ls dist | grep -v SHA256SUMS | LC_ALL=C sort) <(cut -c67- dist/SHA256SUMS | LC_ALL=C sort)'
check "the SPDX file is JSON that names every package" python3 -c '
import json, pathlib
names = {p["name"] for p in json.load(next(pathlib.Path("dist").glob("*.spdx.json")).open())["packages"]}
missing = {p.name for p in pathlib.Path("dist").iterdir() if p.suffix in (".whl", ".gz", ".deb")} - names
raise SystemExit(missing or 0)'

# ---- compiled again in another folder, the same bytes ----

if ((!short)) && git rev-parse --git-dir >/dev/null 2>&1; then
  elsewhere="$work/another folder"
  mkdir -p "$elsewhere"
  git ls-files -coz --exclude-standard | tar --null -T - -c | tar -x -C "$elsewhere"
  given=$(printf '%s\n' ${options[@]+"${options[@]}"} | sed -n "s/^x86_64=//p")
  check "it compiles in another folder" bash "$elsewhere/bindings/c/install.sh" --prefix "$work/compiled-again"
  check "two compiles give the same bytes" diff -r "${given:-$root/.build/package/x86_64}" "$work/compiled-again"
fi

# ---- what is in them ----

newest() { readelf -VW "$1" | grep -oE 'GLIBC_[0-9.]+' | sed 's/GLIBC_//' | LC_ALL=C sort -uV | tail -n 1; }
old_enough() { # BOUND OBJECT...
  local bound=$1 object bad=0
  for object in "${@:2}"; do
    [[ $(printf '%s\n%s\n' "$(newest "$object")" "$bound" | sort -V | tail -n 1) == "$bound" ]] || { echo "$object: GLIBC_$(newest "$object")"; bad=1; }
  done
  return $bad
}
for arch in "${archs[@]}"; do
  at=$work/$arch
  mkdir -p "$at"/{wheel,tar,deb}
  python3 -m zipfile -e dist/efferent-"$version"-*_"$arch".whl "$at/wheel"
  tar -xzf dist/efferent-"$version"-linux-"$arch".tar.gz -C "$at/tar" --strip-components=1
  debian=$([[ $arch == x86_64 ]] && echo amd64 || echo arm64)
  for name in libefferent0 libefferent-dev; do dpkg-deb -x "dist/${name}_${version}_$debian.deb" "$at/deb"; done
  mapfile -t objects < <(find "$at" -name '*.so*' -type f)
  check "$arch: no object asks for glibc after 2.28" old_enough 2.28 "${objects[@]}"
  mapfile -t objects < <(find "$at/wheel" -name '*.so*' -type f)
  tag=$(ls dist/efferent-"$version"-*_"$arch".whl | sed 's/.*manylinux_\([0-9]*\)_\([0-9]*\)_.*/\1.\2/')
  check "$arch: the wheel's tag covers its objects" old_enough "$tag" "${objects[@]}"
  for kind in wheel tar deb; do
    check "$arch: the $kind has licences and notices" bash -c "grep -rl 'Runtime Library Exception' '$at/$kind' && grep -rl 'UNICODE LICENSE' '$at/$kind'"
  done
  check "$arch: the wheel has libzmq's licence" grep -rl "Mozilla Public License" "$at/wheel"
  check "$arch: the archive has the exported functions as its only symbols" bash -c "diff <(nm -g --defined-only '$at/tar/lib/libefferent.a' | awk 'NF == 3 {print \$3}' | LC_ALL=C sort) \
    <(nm -D --defined-only '$at/tar/lib/libefferent.so' | awk '\$2 == \"T\" {print \$3}' | sed 's/@.*//' | LC_ALL=C sort)"
done

# ---- the tarball and the .deb for C ----

empty=(env -i PATH=/usr/bin:/bin HOME="$work" LC_ALL=C)
mkdir -p "$work/hidden" && : >"$work/hidden/libzmq.so.5" # a libzmq that cannot be loaded: what a machine without one sees
small() { # FILE BOUND
  echo "$(stat -c %s "$1") bytes, expected less than $2"
  (($(stat -c %s "$1") < $2))
}
c_user() { # ARCH CC RUNNER... : compiles against tarball and .deb, shared and static
  local arch=$1 cc=$2 lib=$work/$1/tar/lib flags
  shift 2
  local pc=("${empty[@]}" PKG_CONFIG_PATH="$lib/pkgconfig" pkg-config)
  flags=$("${pc[@]}" --cflags --libs efferent)
  check "$arch: tarball, pkg-config, shared" "$cc" Tests/Packages/walk.c $flags -Wl,-rpath,"$lib" -o "$work/$arch/shared"
  check "$arch: it steps and learns" says "learner" "${empty[@]}" "$@" "$work/$arch/shared" "$policy"
  check "$arch: without libzmq a bridge says what to install" says "apt-get install libzmq5" \
    "${empty[@]}" LD_LIBRARY_PATH="$work/hidden" "$@" "$work/$arch/shared" "$policy" bridge
  check "$arch: tarball, static" "$cc" -O1 Tests/Packages/walk.c $("${pc[@]}" --cflags efferent) "$lib/libefferent.a" -lm -lpthread -ldl \
    -Wl,--gc-sections -s -o "$work/$arch/static"
  check "$arch: it needs no libefferent.so" bash -c "! readelf -d '$work/$arch/static' | grep libefferent"
  check "$arch: it is small" small "$work/$arch/static" "${static_bound[$arch]}"
  check "$arch: it steps and learns too" says "learner" "${empty[@]}" "$@" "$work/$arch/static" "$policy"
  check "$arch: static, steps alone" "$cc" -O1 Tests/Packages/step.c $("${pc[@]}" --cflags efferent) \
    "$lib/libefferent.a" -lm -lpthread -ldl -Wl,--gc-sections -s -o "$work/$arch/step"
  check "$arch: it is smaller" small "$work/$arch/step" "${step_bound[$arch]}"
  check "$arch: it steps" says "stepped" "${empty[@]}" "$@" "$work/$arch/step" "$policy"
  local debian=$work/$arch/deb/usr/lib/$([[ $arch == x86_64 ]] && echo x86_64 || echo aarch64)-linux-gnu
  flags=$("${empty[@]}" PKG_CONFIG_PATH="$debian/pkgconfig" pkg-config --cflags --libs efferent)
  check "$arch: .deb, pkg-config" "$cc" Tests/Packages/walk.c $flags -Wl,-rpath,"$debian" -o "$work/$arch/debian"
  check "$arch: it steps and learns as well" says "learner" "${empty[@]}" "$@" "$work/$arch/debian" "$policy"
}
# Bytes of a program that loads, steps and learns, and of one that loads and steps, with what nothing calls left out.
# Less than 2 MB is asked of a static program (issue 14); x86_64 has kernels for three instruction sets. These may not
# grow without a decision: the last was convolutions by Winograd's method and cells that learn (2.56 and 2.03 MB).
declare -A static_bound=([x86_64]=2600000 [aarch64]=2220000) step_bound=([x86_64]=2060000 [aarch64]=1850000)
c_user x86_64 gcc
if command -v cmake >/dev/null; then
  for kind in efferent static; do
    mkdir -p "$work/cmake-$kind"
    cat >"$work/cmake-$kind/CMakeLists.txt" <<END
cmake_minimum_required(VERSION 3.16)
project(user C)
find_package(efferent 0 REQUIRED COMPONENTS core bridge static)
add_executable(walk $root/Tests/Packages/walk.c)
target_link_libraries(walk PRIVATE efferent::$kind)
END
    check "CMake: efferent::$kind of the tarball" "${empty[@]}" cmake -S "$work/cmake-$kind" -B "$work/cmake-$kind/b" -DCMAKE_PREFIX_PATH="$work/x86_64/tar"
    check "CMake: efferent::$kind builds" "${empty[@]}" cmake --build "$work/cmake-$kind/b"
    check "CMake: efferent::$kind runs" says learner "${empty[@]}" "$work/cmake-$kind/b/walk" "$policy"
    check "CMake: efferent::$kind of the .deb" "${empty[@]}" cmake -S "$work/cmake-$kind" -B "$work/cmake-$kind/d" -DCMAKE_PREFIX_PATH="$work/x86_64/deb/usr" \
      -DCMAKE_LIBRARY_ARCHITECTURE=x86_64-linux-gnu
  done
  sed -i 's/bridge static/nonsense/' "$work/cmake-static/CMakeLists.txt"
  check "CMake: a component that is not there stops the configuration by name" says "has no component 'nonsense'" \
    cmake -S "$work/cmake-static" -B "$work/cmake-static/n" -DCMAKE_PREFIX_PATH="$work/x86_64/tar"
fi

# ---- CMake from source: a library that is named, found, or built by Swift ----

check "package.xml has the version of the header" says "<version>$version</version>" cat bindings/cmake/package.xml
source_user() { # NAME LINES : a project that includes this checkout
  mkdir -p "$work/source-$1"
  printf 'cmake_minimum_required(VERSION 3.16)\nproject(user C CXX)\n%s\nadd_executable(walk %s/Tests/Packages/walk.c)\ntarget_link_libraries(walk PRIVATE efferent::efferent)\n' \
    "$2" "$root" >"$work/source-$1/CMakeLists.txt"
}
if command -v cmake >/dev/null; then
  tar=$work/x86_64/tar
  source_user sub "add_subdirectory($root/bindings/cmake efferent)"
  source_user fetch "include(FetchContent)
FetchContent_Declare(efferent SOURCE_DIR $root SOURCE_SUBDIR bindings/cmake)
FetchContent_MakeAvailable(efferent)"
  check "add_subdirectory takes the library that is named" says "of EFFERENT_PREFIX, $tar" \
    "${empty[@]}" cmake -S "$work/source-sub" -B "$work/source-sub/b" -DEFFERENT_PREFIX="$tar"
  check "it builds and runs" says learner "${empty[@]}" bash -c "cmake --build '$work/source-sub/b' >/dev/null && '$work/source-sub/b/walk' '$policy'"
  check "FetchContent takes the library that is found" says "version $version found, $tar" \
    "${empty[@]}" cmake -S "$work/source-fetch" -B "$work/source-fetch/b" -DCMAKE_PREFIX_PATH="$tar"
  check "it builds and runs too" says learner "${empty[@]}" bash -c "cmake --build '$work/source-fetch/b' >/dev/null && '$work/source-fetch/b/walk' '$policy'"
  check "without a library and without Swift the configuration says what to do" says "Set EFFERENT_PREFIX" \
    "${empty[@]}" cmake -S "$work/source-sub" -B "$work/source-sub/n" -DEFFERENT_SWIFT=EFFERENT_SWIFT-NOTFOUND -DCMAKE_FIND_ROOT_PATH="$work/none" \
    -DCMAKE_FIND_ROOT_PATH_MODE_PROGRAM=ONLY -DCMAKE_C_COMPILER=/usr/bin/gcc -DCMAKE_CXX_COMPILER=/usr/bin/g++ -DCMAKE_MAKE_PROGRAM=/usr/bin/make
  check "a prefix without a library is refused by name" says "EFFERENT_PREFIX is '/nowhere'" \
    "${empty[@]}" cmake -S "$work/source-sub" -B "$work/source-sub/w" -DEFFERENT_PREFIX=/nowhere
  check "as colcon builds it" "${empty[@]}" bash -c "cmake -S bindings/cmake -B '$work/colcon' -DEFFERENT_PREFIX='$tar' -DCMAKE_INSTALL_PREFIX='$work/space' &&
    cmake --install '$work/colcon'"
  check "the workspace has the package" "${empty[@]}" cmake -S "$work/cmake-efferent" -B "$work/cmake-efferent/c" -DCMAKE_PREFIX_PATH="$work/space"
  if ((!short)); then
    check "add_subdirectory builds the library by Swift" says "efferent: building version $version" \
      cmake -S "$work/source-sub" -B "$work/source-sub/s"
    check "it builds and runs as well" says learner bash -c "cmake --build '$work/source-sub/s' >/dev/null && '$work/source-sub/s/walk' '$policy'"
    check "FetchContent builds the library by Swift" says "efferent: building version $version" \
      cmake -S "$work/source-fetch" -B "$work/source-fetch/s"
    check "its program builds and runs as well" says learner bash -c "cmake --build '$work/source-fetch/s' >/dev/null && '$work/source-fetch/s/walk' '$policy'"
  fi
fi

# ---- the wheels ----

python=${PYTHON:-python3}
wheels=$work/wheelhouse
check "what the wheels need is fetched" "$python" -m pip download -q --disable-pip-version-check -d "$wheels" numpy typer rich pyzmq msgpack
check "an environment of its own" "$python" -m venv "$work/venv"
pip=("${empty[@]}" "$work/venv/bin/python" -m pip --disable-pip-version-check install -q --no-index --find-links "$wheels")
check "pip install --no-index of the wheel" timed wheel "${pip[@]}" dist/efferent-"$version"-*_x86_64.whl
check "it brings numpy alone" says "efferent numpy" "${empty[@]}" "$work/venv/bin/python" -c '
import importlib.metadata
names = {d.name for d in importlib.metadata.distributions()} - {"pip", "setuptools", "wheel"}
print(*sorted(names))
raise SystemExit(names != {"efferent", "numpy"})'
check "the command line names its extra" says "typer is not installed: pip install 'efferent[cli]'" "${empty[@]}" "$work/venv/bin/efferent" --help
check "the command line is installed by the extra" "${pip[@]}" "$(echo dist/efferent-"$version"-*_x86_64.whl)[cli]"
check "pip install --no-index of the client" "${pip[@]}" dist/efferent_client-"$version"-py3-none-any.whl
use=("${empty[@]}" LD_LIBRARY_PATH="$work/hidden" "$work/venv/bin/python" "$root/Tests/Packages/use.py" "$policy")
cd "$work" || exit 1
check "the wheel steps, with its own library" says "(6,) $work/venv/lib" "${use[@]}"
check "the wheel learns" says "learn" "${use[@]}"
check "the wheel serves by its own libzmq, the client has no libefferent" says "answer 6 False" "${use[@]}"
check "the command line starts" "${empty[@]}" "$work/venv/bin/efferent" --help
cd "$root" || exit 1
((!short)) || finish

# ---- from a wheel to a moving robot by README's own commands, in a folder without sources and without Swift ----

visitor=$work/visitor
mkdir -p "$visitor" && cp -r dist examples "$visitor/"
sed -n 's/^    \(python3 -m venv .*\|\.venv\/bin\/.*\)$/\1/p' README.md >"$visitor/commands"
check "README has the commands" test "$(wc -l <"$visitor/commands")" == 3
check "they lead from the wheel to a robot in MuJoCo" says "in-process session: yes" timed visitor "${empty[@]}" bash -ec "cd '$visitor' && . ./commands && times >took"
# of a processor's time, since this may run beside other work
check "in five minutes" awk -F '[ms ]+' 'END { spent = 60 * $1 + $2 + 60 * $3 + $4; print spent " s"; exit !(NR == 2 && spent < 300) }' "$visitor/took"

# ---- aarch64 under qemu-user: C against Debian's cross libraries, Python in a root of Debian 12 ----

roots=$PWD/.build/roots
mkdir -p "$roots"
for tool in debootstrap qemu-aarch64-static aarch64-linux-gnu-gcc; do
  command -v $tool >/dev/null && continue
  check "$tool is here" apt-get install -y -qq --no-install-recommends debootstrap qemu-user-static gcc-aarch64-linux-gnu libc6-dev-arm64-cross
done
c_user aarch64 aarch64-linux-gnu-gcc qemu-aarch64-static -L /usr/aarch64-linux-gnu
arm=$roots/bookworm-arm64
if [[ ! -e $arm/.complete ]] || ! compgen -G "$arm/var/cache/apt/archives/libc6-dev_*" >/dev/null; then
  rm -rf "$arm"
  check "packages of Debian 12 for arm64" debootstrap --arch=arm64 --foreign --variant=minbase --include=python3,libc6-dev bookworm "$arm"
  for deb in "$arm"/var/cache/apt/archives/*.deb; do dpkg-deb -x "$deb" "$arm"; done && touch "$arm/.complete"
fi
# The kernel starts programs of arm64 by qemu: binfmt_misc, mounted for one command, under a name that is taken back at its end.
cat >"$work/arm.sh" <<'END'
set -e
mount -t binfmt_misc none /proc/sys/fs/binfmt_misc
magic='\x7f\x45\x4c\x46\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00'
mask='\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff'
printf '%s' ":efferent-$$:M::$magic:$mask:$(command -v qemu-aarch64-static):F" >/proc/sys/fs/binfmt_misc/register
trap 'echo -1 >/proc/sys/fs/binfmt_misc/efferent-'$$ EXIT
chroot "$@"
END
in_arm() { "${empty[@]}" PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root DEBIAN_FRONTEND=noninteractive unshare -m bash "$work/arm.sh" "$arm" "$@"; }
if [[ $(in_arm uname -m 2>/dev/null) == aarch64 ]]; then
  # dpkg of that root is told what was unpacked there; to configure a hundred packages under qemu takes half an hour
  for deb in "$arm"/var/cache/apt/archives/*.deb; do
    dpkg-deb -f "$deb" | sed '1a Status: install ok installed' && echo
  done >"$arm/var/lib/dpkg/status"
  mkdir -p "$arm/in"
  cp dist/*arm64.deb "$policy" "$arm/in/"
  in_arm dpkg -P libefferent-dev libefferent0 >/dev/null 2>&1
  check "aarch64: .deb are installed by dpkg" timed deb-arm64 in_arm bash -c "dpkg -i /in/libefferent0_*.deb /in/libefferent-dev_*.deb"
  check "aarch64: a program that was built against them starts by the system's folders" aarch64-linux-gnu-gcc Tests/Packages/walk.c \
    -idirafter "$arm/usr/include" "$arm/usr/lib/aarch64-linux-gnu/libefferent.so" -Wl,--allow-shlib-undefined -o "$arm/in/walk"
  check "aarch64: it steps and learns with what dpkg installed" says learner in_arm /in/walk /in/half_cheetah.onnx
  check "aarch64: dpkg takes them out again" in_arm bash -c "dpkg -r libefferent-dev libefferent0 && ! ls /usr/lib/aarch64-linux-gnu/libefferent* 2>/dev/null"
else
  echo "programs of arm64 cannot be started by the kernel here (binfmt_misc): dpkg of arm64 is not tried"
fi
arm_wheels=$work/wheelhouse-arm
platforms=()
for glibc in 2_17 2_25 2_26 2_27 2_28; do platforms+=(--platform "manylinux_${glibc}_aarch64"); done
check "what the wheel needs is fetched for aarch64" "$python" -m pip download -q --disable-pip-version-check \
  -d "$arm_wheels" --only-binary :all: "${platforms[@]}" --python-version 3.11 numpy typer rich pyzmq msgpack pip
arm_python=("${empty[@]}" LD_LIBRARY_PATH="$work/hidden" PYTHONPATH="$work/arm" EMULATOR="qemu-aarch64-static -L $arm"
  qemu-aarch64-static -L "$arm" "$arm/usr/bin/python3")
# pip of that interpreter decides, by its glibc, whether it takes a wheel
check "aarch64: pip takes the wheels" "${arm_python[@]}" "$(echo "$arm_wheels"/pip-*.whl)/pip" install -q \
  --disable-pip-version-check --no-index --find-links "$arm_wheels" --target "$work/arm" \
  dist/efferent-"$version"-*_aarch64.whl dist/efferent_client-*.whl
check "aarch64: the wheel steps, learns and serves" says "answer 6 False" \
  "${arm_python[@]}" "$root/Tests/Packages/use.py" "$policy"

# ---- bare roots: Debian 12 (glibc 2.36) and 11 (2.31), without Swift ----

for release in bookworm bullseye; do
  bare=$roots/$release
  if [[ ! -e $bare/.complete ]]; then
    rm -rf "$bare"
    more=$([[ $release == bookworm ]] && echo ,python3-venv)
    check "a root of $release" debootstrap --variant=minbase --include=gcc,libc6-dev,cmake,pkg-config,make"$more" $release "$bare" && touch "$bare/.complete"
  fi
  rm -rf "$bare/in" && mkdir -p "$bare/in"
  cp -r dist/*x86_64* dist/*amd64* dist/*any.whl "$wheels" "$policy" Tests/Packages/walk.c Tests/Packages/use.py "$bare/in/"
  cat >"$bare/in/CMakeLists.txt" <<'END'
cmake_minimum_required(VERSION 3.16)
project(user C)
find_package(efferent 0 REQUIRED COMPONENTS bridge static)
foreach(kind efferent static)
  add_executable(walk-${kind} walk.c)
  target_link_libraries(walk-${kind} PRIVATE efferent::${kind})
endforeach()
END
  cat >"$bare/in/use.sh" <<'END'
set -e
cd /in
if command -v swift; then exit 1; fi
mount -t proc proc /proc
mount -t devtmpfs dev /dev 2>/dev/null || true
began=$EPOCHREALTIME
dpkg -i libefferent0_*.deb libefferent-dev_*.deb
echo "$began $EPOCHREALTIME" >times
gcc walk.c $(pkg-config --cflags --libs efferent) -o walk
ldd ./walk | grep '=> /lib\|=> /usr/lib' | grep libefferent
./walk half_cheetah.onnx
./walk half_cheetah.onnx bridge 2>&1 | grep 'apt-get install libzmq5'
cmake -S . -B build && cmake --build build
for kind in efferent static; do build/walk-$kind half_cheetah.onnx; done
dpkg -r libefferent-dev libefferent0
mkdir tar && tar -xzf *.tar.gz -C tar --strip-components=1
gcc walk.c $(PKG_CONFIG_PATH=$PWD/tar/lib/pkgconfig pkg-config --cflags --libs efferent) -Wl,-rpath,$PWD/tar/lib -o walk
./walk half_cheetah.onnx
if python3 -m venv venv 2>/dev/null; then
  venv/bin/python -m pip install -q --no-index --find-links wheelhouse efferent-*.whl efferent_client-*.whl
  cd / && /in/venv/bin/python /in/use.py /in/half_cheetah.onnx
else
  echo "no Python 3.10 here"
fi
END
  last="answer 6 False"
  [[ $release != bullseye ]] || last="no Python 3.10 here"
  check "$release: .deb and tarball by gcc and CMake, the wheels where Python is 3.10 or later" says "$last" \
    "${empty[@]}" PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root unshare -m chroot "$bare" bash -x /in/use.sh
  awk -v name="deb-$release" '{ printf "%s %.1f\n", name, $2 - $1 }' "$bare/in/times" >>"$work/times" 2>/dev/null
done

# ---- what it comes to ----

printf '\n%-52s %9s  %s\n' file bytes "newest symbol of glibc"
for file in dist/*; do
  kind='' newest=''
  case $file in
    *-py3-none-manylinux*) kind=wheel ;;
    *.tar.gz) kind=tar ;;
    *libefferent0_*) kind=deb ;;
  esac
  arch=$([[ $file == *aarch64* || $file == *arm64* ]] && echo aarch64 || echo x86_64)
  [[ $kind ]] && newest=$(find "$work/$arch/$kind" -name '*.so*' -type f | while read -r object; do newest "$object"; done | sort -uV | tail -n 1)
  printf '%-52s %9d  %s\n' "$(basename "$file")" "$(stat -c %s "$file")" "$newest"
done
echo "installed in:"
sed 's/$/ s/' "$work/times"
finish
