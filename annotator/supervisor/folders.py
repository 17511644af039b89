"""Folders with exact owners and permissions."""

from __future__ import annotations

import errno
import os
import pwd
import stat
import struct
from pathlib import Path

from annotator.supervisor.errors import StartError

ACL = "system.posix_acl_access"
ACL_VERSION = 2
USER_OWNER, USER, GROUP_OWNER, MASK, OTHER = 0x01, 0x02, 0x04, 0x10, 0x20
NO_ID = 0xFFFFFFFF
SEARCH, READ = 0o1, 0o4


def private(folder: Path, *, owner: str | None = None) -> None:
    """Make a folder that only its owner can enter; refuses one that belongs to somebody else."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    wanted = pwd.getpwnam(owner).pw_uid if owner else os.geteuid()
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise StartError(f"{folder} is not a folder: remove it and start again.")
    if found.st_uid not in {wanted, os.geteuid()}:
        raise StartError(
            f"{folder} belongs to {_user_name(found.st_uid)}: start as that user, or set ANNOTATOR_HOME to a folder of yours."
        )
    if found.st_uid != wanted:
        os.chown(folder, wanted, pwd.getpwuid(wanted).pw_gid)
    folder.chmod(0o700)


def let_reach(target: Path, user: str, *, home: Path) -> None:
    """Let one more user pass through the parents of a folder: an access entry for that user, no right for others.

    Where the file system knows no access entries, all may pass through `home`, which is ours, but not list it.
    """
    entry = pwd.getpwnam(user)
    for folder in target.resolve().parents:
        if _can_search(folder, entry.pw_uid, entry.pw_gid):
            continue
        try:
            _grant_search(folder, entry.pw_uid)
        except OSError as error:
            if error.errno == errno.ENOTSUP and folder == home.resolve():
                folder.chmod(0o711)
                continue
            raise StartError(
                f"The user {user}, who runs PostgreSQL, cannot pass through {folder} ({os.strerror(error.errno or 0)}): "
                f"run 'chmod o+x {folder}', move the checkout or ANNOTATOR_HOME elsewhere, or start as an ordinary user."
            ) from error


def let_read(folder: Path) -> None:
    """Make installed files readable by all, as they are unless the installer's umask was strict."""
    if folder.stat().st_mode & 0o005 == 0o005:
        return
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            mode = stat.S_IMODE(path.stat().st_mode)
            path.chmod(mode | 0o044 | (0o011 if mode & 0o100 else 0))


def _can_search(folder: Path, uid: int, gid: int) -> bool:
    found = folder.stat()
    entries = _read_acl(folder)
    if found.st_uid == uid:
        return bool(found.st_mode & stat.S_IXUSR)
    for tag, rights, who in entries:
        if tag == USER and who == uid:
            return bool(rights & SEARCH)
    if found.st_gid == gid:
        return bool(found.st_mode & stat.S_IXGRP)
    return bool(found.st_mode & stat.S_IXOTH)


def _read_acl(folder: Path) -> list[tuple[int, int, int]]:
    try:
        raw = os.getxattr(folder, ACL)
    except OSError as error:
        if error.errno in {errno.ENODATA, errno.ENOTSUP}:
            return []
        raise
    return [struct.unpack_from("<HHI", raw, at) for at in range(4, len(raw), 8)]


def _grant_search(folder: Path, uid: int) -> None:
    mode = folder.stat().st_mode
    entries = _read_acl(folder) or [
        (USER_OWNER, mode >> 6 & 7, NO_ID),
        (GROUP_OWNER, mode >> 3 & 7, NO_ID),
        (OTHER, mode & 7, NO_ID),
    ]
    kept = [entry for entry in entries if entry[0] != MASK and (entry[0], entry[2]) != (USER, uid)]
    kept.append((USER, SEARCH, uid))
    mask = 0
    for tag, rights, _who in kept:
        if tag not in {USER_OWNER, OTHER}:
            mask |= rights
    kept.append((MASK, mask, NO_ID))
    packed = struct.pack("<I", ACL_VERSION)
    os.setxattr(folder, ACL, packed + b"".join(struct.pack("<HHI", *entry) for entry in sorted(kept)))


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"
