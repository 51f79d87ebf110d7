# Prints what can be told of every entry of the current directory, and would be the same in a copy of it.
import hashlib, os, stat


def look(path):
    found = os.lstat(path)
    kind = stat.S_IFMT(found.st_mode)
    print(path, oct(found.st_mode), found.st_uid, found.st_gid, end=" ")
    # What has been written or made is as old as the test.
    print("recent" if found.st_mtime > 1.5e9 else found.st_mtime_ns, end=" ")
    if kind != stat.S_IFDIR:
        print(found.st_nlink, found.st_size, end=" ")
    if kind == stat.S_IFREG:
        if found.st_size > 1 << 20:
            print("sparse" if found.st_blocks * 512 < found.st_size / 2 else "dense", end=" ")
        with open(path, "rb") as file:
            print(hashlib.sha256(file.read()).hexdigest()[:16], end=" ")
    if kind == stat.S_IFLNK:
        print(os.readlink(path), end=" ")
    else:
        attributes = sorted(os.listxattr(path, follow_symlinks=False))
        print({name: os.getxattr(path, name) for name in attributes if name.startswith("user.")}, end=" ")
    print()
    if kind == stat.S_IFDIR:
        for name in sorted(os.listdir(path)):
            look(os.path.join(path, name))


look(".")
