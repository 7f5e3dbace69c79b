# What the benchmarks' commands share; sourced in the repository's root.

# Sets `library`: EFFERENT_LIBRARY, or else the shipped library, built here.
find_library() {
  library=${EFFERENT_LIBRARY:-}
  [[ ! $library ]] || return 0
  bash bindings/c/install.sh --prefix .build/prefix
  library=.build/prefix/lib/libefferent.so
}

# Sets `python`: BENCH_PYTHON or .venv where it has the modules, or else .venv with the packages installed into it.
find_python() { # MODULES PACKAGE...
  python=${BENCH_PYTHON:-.venv/bin/python}
  ! "$python" -c "import $1" 2>/dev/null || return 0
  python3 -m venv .venv
  python=.venv/bin/python
  "$python" -m pip install -q --disable-pip-version-check -r Tests/requirements.txt "${@:2}"
}
