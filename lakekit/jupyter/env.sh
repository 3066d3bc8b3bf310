# Sourced by the scripts of this folder, with $root set: keeps everything that
# Jupyter reads and writes inside the repository.
# shellcheck shell=sh disable=SC2154
: "${PYTHON:=python3}"
export PATH="$root/.bin:$PATH"
export JUPYTER_PATH="$root/.jupyter"
export JUPYTER_CONFIG_DIR="$root/.jupyter/config"
export JUPYTER_DATA_DIR="$root/.jupyter/data"
export JUPYTER_RUNTIME_DIR="$root/.jupyter/runtime"
export IPYTHONDIR="$root/.jupyter/ipython"
export PYTHONDONTWRITEBYTECODE=1
