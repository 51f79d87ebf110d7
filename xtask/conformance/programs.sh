#!/bin/bash
# Real programs in the directory $1, which is on the filesystem under test; the project's own repository is $2. Each step
# prints `ok NAME` or `FAILED NAME`, and the status is the number of failures.
set -u
dir=$1 repo=$2 failed=0
export RUSTUP_HOME=${RUSTUP_HOME:-$HOME/.rustup} CARGO_HOME=${CARGO_HOME:-$HOME/.cargo}
export HOME=$dir LC_ALL=C GIT_CONFIG_NOSYSTEM=1 GIT_TERMINAL_PROMPT=0
cd "$dir" || exit 99
# Left by a try that failed.
(shopt -s dotglob && rm -rf ./*)

step() {
    local name=$1
    shift
    if output=$( (set -eu; "$@") 2>&1); then
        echo "ok $name"
    else
        echo "FAILED $name"
        printf '%s\n' "$output" | tail -n 20 | sed 's/^/    /'
        failed=$((failed + 1))
    fi
}

git_round() {
    git -c safe.directory='*' clone -q --no-hardlinks "file://$repo" git
    cd git
    git checkout -q -b other
    git -c user.name=a -c user.email=a@b commit -q --allow-empty -m x
    git gc -q --prune=now
    git fsck --full --strict
    test -z "$(git status --porcelain)"
}

tree() {
    mkdir -p tree/d/e "tree/na me"
    printf 'text\n' > tree/d/file
    ln tree/d/file tree/d/hard
    ln -s ../file tree/d/e/soft
    ln -s nowhere tree/dangling
    mkfifo tree/fifo
    truncate -s 50M tree/sparse
    printf x | dd of=tree/sparse bs=1 seek=30000000 conv=notrunc status=none
    python3 -c 'import os; os.setxattr("tree/d/file", "user.note", b"\0\xff"); os.setxattr("tree/d", "user.d", b"1")'
    chmod 2751 tree/d
    chmod 4755 tree/d/file
    touch -d '2001-02-03 04:05:06.789' tree/d/file tree/d
}

# Types, modes, links, sizes, times and attributes of everything below $1.
describe() {
    (cd "$1" && find . -mindepth 1 -printf '%p %y %m %n %T@ %l %u:%g' -type f -printf ' %s' -printf '\n' | sort
        find . -type f -exec sha256sum {} + | sort
        python3 - <<'P'
import os
for root, dirs, files in sorted(os.walk(".")):
    for name in sorted(dirs + files):
        path = os.path.join(root, name)
        for attribute in sorted(os.listxattr(path, follow_symlinks=False)):
            if attribute.startswith("user."):
                print(path, attribute, os.getxattr(path, attribute, follow_symlinks=False))
P
    )
}

tar_round() {
    mkdir back
    tar --xattrs --xattrs-include='user.*' -S -cf tree.tar tree
    tar --xattrs --xattrs-include='user.*' -S -xpf tree.tar -C back
    diff <(describe tree) <(describe back/tree)
    test "$(stat -c %b back/tree/sparse)" -lt 1000
}

rsync_round() {
    rsync -aHAX --sparse tree/ synced/
    diff <(describe tree) <(describe synced)
    test -z "$(rsync -aHAXi --delete tree/ synced/)"
}

sqlite_wal() {
    python3 - <<'P'
import sqlite3, threading
def connect():
    return sqlite3.connect("wal.db", timeout=60)
db = connect()
assert db.execute("pragma journal_mode=wal").fetchone() == ("wal",)
db.execute("create table t (who integer, n integer)")
db.commit()
def work(who):
    db = connect()
    for n in range(200):
        with db:
            db.execute("insert into t values (?, ?)", (who, n))
        db.execute("select count(*) from t").fetchone()
threads = [threading.Thread(target=work, args=(who,)) for who in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
assert db.execute("select count(*) from t").fetchone() == (800,)
assert db.execute("pragma integrity_check").fetchone() == ("ok",)
P
}

gcc_build() {
    mkdir c
    cd c
    for n in 1 2 3 4 5; do echo "int f$n(int x) { return x + $n; }" > f$n.c; done
    printf '#include <stdio.h>\nint f1(int), f2(int), f3(int), f4(int), f5(int);\nint main(void) { printf("%%d\\n", f1(f2(f3(f4(f5(0)))))); return 0; }\n' > main.c
    gcc -O2 -g -c ./*.c
    ar rcs libf.a f*.o
    gcc -o program main.o -L. -lf
    test "$(./program)" = 15
}

cargo_build() {
    cargo new -q --vcs none hello
    cd hello
    cargo build -q --offline
    cargo build -q --offline
    test "$(./target/debug/hello)" = 'Hello, world!'
}

python_venv() {
    python3 -m venv --without-pip venv
    venv/bin/python -c 'import sys; assert sys.prefix.endswith("venv")'
    venv/bin/python -m compileall -q venv/lib
}

mmap_shared() {
    python3 - <<'P'
import mmap, os
with open("mapped", "wb+") as f:
    f.truncate(1 << 20)
    with mmap.mmap(f.fileno(), 1 << 20) as m:
        m[123456:123460] = b"abcd"
        m.flush()
    assert os.pread(f.fileno(), 4, 123456) == b"abcd"
P
}

many_files() {
    python3 - <<'P'
import os
os.mkdir("many")
for n in range(3000):
    with open(f"many/{n}", "w") as f: f.write(str(n))
assert len(os.listdir("many")) == 3000
for n in range(3000):
    assert open(f"many/{n}").read() == str(n)
P
    rm -r many
}

step "git clone, checkout, gc, fsck" git_round
step "a tree of everything" tree
step "tar, with attributes and holes" tar_round
step "rsync -aHAX" rsync_round
step "SQLite with WAL, four writers" sqlite_wal
step "gcc and ar" gcc_build
step "cargo build" cargo_build
step "python venv" python_venv
step "shared mapping" mmap_shared
step "thousands of files" many_files
step "removing all of it" bash -c 'shopt -s dotglob && rm -rf ./* && test -z "$(ls -A)"'
exit $failed
