#!/usr/bin/env bash
# SPDX-FileCopyrightText: Helix contributors
# SPDX-License-Identifier: MIT OR Apache-2.0
# GRUB boots the image from a CD by Multiboot2, on a BIOS and on UEFI: command line, initrd and memory map arrive, the
# clock and the modules work, and the machine ends with the status that was asked for.
# timeout: 180
set -euo pipefail

fail() {
    printf 'FAILED: %s\n' "$*"
    exit 1
}

cd "$HELIX_TEST_DIRECTORY"
for program in grub-mkrescue xorriso mformat; do
    command -v $program >/dev/null || fail "$program is missing; ./helix installs it"
done

# What the tool would boot, with the commands in the initrd.
readonly commands='load helix-workload; request helix-workload start 50; request helix-workload check; memory
    swap helix.scheduler helix-scheduler-priority; request helix-workload check; modules; log; poweroff 7'
"$HELIX" run demo -q --print-cmd --exec "${commands//$'\n'/; }" >command
file_after() { sed -n "s/.* $1 \([^ ]*\).*/\1/p" command; }
mkdir -p disc/boot/grub
cp "$(file_after -kernel)" disc/boot/helix.elf
cp "$(file_after -initrd)" disc/boot/initrd
cat >disc/boot/grub/grub.cfg <<'END'
set timeout=0
menuentry Helix {
    multiboot2 /boot/helix.elf json=1
    module2 /boot/initrd initrd
}
END
grub-mkrescue --fonts= --locales= --themes= -o helix.iso disc >grub.log 2>&1 || fail "grub-mkrescue: $(tail -5 grub.log)"

# boot NAME FIRMWARE OPTIONS: what the tool would say, from the disc.
boot() {
    local name=$1 status=0
    shift
    timeout 60 qemu-system-x86_64 -M q35 -m 256M -accel tcg -cpu max -nodefaults -display none -no-reboot -serial stdio \
        -device isa-debug-exit,iobase=0xf4,iosize=4 -cdrom helix.iso "$@" </dev/null >"$name" 2>&1 || status=$?
    # The device turns the kernel's status s into 2s + 1.
    ((status == 2 * 7 + 1)) || fail "$name: the machine ended with $status: $(tail -c 2000 "$name")"
    [[ $(grep -c '"progressed":50,"lost":0,"run_twice":0,"starved":0' "$name") == 2 ]] ||
        fail "$name: $(tail -c 2000 "$name")"
    grep -q '"to":"helix-scheduler-priority 1.0.0","result":"committed"' "$name" || fail "$name: no swap: $(tail -c 2000 "$name")"
    # In JSON, as the command line that GRUB passes asks for.
    grep -q '"name":"helix-memory","version":"1.0.0","state":"Running"' "$name" || fail "$name: no static modules: $(tail -c 2000 "$name")"
    # Firmware and loader keep some; most of the 256 MiB must be there.
    local pages
    pages=$(sed -n 's/.*"pages_free":\([0-9]*\).*/\1/p' "$name" | head -1)
    ((pages > 49152 && pages < 65536)) || fail "$name: $pages free pages of 4 KiB, of 256 MiB"
}

boot bios
for code in /usr/share/OVMF/OVMF_CODE_4M.fd /usr/share/OVMF/OVMF_CODE.fd; do [[ -e $code ]] && break; done
variables=${code/CODE/VARS}
[[ -e $code && -e $variables ]] || fail "the UEFI firmware is missing; ./helix installs it (ovmf)"
cp "$variables" variables.fd
boot uefi -drive if=pflash,format=raw,readonly=on,file="$code" -drive if=pflash,format=raw,file=variables.fd
