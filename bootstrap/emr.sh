#!/usr/bin/env bash
# Bring the fruits lakehouse to a node of Amazon EMR: its bootstrap action.
#
#   emr.sh CODE [--prefix DIR]
#
# CODE is an s3:// prefix or a local folder that holds the wheel, job.py, requirements-emr.lock,
# requirements-emr-model.lock and, if there are any, settings.yaml. DIR (/opt/fruits) becomes a virtual environment of
# Python 3.11 with job.py and settings.yaml in it. PySpark is not in it: spark-submit brings the cluster's own.
# TensorFlow, which only converts the model, comes to the primary node alone; a machine that is no node of a cluster
# counts as one.
#
# DIR is a link to DIR-<digest of what was installed>, switched when everything is there: no job ever sees a half of it,
# and a second run with the same CODE does nothing. The version before stays, for the jobs that still run on it.
#
# Environment: AWS_ENDPOINT_URL, as aws reads it; FRUITS_INSTANCE_INFO, where EMR says what this node is.
set -Eeuo pipefail
umask 022
unset PYTHONDONTWRITEBYTECODE PYTHONPATH PYTHONHOME
# Where the nodes of a cluster ask for credentials at a time, once and for a second is not enough.
export AWS_METADATA_SERVICE_NUM_ATTEMPTS=5 AWS_METADATA_SERVICE_TIMEOUT=5

ATTEMPTS=5
WHEEL='fruits_lakehouse-*.whl'
info=${FRUITS_INSTANCE_INFO:-/mnt/var/lib/info/instance.json}
work=
unfinished=

say() {
    TZ=UTC printf '%(%Y-%m-%dT%H:%M:%SZ)T fruits bootstrap: %s (%s s)\n' -1 "$1" "$SECONDS"
}

fail() {
    trap - ERR
    TZ=UTC printf '%(%Y-%m-%dT%H:%M:%SZ)T fruits bootstrap failed: %s\n' -1 "$1" >&2
    exit "${2:-1}"
}

usage() {
    fail "$1 Usage: emr.sh CODE [--prefix DIR], where CODE is s3://BUCKET/code/DIGEST or a local folder." 2
}

clean() {
    [ -z "$work" ] || rm -rf -- "$work"
    [ -z "$unfinished" ] || as_owner rm -rf -- "$unfinished"
}

as_owner() {
    if [ "$owner" = sudo ]; then sudo -n "$@"; else "$@"; fi
}

read_arguments() {
    code=
    prefix=/opt/fruits
    while [ $# -gt 0 ]; do
        case $1 in
        --prefix)
            [ $# -ge 2 ] || usage "--prefix needs a folder."
            prefix=${2%/}
            shift
            ;;
        -*) usage "There is no option $1." ;;
        *)
            [ -z "$code" ] || usage "One CODE is needed, and there is a second: $1."
            code=${1%/}
            ;;
        esac
        shift
    done
    [ -n "$code" ] || usage "CODE is missing."
    [[ $prefix == /?* ]] || usage "--prefix needs an absolute path, not '$prefix'."
}

# Who may write beside the prefix: we ourselves, or root by sudo, without a password, as the user hadoop on EMR may.
check_permission() {
    local parent
    parent=$(dirname -- "$prefix")
    owner=self
    if ! { mkdir -p -- "$parent" && [ -w "$parent" ]; } 2>/dev/null; then
        sudo -n true 2>/dev/null ||
            fail "no permission to write to $parent, and sudo does not give it. Run it as root, or name another folder: --prefix DIR."
        owner=sudo
        sudo -n mkdir -p -- "$parent" || fail "$parent could not be made. Name another folder: --prefix DIR."
    fi
    [ -L "$prefix" ] || [ ! -e "$prefix" ] ||
        fail "$prefix is there, and not made by this script. Move it away, or name another folder: --prefix DIR."
}

# Bootstrap actions run before EMR installs its applications: the distribution's package is the same Python.
check_python() {
    if ! command -v python3.11 >/dev/null && [ -f "$info" ] && command -v dnf >/dev/null; then
        say "installing python3.11"
        if [ "$(id -u)" = 0 ]; then dnf install -y -q python3.11; else sudo -n dnf install -y -q python3.11; fi ||
            fail "python3.11 is missing, and dnf could not install it; its reason stands above."
    fi
    command -v python3.11 >/dev/null ||
        fail "python3.11 was not found; the system's python3 is not the one PySpark runs on. Use the release emr-spark-8.1.0 or newer, or install it (dnf install python3.11)."
    python3.11 -I -c 'import venv, ensurepip' 2>/dev/null ||
        fail "python3.11 has no venv or ensurepip. Install them (Amazon Linux: they come with python3.11; Debian, Ubuntu: python3.11-venv)."
}

