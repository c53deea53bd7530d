#!/bin/sh
# Makes .venv with everything Complyq needs, as locked in uv.lock. Nothing outside this folder is changed (but
# for download caches), no root is needed, and where all is in place it takes no time.
#
#   scripts/setup.sh        what `make demo` needs
#   scripts/setup.sh dev    also what `make test` and `make check` need
#
# Needs Python 3.11 to 3.14 with venv. Uses uv if it is on the PATH, else installs it into .venv.
set -eu

cd "$(dirname "$0")/.."
VENV=.venv
KIND=${1:-run}
# Python's standard streams and file names are UTF-8 whatever the locale says (there may be none).
PYTHONUTF8=1
export PYTHONUTF8

say() { printf '%s\n' "$*" >&2; }
die() { say "setup: $*"; exit 1; }

fits() { "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' >/dev/null 2>&1; }

# The newest that fits, then whatever is called python. A name may exist and not work (pyenv's shims).
find_python() {
    for name in python3.14 python3.13 python3.12 python3.11 python3 python; do
        if fits "$name"; then command -v "$name"; return; fi
    done
    die "no Python 3.11 to 3.14 found. Install one (https://www.python.org/downloads/, or: apt install python3 python3-venv, brew install python) and run this again."
}

# Debian and Ubuntu put venv's second half into a package of its own.
require_venv() {
    "$1" -c 'import ensurepip, venv; ensurepip.version()' >/dev/null 2>&1 && return
    version=$("$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    die "$1 cannot make virtual environments. Install one package and run this again:
    sudo apt install python$version-venv"
}

# The lock and the wish, so that a change of either sets up again.
wanted() { cat uv.lock pyproject.toml scripts/setup.sh | cksum; }

is_ready() {
    for file in "$VENV/.complyq-dev" "$VENV/.complyq-$KIND"; do
        [ "$(cat "$file" 2>/dev/null)" = "$1" ] && fits "$VENV/bin/python" && return
    done
    return 1
}

# A home that is missing or read-only is no place for a cache; the environment is.
choose_caches() {
    home_cache=${XDG_CACHE_HOME:-${HOME:+$HOME/.cache}}
    if [ -n "$home_cache" ] && mkdir -p "$home_cache" 2>/dev/null && [ -w "$home_cache" ]; then return; fi
    UV_CACHE_DIR=${UV_CACHE_DIR:-$PWD/$VENV/.cache/uv}
    PIP_CACHE_DIR=${PIP_CACHE_DIR:-$PWD/$VENV/.cache/pip}
    export UV_CACHE_DIR PIP_CACHE_DIR
}

# uv carries certificates of its own; where the system has some they are used instead, as pip and curl do, because a
# company's network may have its own authority. The variable's older name is for uv before 0.10.
choose_certificates() {
    for bundle in /etc/ssl/certs/ca-certificates.crt /etc/ssl/cert.pem /etc/pki/tls/certs/ca-bundle.crt; do
        if [ -e "$bundle" ]; then
            UV_SYSTEM_CERTS=${UV_SYSTEM_CERTS:-1} UV_NATIVE_TLS=${UV_NATIVE_TLS:-1}
            export UV_SYSTEM_CERTS UV_NATIVE_TLS
            return
        fi
    done
}

make_venv() {
    if fits "$VENV/bin/python"; then return; fi
    python=$(find_python)
    if command -v uv >/dev/null 2>&1; then
        uv venv --quiet --clear --no-python-downloads --python "$python" "$VENV"
    else
        require_venv "$python"
        "$python" -m venv --clear "$VENV"
    fi
}

find_uv() {
    if command -v uv >/dev/null 2>&1; then command -v uv; return; fi
    if [ ! -x "$VENV/bin/uv" ]; then
        "$VENV/bin/python" -m pip --version >/dev/null 2>&1 || {
            require_venv "$VENV/bin/python"
            "$VENV/bin/python" -m ensurepip >/dev/null
        }
        "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check 'uv>=0.8' >&2 \
            || die "uv could not be installed from the package index (see above). With uv on the PATH this step is not needed."
    fi
    printf '%s\n' "$PWD/$VENV/bin/uv"
}

sync() {
    case $KIND in
        run) groups="--no-dev --no-extra parquet" ;;
        dev) groups= ;;
        *) die "unknown argument: $KIND (nothing, or dev)" ;;
    esac
    # --inexact leaves uv itself alone where it lives in this environment.
    # shellcheck disable=SC2086  # empty, or several words
    env UV_PROJECT_ENVIRONMENT="$VENV" UV_NO_PROGRESS=1 VIRTUAL_ENV= \
        "$1" sync --quiet --frozen --inexact --no-python-downloads --all-extras $groups --python "$VENV/bin/python"
}

main() {
    stamp=$(wanted)
    if is_ready "$stamp"; then return; fi
    say "setup: making $VENV (once; a minute or two, depending on the network)"
    choose_caches
    choose_certificates
    make_venv
    uv=$(find_uv)
    sync "$uv" || die "the packages could not be installed (see above)."
    printf '%s\n' "$stamp" >"$VENV/.complyq-$KIND"
    say "setup: done"
}

main
