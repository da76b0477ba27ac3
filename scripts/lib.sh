# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Functions that the scripts share: fail(), packages, building under a lock, becoming root. A script sources it first:
#
#   source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"
#
# Always: after that, the shell stops at the first error, `root` is the top directory of the tree and the working
# directory, and /usr/sbin is in PATH. If two scripts build in the same directory, the second one waits; a process that
# a build starts does not keep the lock. A function that fails calls fail(), which a script may redefine. It needs only
# bash and what a bare Debian 12 has.
set -euo pipefail
export PATH="$PATH:/usr/sbin:/sbin"

BUILD_LOCK_SECONDS=900     # that another build in the same directory may take
BUILD_SECONDS=900          # one preset
INSTALL_SECONDS=900        # that each step of apt-get may take
INSTALL_LOCK=/var/lib/dpkg # a directory of every Debian; dpkg locks files in it, not the directory
INSTALL_LOCK_SECONDS=900   # that another script's apt-get may take

script=$(basename -- "$0")
root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)
cd -- "$root"

fail()
{
    printf '\n%s: %s\n' "$script" "$*" >&2
    exit 1
}

# ---- root ------------------------------------------------------------------------------------------------

is_root()
{
    [[ $(id -u) -eq 0 ]]
}

can_become_root()
{
    is_root || command -v sudo >/dev/null
}

# Runs a command as root: as_root COMMAND...
as_root()
{
    if is_root; then
        "$@"
    else
        sudo -- "$@"
    fi
}

# Becomes root: become_root WHY COMMAND... replaces this process by COMMAND, run through sudo; returns if it is root.
become_root()
{
    local why=$1

    shift
    is_root && return
    can_become_root || fail "$why, and there is no sudo; run it as root"
    exec sudo -- "$@"
}

# ---- packages --------------------------------------------------------------------------------------------

# Prints those of its arguments that are not installed packages.
list_missing()
{
    local package

    for package in "$@"; do
        if [[ $(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null) != installed ]]; then
            printf '%s\n' "$package"
        fi
    done
}

# Runs apt-get as root; if it fails, shows the end of its output: apt_get ARGUMENT...
apt_get()
{
    local output code=0

    output=$(mktemp)
    as_root flock --wait "$INSTALL_LOCK_SECONDS" "$INSTALL_LOCK" \
        timeout --kill-after=30 "$INSTALL_SECONDS" \
        env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 "$@" \
        </dev/null >"$output" 2>&1 || code=1
    if [[ $code -ne 0 ]]; then
        tail -n 20 "$output" >&2
    fi
    rm -f -- "$output"
    return "$code"
}

apt_updated=no

# Fetches the package lists, once in a script.
apt_update()
{
    [[ $apt_updated == no ]] || return 0
    apt_get update || fail "apt-get update failed: see above; is there a network, and a mirror in /etc/apt?"
    apt_updated=yes
}

# Installs those of the packages that are missing: install_packages PACKAGE...
install_packages()
{
    local missing

    command -v dpkg-query >/dev/null || fail "this is not Debian; install by other means: $*"
    mapfile -t missing < <(list_missing "$@")
    [[ ${#missing[@]} -gt 0 ]] || return 0
    can_become_root ||
        fail "these packages are missing, and without sudo only root can install them: ${missing[*]}"
    printf '%s: installing %s\n' "$script" "${missing[*]}"
    apt_update
    apt_get install --yes --no-install-recommends "${missing[@]}" || fail "apt-get install failed: see above"
}

# ---- build -----------------------------------------------------------------------------------------------

# Runs a command while no other script builds in the directory: with_build_lock DIRECTORY COMMAND...
with_build_lock()
{
    local directory=$1

    shift
    mkdir -p -- "$directory"
    exec 9>"$directory/.lock"
    flock --wait "$BUILD_LOCK_SECONDS" 9 || fail "another build in $root/$directory does not end"
    "$@" 9>&-
    exec 9>&-
}

# Prints an option for cmake if the build directory was configured where the tree was before it was copied or moved: what
# is in the cache is wrong then.
fresh_if_moved()
{
    local cache=$1/CMakeCache.txt

    if [[ -e $cache ]] && ! grep -qxF "CMAKE_HOME_DIRECTORY:INTERNAL=$root" "$cache"; then
        printf '%s\n' --fresh
    fi
}

# Configures a preset, with the tests and with the benchmark, so that these are always built: configure_preset PRESET
# [ARGUMENT...]. The output goes to a file.
configure_preset()
{
    local preset=$1 log=build/configure-$1.log

    shift
    # shellcheck disable=SC2046 # one option, or none
    if ! cmake $(fresh_if_moved "build/$preset") --preset "$preset" -DNFQE_TESTS=ON -DNFQE_BENCH=ON "$@" >"$log" 2>&1; then
        cat -- "$log"
        fail "the preset $preset cannot be configured: see above"
    fi
}

# Configures a preset and builds it, or only these targets: build_preset PRESET [TARGET...]
build_preset()
{
    local preset=$1

    shift
    printf '== build: %s\n' "$preset"
    configure_preset "$preset"
    timeout --kill-after=10 "$BUILD_SECONDS" \
        cmake --build --preset "$preset" ${1:+--target "$@"} -- --quiet ||
        fail "the preset $preset does not build: see above"
}

# The same for each of several: build_presets PRESET...
build_presets()
{
    local preset

    for preset in "$@"; do
        build_preset "$preset"
    done
}

# Runs a command that builds; shows the end of its output only if it fails: build_quietly LOG COMMAND...
build_quietly()
{
    local log=$1

    shift
    "$@" >"$log" 2>&1 || {
        tail -n 30 -- "$log" >&2
        fail "the build failed: see above, or all of it in $(realpath -- "$log")"
    }
}
