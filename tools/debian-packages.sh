#!/bin/sh
# Install the Debian packages that a command needs and this machine lacks.
#
#   sh tools/debian-packages.sh demo    what a virtual environment needs
#   sh tools/debian-packages.sh test    that, and the programs that the tests drive
#
# As root on Debian it installs them; for anyone else it says which are missing and goes on: tests that need
# them skip, and tools/venv.sh stops if there can be no virtual environment. What is there already is found by
# what it does, not by its package, so a ffmpeg of one's own is as good as Debian's.
set -eu

target=${1:?demo or test}
python=${PYTHON:-python3}
missing=""

want() { # want PACKAGE COMMAND...: the package is missing unless the command succeeds
    package=$1
    shift
    "$@" >/dev/null 2>&1 || missing="$missing $package"
}

program() {
    command -v "$1"
}

daemon() { # it lies where a user's PATH need not look
    (PATH=$PATH:/usr/local/sbin:/usr/sbin && command -v "$1")
}

chinese_font() {
    fc-list :lang=zh 2>/dev/null | grep . || dpkg-query -W -f '${db:Status-Status}' fonts-noto-cjk 2>/dev/null | grep -x installed
}

# Debian keeps the server's programs off the PATH, by version.
postgresql_server() {
    ls /usr/lib/postgresql/*/bin/initdb || program initdb
}

# A python that does not even start is not cured by a package: tools/venv.sh has the word for it.
if "$python" -c '' >/dev/null 2>&1; then
    want python3-venv "$python" -c 'import ensurepip, venv'
fi
case $target in
demo) ;;
test)
    want ffmpeg program ffmpeg
    want rtmpdump program rtmpdump
    # Chromium without windows: the same engine for two thirds of the cost.
    want chromium-headless-shell program chromium-headless-shell
    want strace program strace
    want redis-server program redis-server
    want nginx daemon nginx
    want gstreamer1.0-tools program gst-launch-1.0
    # rtmp2sink; it brings the base and good plug-ins along.
    want gstreamer1.0-plugins-bad gst-inspect-1.0 rtmp2sink
    want postgresql postgresql_server
    want fonts-noto-cjk chinese_font
    ;;
*)
    echo "usage: $0 demo|test" >&2
    exit 2
    ;;
esac

[ -n "$missing" ] || exit 0

if ! command -v apt-get >/dev/null 2>&1; then
    echo "These are missing, and this is not Debian (no apt-get): install what corresponds to:$missing" >&2
    exit 0
fi
if [ "$(id -u)" -ne 0 ]; then
    echo "These Debian packages are missing:$missing" >&2
    echo "Install them with: sudo apt-get update && sudo apt-get install --no-install-recommends$missing" >&2
    exit 0
fi

echo "Installing Debian packages:$missing"
# dpkg wants ldconfig and start-stop-daemon, which a user's PATH need not show.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
export PATH
export DEBIAN_FRONTEND=noninteractive
# The tests start a Redis of their own: in runlevel 1 the package's service is installed, but not started.
export RUNLEVEL=1
apt-get -qq -o Acquire::Retries=3 update || echo "apt-get update failed; trying with the lists as they are" >&2
# shellcheck disable=SC2086  # a list of package names
if ! apt-get -qq -y -o Acquire::Retries=3 -o Dpkg::Use-Pty=0 install --no-install-recommends $missing >/dev/null; then
    echo "apt-get could not install:$missing (what needs them will skip or stop)" >&2
fi
