#!/bin/sh
# Installs what the tests need of the system, where that is allowed: as root, or with sudo that asks nothing.
# Where it is not, the tests concerned say so loudly and are skipped (under CI=true they fail).
#   tools/system.sh        redis-server, openssl, chromium, CJK and emoji fonts, node and npm; under CI=true promtool, too
#   tools/system.sh venv   Python's venv module, for the Makefile
set -u

if [ "${1:-}" = venv ]; then
    wanted="python3-venv"
else
    wanted=""
    command -v redis-server >/dev/null 2>&1 || wanted="$wanted redis-server"
    command -v openssl >/dev/null 2>&1 || wanted="$wanted openssl"
    command -v chromium >/dev/null 2>&1 || wanted="$wanted chromium"
    command -v node >/dev/null 2>&1 || wanted="$wanted nodejs"
    command -v npm >/dev/null 2>&1 || wanted="$wanted npm"
    # The package of promtool starts a Prometheus where there is systemd: nothing for somebody's own machine.
    if [ "${CI:-}" = true ]; then
        command -v promtool >/dev/null 2>&1 || wanted="$wanted prometheus"
    fi
    if command -v dpkg >/dev/null 2>&1; then
        for font in fonts-noto-cjk fonts-noto-color-emoji; do
            dpkg -s "$font" >/dev/null 2>&1 || wanted="$wanted $font"
        done
    fi
fi
[ -n "$wanted" ] || exit 0

if ! command -v apt-get >/dev/null 2>&1; then
    echo "NOT INSTALLED (no apt-get here):$wanted" >&2
    exit 0
fi
if [ "$(id -u)" -eq 0 ]; then
    as_root=""
elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
    as_root="sudo -n"
else
    echo "NOT INSTALLED (needs root):$wanted" >&2
    exit 0
fi
echo "Installing$wanted …"
log=$(mktemp)
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086  # both are lists of words
if ! { $as_root apt-get -qq update && $as_root apt-get -qq -y --no-install-recommends install $wanted; } >"$log" 2>&1
then
    tail -n 5 "$log" >&2
    echo "NOT INSTALLED (apt-get failed):$wanted" >&2
fi
rm -f "$log"
exit 0
