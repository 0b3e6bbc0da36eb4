#!/usr/bin/env bash
# SPDX-FileCopyrightText: Helix contributors
# SPDX-License-Identifier: MIT OR Apache-2.0
# ./helix installs what a peer is built from when modules are measured, and at no other time; then the build is configured
# again. Where it cannot be had the rest is measured all the same.
source "$HELIX_ROOT/tests/system/lib.sh"
cd "$HELIX_TEST_DIRECTORY"

# A machine on which all but the peer's package is installed, and a tool that says what it was asked.
cp "$HELIX_ROOT/helix" .
mkdir -p machine build/release/bin
echo 'echo "the tool: $*"' >build/release/bin/helix
# shellcheck disable=SC2016 # another script expands it
echo '[[ $1 == -n ]] && shift; exec "$@"' >machine/sudo
cat >machine/dpkg-query <<'END'
for package in "${@:3}"; do
    [[ $package == libpoco-dev && ! -e has_poco ]] || echo "ii  $package"
done
END
cat >machine/apt-get <<'END'
echo "apt-get $*" >>asked
[[ ! -e no_network ]] || exit 100
[[ $1 == update ]] || touch has_poco
END
cat >machine/cmake <<'END'
echo "cmake $*" >>asked
END
for name in machine/* build/release/bin/helix; do
    sed -i '1i #!/usr/bin/env bash' "$name"
    chmod +x "$name"
done
touch build/release/build.ninja
PATH=$PWD/machine:$PATH

# begin: nothing was asked for, and the build is one without the peer.
begin() {
    rm -f asked has_poco build/release/*.checked
    echo 'Poco_DIR:PATH=Poco_DIR-NOTFOUND' >build/release/CMakeCache.txt
}
# helix ARGUMENTS: the tool is run in the end, whatever came before.
helix() {
    ./helix "$@" >output 2>errors </dev/null || fail "helix $*: ended with $?: $(cat output errors)"
    [[ $(<output) == "the tool: $*" ]] || fail "helix $*: $(cat output errors)"
}

installs() {
    begin
    helix "$@"
    grep -q '^apt-get install .* libpoco-dev$' asked || fail "helix $*: it was not installed: $(cat asked errors)"
    grep -q '^cmake -S .* --preset release$' asked || fail "helix $*: it was not configured: $(<asked)"
}
installs bench
installs bench modules --json
installs --color never bench 'lookup.*'

leaves_out() {
    begin
    helix "$@"
    ! grep -q 'apt-get\|cmake -S' asked || fail "helix $*: $(<asked)"
}
leaves_out bench --list
leaves_out bench modules --help
leaves_out bench boot.instructions
leaves_out bench scheduler --workload modules.json
leaves_out test bench
leaves_out run

# Without a network, and where nothing is to be installed, one sentence says so; it is not tried again each time.
begin
touch no_network
helix bench modules
grep -q '^helix: warning: the peer poco is left out' errors || fail "no word of it: $(<errors)"
rm asked
helix bench modules
! grep -q apt-get asked || fail "it was tried again"
begin
HELIX_NO_INSTALL=1 helix bench modules
! grep -q apt-get asked || fail "it was installed"
grep -q 'sudo apt-get install libpoco-dev' errors || fail "the package is not named: $(<errors)"
grep -q '^helix: warning: the peer poco is left out' errors || fail "no word of it: $(<errors)"