fetch() {
    local attempt
    command -v aws >/dev/null || fail "aws, the command, was not found, and $code needs it. Install awscli, or name a local folder."
    for ((attempt = 1; attempt <= ATTEMPTS; attempt++)); do
        say "fetching $code, attempt $attempt of $ATTEMPTS"
        if aws s3 cp --recursive --only-show-errors "$code/" "$work/code"; then return; fi
        [ "$attempt" = "$ATTEMPTS" ] || sleep $((2 ** attempt))
    done
    fail "$code could not be fetched in $ATTEMPTS attempts; aws' reason stands above. Does the instance profile allow s3:ListBucket and s3:GetObject there and kms:Decrypt, and does the subnet reach S3?"
}

find_code() {
    local name
    case $code in
    s3://*)
        mkdir -- "$work/code"
        fetch
        folder=$work/code
        ;;
    *)
        [ -d "$code" ] || fail "$code is neither an s3:// prefix nor a folder."
        folder=$(cd -- "$code" && pwd)
        ;;
    esac
    for name in job.py requirements-emr.lock requirements-emr-model.lock; do
        [ -f "$folder/$name" ] || fail "$name is missing in $code. Upload the code anew."
    done
    mapfile -t wheels < <(compgen -G "$folder/$WHEEL" || true)
    [ "${#wheels[@]}" = 1 ] ||
        fail "$code must hold one wheel $WHEEL, and holds ${#wheels[@]}: ${wheels[*]##*/}. Upload the code anew, under a prefix of its own."
}

find_role() {
    role=primary
    [ ! -f "$info" ] || role=$(python3.11 -I -c '
import json, sys
print("primary" if json.load(open(sys.argv[1]))["isMaster"] else "worker")' "$info") ||
        fail "$info does not say whether this is the primary node (isMaster)."
}

digest() {
    (cd -- "$folder" && find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum && echo "$role") |
        sha256sum | cut -d ' ' -f 1
}

# Every requirement is in a lock with its hash, so nothing is resolved and nothing is built here.
pip_install() {
    local what=$1 cache=()
    shift
    [ -n "${PIP_CACHE_DIR:-}" ] || cache=(--no-cache-dir)
    say "installing $what"
    "$release/bin/python" -m pip install --quiet --no-input --disable-pip-version-check --progress-bar off \
        "${cache[@]}" --no-deps --only-binary :all: "$@" ||
        fail "$what could not be installed; pip's reason stands above. Hashes that do not match: the package is not the one that was locked, so don't use it. A connection that fails: the subnet needs a way to the package index (a public subnet, or a NAT gateway)."
}

install_release() {
    as_owner rm -rf -- "$release" # what an interrupted run has left
    unfinished=$release
    as_owner mkdir -- "$release"
    [ "$owner" = self ] || as_owner chown "$(id -u):$(id -g)" "$release"
    say "making $release for the $role node"
    python3.11 -m venv "$release" || fail "the virtual environment $release could not be made; its reason stands above."
    pip_install "the requirements" --require-hashes -r "$folder/requirements-emr.lock"
    [ "$role" != primary ] ||
        pip_install "TensorFlow" --require-hashes -r "$folder/requirements-emr-model.lock"
    pip_install "${wheels[0]##*/}" "${wheels[0]}"
    cp -- "$folder/job.py" "$release/"
    [ ! -f "$folder/settings.yaml" ] || cp -- "$folder/settings.yaml" "$release/"
    "$release/bin/python" -I -c 'import fruits.cli' ||
        fail "what was installed does not run; Python's reason stands above. Was the lock made for this version of the wheel?"
    echo "$code" >"$release/.fruits-code"
    unfinished=
}

switch_to_release() {
    local before other
    before=$(readlink -- "$prefix" || true)
    as_owner ln -sfn -- "$release" "$prefix.new"
    as_owner mv -fT -- "$prefix.new" "$prefix"
    for other in "$prefix"-????????????; do
        if [ "$other" != "$release" ] && [ "$other" != "$before" ] && [ -f "$other/.fruits-code" ]; then
            as_owner rm -rf -- "$other"
        fi
    done
}

owner=self
read_arguments "$@"
trap 'fail "line $LINENO: $BASH_COMMAND"' ERR
trap clean EXIT
check_permission
check_python
work=$(mktemp -d)
find_code
find_role
release=$prefix-$(digest | cut -c 1-12)
if [ "$(readlink -- "$prefix" || true)" = "$release" ] && [ -f "$release/.fruits-code" ]; then
    say "nothing to do: $prefix holds $code"
    exit 0
fi
[ -f "$release/.fruits-code" ] || install_release
switch_to_release
say "done: $prefix holds $code"
