#!/bin/sh
# The slim runtime and the embedded bundle on emulated 64-bit Arm processors, beside this one.
#
# An arm64 CPython from Debian and the aarch64 wheels that pip would install on such a machine are unpacked below
# build/arm and run under QEMU's user-mode emulator. Nothing is installed. Where one of these cannot be had, one line
# says so and the exit code is 0.
#
#   PYTHON    an interpreter that has sestina: the vectors to compare with
#   ARM_CPUS  as `qemu-aarch64 -cpu help` lists them. max has every extension; a Raspberry Pi 5 has Cortex-A76,
#             a Raspberry Pi 4 Cortex-A72, which lacks the dot product of bytes
set -eu
cd "$(dirname "$0")/../.."
PYTHON=${PYTHON:-python3}
ARM_CPUS=${ARM_CPUS:-max cortex-a76 cortex-a72}
work=$PWD/${BUILD:-build}/arm
mkdir -p "$work"

skip() {
    echo "SKIPPED test-arm: $1"
    exit 0
}

[ "$(uname -s)-$(uname -m)" = Linux-x86_64 ] || skip "it compares Linux x86-64 with emulated Arm, this is $(uname -sm)"
for tool in apt-get dpkg-deb; do
    command -v "$tool" >/dev/null || skip "$tool is not here"
done
[ -f runtime/sestina/default.sestina/manifest.json ] || skip "the embedded bundle is not here: make default-bundle"

# The emulator: the machine's own, or its package unpacked.
emulator=$(command -v qemu-aarch64-static || command -v qemu-aarch64 || true)
if [ -z "$emulator" ]; then
    emulator=$work/emulator/usr/bin/qemu-aarch64-static
    if [ ! -x "$emulator" ]; then
        (cd "$work" && apt-get -qq download qemu-user-static 2>apt.log) || skip "no package qemu-user-static: see $work/apt.log"
        mkdir -p "$work/emulator"
        dpkg-deb --fsys-tarfile "$work"/qemu-user-static_*.deb | tar -x -C "$work/emulator" ./usr/bin/qemu-aarch64-static ||
            skip "the package qemu-user-static holds no qemu-aarch64-static"
        rm "$work"/qemu-user-static_*.deb
    fi
fi

# CPython for arm64, by an apt of its own: the machine's sources, another architecture, nothing of its state.
root=$work/root
if [ ! -e "$root/.ready" ]; then
    rm -rf "$root" "$work/apt"
    mkdir -p "$root" "$work/apt/lists/partial" "$work/apt/cache/archives/partial"
    : >"$work/apt/status"
    cat >"$work/apt.conf" <<END
APT::Architecture "arm64";
APT::Architectures { "arm64"; };
APT::Sandbox::User "";
Dir::State "$work/apt";
Dir::State::status "$work/apt/status";
Dir::Cache "$work/apt/cache";
END
    APT_CONFIG=$work/apt.conf apt-get -qq update 2>"$work/apt.log" || true # some sources may have no arm64
    APT_CONFIG=$work/apt.conf apt-get -qq --yes --no-install-recommends --download-only \
        install python3 libstdc++6 >>"$work/apt.log" 2>&1 || skip "no arm64 packages of python3: see $work/apt.log"
    for package in "$work"/apt/cache/archives/*.deb; do
        dpkg-deb -x "$package" "$root"
    done
    rm -r "$work/apt"
    touch "$root/.ready"
fi
python=$(readlink -f "$root/usr/bin/python3")
version=${python##*/python}

# The wheels that pip would install there.
site=$work/site-$version
if [ ! -e "$site/.ready" ]; then
    rm -rf "$site" "$work/wheels"
    "$PYTHON" -m pip download --quiet --disable-pip-version-check --dest "$work/wheels" --only-binary=:all: --no-deps \
        --python-version "$version" --platform manylinux_2_28_aarch64 --platform manylinux2014_aarch64 \
        numpy onnxruntime tokenizers 2>"$work/pip.log" || skip "no aarch64 wheels for Python $version: see $work/pip.log"
    for wheel in "$work"/wheels/*.whl; do
        "$PYTHON" -m zipfile -e "$wheel" "$site"
    done
    rm -r "$work/wheels"
    touch "$site/.ready"
fi

# onnxruntime looks its processor up in /proc/cpuinfo, and ends where that names no Arm: the emulator would show it
# this machine's. A file below the prefix goes before.
processor() {
    case $1 in cortex-a72) part=0xd08 ;; *) part=0xd0b ;; esac
    mkdir -p "$root/proc"
    for at in $(seq 0 "$(($(nproc --all) - 1))"); do
        printf 'processor\t: %d\nFeatures\t: fp asimd\nCPU implementer\t: 0x41\nCPU architecture: 8\n' "$at"
        printf 'CPU variant\t: 0x0\nCPU part\t: %s\nCPU revision\t: 1\n\n' "$part"
    done >"$root/proc/cpuinfo"
}

export OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE=1
"$PYTHON" tests/arm/check_arm.py report >"$work/here.json"
failed=0
for cpu in $ARM_CPUS; do
    echo "== $cpu, emulated"
    processor "$cpu"
    PYTHONPATH=$site:$PWD/runtime QEMU_LD_PREFIX=$root QEMU_CPU=$cpu \
        "$emulator" "$python" tests/arm/check_arm.py report >"$work/$cpu.json"
    "$PYTHON" tests/arm/check_arm.py compare "$work/here.json" "$work/$cpu.json" || failed=1
done
exit $failed
