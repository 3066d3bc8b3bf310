// Package jupyter holds what stands between the notebooks and the machine: the
// set-up of Go kernel and Jupyter inside the repository, and the programs behind
// make. It exports nothing; its Go files test the scripts.
//
//   - setup.sh checks what must be installed and builds .bin, .venv, .jupyter
//     and node_modules, each part again only when its inputs change
//   - kernel.sh starts GoNB with the repository in its workspace; env.sh keeps
//     Jupyter's files inside the repository
//   - run.py executes notebooks (parameters.py sets their constants) and
//     pages.py makes HTML of them that needs no network
//   - course.sh, lab.sh, test.sh, lint.sh and bench.sh are make's targets
//
// The scripts are POSIX sh and Python 3.9, for Linux and macOS. On Windows they
// run inside WSL.
package jupyter
