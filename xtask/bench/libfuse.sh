#!/bin/sh
# Builds passthrough_hp and passthrough_ll, examples of libfuse, from Debian's source package into the directory $1.
# Needs apt, g++ and libfuse3-dev; the system's list of sources is not changed.
set -eu
bin=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

version=$(dpkg-query -W -f '${source:Upstream-Version}' libfuse3-dev)
suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -v security | head -n 1)
echo "deb-src $mirror $suite main" >sources.list
mkdir -p lists/partial
apt() {
    apt-get -qq -o Dir::Etc::SourceList="$work/sources.list" -o Dir::Etc::SourceParts=/dev/null \
        -o Dir::State::Lists="$work/lists" -o APT::Sandbox::User=root "$@"
}
apt update
apt source --download-only "fuse3=$(dpkg-query -W -f '${source:Version}' libfuse3-dev)"
tar xf fuse3_"$version".orig.tar.?z
cd fuse-"$version"/example

# With extended attributes, as Debian's own programs have.
flags="-O2 -DHAVE_SETXATTR -D_FILE_OFFSET_BITS=64 $(pkg-config --cflags fuse3)"
: >config.h
mkdir -p "$bin"
gcc $flags -DHAVE_COPY_FILE_RANGE -I. passthrough_ll.c -o "$bin/passthrough_ll" $(pkg-config --libs fuse3) -pthread
g++ $flags -std=c++17 -I. passthrough_hp.cc -o "$bin/passthrough_hp" $(pkg-config --libs fuse3) -pthread
